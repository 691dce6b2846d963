/**
 * The deadline of HELLO. A peer that drips bytes keeps the server's own timer alive for ever, so this one counts
 * from the open socket, whatever arrives.
 */
import type { Counts } from '../ops/metrics.ts'
import { CLOSE, type Close } from '../protocol/closes.ts'

export interface Waiting {
  peer: { end: (close: Close) => void }
  openedMs: number
  /** HELLO has come, or the socket is gone. */
  isDone: boolean
}

/** By time as far as the hub attended to it, since what came while it was stopped has come in time. */
export function createHelloDeadlines(
  { helloTimeoutMs }: { helloTimeoutMs: number },
  counts: Pick<Counts, 'helloTimeouts'>,
  attendedMs: () => number,
) {
  // In the order they opened, so the first is always the next to expire.
  let waiting: Waiting[] = []
  return { await: wait, check }

  function wait(peer: Waiting['peer']): Waiting {
    const entry = { peer, openedMs: attendedMs(), isDone: false }
    waiting.push(entry)
    return entry
  }

  /** To be called several times a second. */
  function check(): void {
    const dueMs = attendedMs() - helloTimeoutMs
    let done = 0
    while (done < waiting.length) {
      const entry = waiting[done]!
      if (!entry.isDone && entry.openedMs > dueMs) break
      if (!entry.isDone) expire(entry)
      done += 1
    }
    if (done > 0) waiting = waiting.slice(done)
  }

  function expire({ peer }: Waiting): void {
    counts.helloTimeouts += 1
    peer.end(CLOSE.helloTimeout)
  }
}
