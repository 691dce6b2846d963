/**
 * When each fix of a recorded file is due, and which time it then carries. Pure arithmetic: whoever has a
 * clock waits.
 */

/** `none` keeps the recorded times; `now` moves the file so that its first fix is recorded at its start. */
export type Shift = 'now' | 'none'

export interface Pace {
  /** The moment to send a fix; in the past for one that is older than the first. */
  dueMs(recordedMs: number): number
  /** The recorded time to send with it. */
  stampMs(recordedMs: number): number
}

/**
 * `firstMs` is the recorded time that is due at `startMs`; `speed` 2 halves every gap, and 0 leaves none.
 * With `shift` `now`, the first fix is stamped `stampFromMs` and gaps between stamps stay as recorded,
 * whatever the speed.
 */
export function createPace(plan: {
  firstMs: number
  startMs: number
  speed: number
  shift: Shift
  stampFromMs?: number
}): Pace {
  const { firstMs, startMs, speed, shift, stampFromMs = startMs } = plan
  const movedMs = shift === 'now' ? Math.round(stampFromMs - firstMs) : 0
  return {
    dueMs: (recordedMs) => (speed === 0 ? startMs : startMs + (recordedMs - firstMs) / speed),
    stampMs: (recordedMs) => recordedMs + movedMs,
  }
}
