/**
 * One direction of a proxied connection: chunks, and at last the end, go from one socket to the other in order,
 * later or never. It knows no connection, only the two sockets.
 */
import type { Socket } from 'node:net'
import { reset } from './reset.ts'

/** What waits beyond this is left in the kernel, where it slows the sender down as a full network would. */
const WAITING_BYTES_MAX = 1024 * 1024

interface Watcher {
  /** How much later a chunk passes that arrives now. One that would overtake waits for its predecessor. */
  delayMs: () => number
  /** What passes at the most; Infinity: as much as there is. */
  bytesPerS: () => number
  /** How a chunk is cut for its journey. */
  slices: (chunk: Buffer) => Buffer[]
  /** Called as a chunk arrives; returns what of it may pass when its turn comes. */
  arrived: (chunk: Buffer) => Buffer[]
  forwarded: (bytes: number) => void
}

type Item = { dueMs: number } & ({ chunk: Buffer } | { call: () => void })

export type Pipe = ReturnType<typeof createPipe>

export function createPipe(from: Socket, to: Socket, watcher: Watcher) {
  const waiting: Item[] = []
  let waitingBytes = 0
  /** No item is due before. */
  let lastDueMs = 0
  /** When the line is free again. */
  let freeMs = 0
  let isFrozen = false
  let isAbandoned = false
  let timer: NodeJS.Timeout | null = null

  from.on('data', (chunk) => {
    if (isAbandoned) return
    for (const passing of watcher.arrived(chunk as Buffer)) pass(passing)
    flush()
  })
  from.once('end', () => queue(() => to.end()))
  from.once('close', (failed) => queue(() => (failed ? reset(to) : to.end())))
  // A socket that failed is closed next, which says all there is to say.
  from.on('error', () => {})
  to.on('drain', flush)

  return { pass, freeze, thaw, abandon }

  /** Lets bytes pass when their turn comes, and then calls. */
  function pass(chunk: Buffer, call?: () => void): void {
    if (isAbandoned) return
    for (const slice of watcher.slices(chunk)) waiting.push({ dueMs: dueFor(slice.length), chunk: slice })
    waitingBytes += chunk.length
    if (call) waiting.push({ dueMs: dueFor(0), call })
    if (waitingBytes > WAITING_BYTES_MAX) from.pause()
  }

  function freeze(): void {
    isFrozen = true
  }

  function thaw(): void {
    isFrozen = false
    flush()
  }

  /** Nothing passes any more; whoever calls this ends the sockets. */
  function abandon(): void {
    isAbandoned = true
    waiting.length = 0
    if (timer) clearTimeout(timer)
  }

  function queue(call: () => void): void {
    if (isAbandoned) return
    waiting.push({ dueMs: dueFor(0), call })
    flush()
  }

  /** When the last of so many bytes is through, if the line is taken as soon as it is free. */
  function dueFor(bytes: number): number {
    const nowMs = performance.now()
    freeMs = Math.max(freeMs, nowMs) + (bytes / watcher.bytesPerS()) * 1000
    lastDueMs = Math.max(lastDueMs, freeMs + watcher.delayMs())
    return lastDueMs
  }

  function flush(): void {
    while (!isFrozen && waiting.length > 0 && !to.writableNeedDrain) {
      const aheadMs = waiting[0]!.dueMs - performance.now()
      if (aheadMs > 0) return later(aheadMs)
      const item = waiting.shift()!
      if ('call' in item) item.call()
      else forward(item.chunk)
    }
    if (waitingBytes <= WAITING_BYTES_MAX && !isAbandoned) from.resume()
  }

  function forward(chunk: Buffer): void {
    waitingBytes -= chunk.length
    if (chunk.length === 0 || to.destroyed) return
    to.write(chunk)
    watcher.forwarded(chunk.length)
  }

  function later(aheadMs: number): void {
    timer ??= setTimeout(() => {
      timer = null
      flush()
    }, aheadMs)
  }
}
