/** Which of the positions that a browser reports are worth a point: as often as the hub asked, and at every jump. */
import { metresBetween, type Place } from '../map/mercator.ts'

export interface Fix extends Place {
  atMs: number
}

/** Timers and receivers are never on time: what comes a little early is not made to wait a whole interval. */
const EARLY = 0.85
/** So far from the last point that leaving it out would cut a corner. */
const FAR_METRES = 75

export function isWorthAPoint(last: Fix | null, fix: Fix, intervalMs: number): boolean {
  if (last === null) return true
  if (fix.atMs <= last.atMs) return false
  return fix.atMs - last.atMs >= intervalMs * EARLY || metresBetween(last, fix) >= FAR_METRES
}
