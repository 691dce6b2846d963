/**
 * Plays recorded fixes at their pace: waits until each is due, then hands it over. It does not know who
 * takes them; how fast the taker can go decides too.
 */
import { type Clock, until } from './clock.ts'
import type { Pace } from './pace.ts'
import type { TimedFix } from './read/survey.ts'

/**
 * Hands every fix to `send`, in the order given, with the time it is to carry; a fix that is overdue goes
 * at once. The next one waits until `send` has resolved. Returns early when `signal` is aborted.
 */
export async function play(
  fixes: AsyncIterable<TimedFix>,
  pace: Pace,
  clock: Clock,
  signal: AbortSignal,
  send: (fix: TimedFix) => Promise<void>,
): Promise<void> {
  for await (const fix of fixes) {
    await until(pace.dueMs(fix.recordedMs), clock, signal)
    if (signal.aborted) return
    await send({ ...fix, recordedMs: pace.stampMs(fix.recordedMs) })
  }
}
