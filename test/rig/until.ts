/** Waits for something that can be observed. It knows no time but how long to be patient. */
import { setTimeout as sleep } from 'node:timers/promises'

/** Not a measure of speed: long after this, on a machine with ten times as much to do, nothing would come any more. */
export const PATIENCE_MS = 30_000

/**
 * Resolves with the first truthy value of `predicate`. Rejects, naming `what`, when there is none within
 * `timeoutMs`, and with the last error when the predicate threw instead of answering.
 */
export async function until<Value>(
  predicate: () => Value | Promise<Value>,
  what: string,
  timeoutMs = PATIENCE_MS,
): Promise<NonNullable<Value>> {
  const deadlineMs = performance.now() + timeoutMs
  let pauseMs = 1
  for (;;) {
    let fault: unknown
    try {
      const value = await predicate()
      if (value) return value
    } catch (thrown) {
      fault = thrown
    }
    if (performance.now() > deadlineMs) {
      throw new Error(`waited ${timeoutMs} ms in vain until ${what}`, { cause: fault })
    }
    await sleep(pauseMs)
    pauseMs = Math.min(50, pauseMs * 2)
  }
}
