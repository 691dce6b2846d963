/**
 * Plays recorded fixes at their pace: waits until each is due, then hands it over. It does not know who
 * takes them; how fast the taker can go decides too.
 */
import { type Clock, wait } from '../clock.ts'
import type { Pace } from './pace.ts'
import type { TimedFix } from './read/survey.ts'

/**
 * Hands every fix to `send`, in the order given, with the time it is to carry; a fix that is overdue goes
 * at once. The next one waits until `send` has resolved. Returns early when `signal` is aborted.
 */
export async function play(
  fixes: AsyncIterable<TimedFix>,
  pace: Pace,
  clock: Pick<Clock, 'now' | 'after'>,
  signal: AbortSignal,
  send: (fix: TimedFix) => Promise<void>,
): Promise<void> {
  for await (const fix of fixes) {
    await until(pace.dueMs(fix.recordedMs), clock, signal)
    if (signal.aborted) return
    await send({ ...fix, recordedMs: pace.stampMs(fix.recordedMs) })
  }
}

/** A machine may sleep for a part of it: gaps between recorded fixes may be months, so the time is looked at now and then. */
const WAIT_MS_MAX = 24 * 3_600_000

/** Waits until `dueMs` by `clock`, not at all when that is past or `signal` is aborted. */
export async function until(
  dueMs: number,
  clock: Pick<Clock, 'now' | 'after'>,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const aheadMs = dueMs - clock.now()
    if (!(aheadMs > 0) || signal.aborted) return
    await wait(clock, Math.min(Math.ceil(aheadMs), WAIT_MS_MAX), signal)
  }
}
