/**
 * Answers of unknown length over HTTP: the next piece is asked for when the one before has left, so that an answer
 * costs the same memory however long it is and however slowly it is read. What the pieces are it does not know.
 */
import type { HttpResponse } from 'uWebSockets.js'
import { Problem, type StreamedAnswer } from '../api/message.ts'
import type { Clock } from '../clock.ts'
import { createTally } from '../core/tally.ts'
import type { Ops } from '../ops/ops.ts'
import { RETRY_AFTER_S } from './server.ts'

export interface StreamsOptions {
  limits: {
    exportsMax: number
    /** Whoever reads many slowly may not keep everybody else from reading. */
    exportsPerAddressMax: number
    exportStallMs: number
  }
  ops: Pick<Ops, 'counts' | 'faults'>
  clock: Clock
}

/** A response as long as somebody is there to read it. */
export interface Link {
  res: HttpResponse
  /** What limits by address count by; null: not counted. */
  block: string | null
  isGone: boolean
  onGone: () => void
}

/** Handed to the server at once. */
const CHUNK_BYTES = 64 * 1024
/** What is tried after a chunk did not fit: less than what becomes free before the server says that there is room. */
const PROBE_BYTES = 1024
/** The server itself gives up on a reader after ten seconds, and counts in steps of four. */
const KEEP_ALIVE_MS = 4_000
/** What stands before the first content, and the first content: while they fail, the answer can still be a problem. */
const OPENING_PIECES = 2

export function createStreams({ limits, ops, clock }: StreamsOptions) {
  const { counts, faults } = ops
  const addressExports = createTally<string>(limits.exportsPerAddressMax)
  let open = 0
  return {
    send,
    gauges: () => ({ exportsOpen: open }),
  }

  /** `begin` writes status and headers. Resolves when it is over, however it ended; rejects if it had not begun. */
  async function send(
    link: Link,
    { pieces, hold }: Pick<StreamedAnswer, 'pieces' | 'hold'>,
    begin: () => void,
  ): Promise<void> {
    // The response of somebody who has left must not be touched.
    if (link.isGone) return void (await pieces.return(undefined))
    if (open >= limits.exportsMax) throw refuse(503, 'too many exports are under way')
    const { block } = link
    if (block !== null && !addressExports.take(block)) {
      throw refuse(429, 'too many exports from this address are under way: let some of them end')
    }
    open += 1
    counts.exports += 1
    const outlet = createOutlet(link, clock, limits.exportStallMs)
    let hasBegun = false
    let isWithdrawn = false
    const release = hold?.(() => {
      isWithdrawn = true
      // Nothing in it says that it is over: nobody may take this for all of it.
      if (!link.isGone) link.res.close()
    })
    try {
      const opening: string[] = []
      while (opening.length < OPENING_PIECES) {
        const { done, value } = await pieces.next()
        if (done) break
        opening.push(value)
      }
      if (link.isGone) return
      link.res.cork(begin)
      hasBegun = true
      for (const piece of opening) await outlet.write(piece)
      for await (const piece of pieces) if (!(await outlet.write(piece))) return
      await outlet.end()
    } catch (error) {
      if (!hasBegun) throw error
      counts.exportsBroken += 1
      faults.judge(error)
      // Without the last chunk: nobody may take this for all of it.
      if (!link.isGone) link.res.close()
    } finally {
      open -= 1
      if (block !== null) addressExports.release(block)
      release?.()
      if (isWithdrawn) counts.exportsWithdrawn += 1
      else if (outlet.hasStalled) counts.exportsStalled += 1
      else if (link.isGone) counts.exportsLeft += 1
      await pieces.return(undefined)
    }
  }

  function refuse(status: number, detail: string): Problem {
    counts.exportsRefused += 1
    return new Problem(status, detail, undefined, { 'Retry-After': String(RETRY_AFTER_S) })
  }
}

function createOutlet(link: Link, clock: Clock, stallMs: number) {
  const { res } = link
  let isFull = false
  let hasStalled = false
  let resume = () => {}
  link.onGone = () => resume()
  res.onWritable(() => {
    resume()
    return true
  })
  return {
    write,
    end,
    get hasStalled() {
      return hasStalled
    },
  }

  /** Resolves when there is room for more, with false when nobody is there any more. */
  async function write(text: string): Promise<boolean> {
    const bytes = Buffer.from(text)
    for (let at = 0; at < bytes.length; ) {
      const length = isFull ? PROBE_BYTES : CHUNK_BYTES
      if (isFull) await room()
      if (link.isGone) return false
      const chunk = bytes.subarray(at, at + length)
      at += chunk.length
      res.cork(() => {
        // What does not fit is kept by the server, and goes before the next.
        isFull = !res.write(chunk)
      })
    }
    return true
  }

  async function end(): Promise<void> {
    if (isFull) await room()
    if (!link.isGone) res.cork(() => res.end())
  }

  /** Resolves when the reader has taken something, has left, or has taken nothing for too long and is left. */
  async function room(): Promise<void> {
    if (link.isGone) return
    const callOff = clock.after(stallMs, () => {
      hasStalled = true
      res.close()
    })
    // The only thing that makes the server begin to count anew.
    const endKeepAlive = clock.every(KEEP_ALIVE_MS, () => {
      res.pause()
      res.resume()
    })
    await new Promise<void>((resolve) => {
      resume = resolve
    })
    resume = () => {}
    callOff()
    endKeepAlive()
  }
}
