/**
 * The deadline of HELLO. A peer that drips bytes keeps the server's own timer alive for ever, so this one counts
 * from the open socket, whatever arrives.
 */
export interface Waiting {
  openedMs: number
  /** HELLO has come, or the socket is gone. */
  isDone: boolean
  expire: () => void
}

export function createHelloDeadlines(helloTimeoutMs: number, now: () => number) {
  // In the order they opened, so the first is always the next to expire.
  let waiting: Waiting[] = []
  return { await: wait, check }

  function wait(expire: () => void): Waiting {
    const entry = { openedMs: now(), isDone: false, expire }
    waiting.push(entry)
    return entry
  }

  /** To be called several times a second. */
  function check(): void {
    const dueMs = now() - helloTimeoutMs
    let done = 0
    while (done < waiting.length) {
      const entry = waiting[done]!
      if (!entry.isDone && entry.openedMs > dueMs) break
      if (!entry.isDone) entry.expire()
      done += 1
    }
    if (done > 0) waiting = waiting.slice(done)
  }
}

export type HelloDeadlines = ReturnType<typeof createHelloDeadlines>
