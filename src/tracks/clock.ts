/** Time as the players of tracks see it: what it is, and how to wait. Tests bring their own. */
import { setTimeout as delay } from 'node:timers/promises'

export interface Clock {
  /** Milliseconds since 1970-01-01 UTC. */
  now(): number
  /** Resolves after `delayMs`, or as soon as `signal` is aborted; never rejects. */
  wait(delayMs: number, signal: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: Date.now,
  async wait(delayMs, signal) {
    try {
      await delay(delayMs, undefined, { signal })
    } catch {
      // Only an abort rejects, and the caller looks at its signal anyway.
    }
  },
}

/** A timer's delay is 31 bits of milliseconds, and gaps between recorded fixes may be months. */
const WAIT_MS_MAX = 24 * 3_600_000

/** Waits until `dueMs` by `clock`, not at all when that is past or `signal` is aborted. */
export async function until(dueMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
  for (;;) {
    const aheadMs = dueMs - clock.now()
    if (!(aheadMs > 0) || signal.aborted) return
    await clock.wait(Math.min(Math.ceil(aheadMs), WAIT_MS_MAX), signal)
  }
}
