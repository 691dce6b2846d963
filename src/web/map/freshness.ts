/** Whether what is shown of a device can be taken for now. An old position must never look like a new one. */
import type { DeviceView } from '../../client/browser.ts'

/**
 * `moving`, `still`: heard of just now. `stale`: connected, or was when we last knew, but its position is old.
 * `offline`: not connected. `unplaced`: no position yet.
 */
export type Freshness = 'moving' | 'still' | 'stale' | 'offline' | 'unplaced'

/** A device that nobody watches sends every 15 s or so; twice that and a little is late. */
export const FRESH_MS_MAX = 40_000
/** Below it a receiver's noise is taken for movement. */
const MOVING_SPEED_MIN = 0.5

export function freshnessOf(
  { last, online }: Pick<DeviceView, 'last' | 'online'>,
  /** The hub's clock. */
  nowMs: number,
  /** This page hears the hub. */
  isHearing: boolean,
): Freshness {
  if (last === null) return 'unplaced'
  if (!online) return 'offline'
  if (!isHearing || nowMs - last.recordedMs > FRESH_MS_MAX) return 'stale'
  return (last.speed ?? 0) >= MOVING_SPEED_MIN ? 'moving' : 'still'
}
