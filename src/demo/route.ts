/**
 * Turns the fixes of one recorded vehicle or walker into an endless route for the demo: which fix comes
 * after which wait, where a new trip begins, and how fast and in which direction it moves. Positions stay
 * as recorded; only waits are shortened.
 */
import type { TimedFix } from '../tracks/read/survey.ts'

/** One fix of a route, and what to do before it is sent. */
export interface Step {
  /** How long after the step before; for the first one, after the last of the lap. */
  waitMs: number
  /** The fix begins a new session: the first of a lap, or the first after a long gap. */
  startsTrip: boolean
  lat: number
  lng: number
  altitude: number | null
  accuracy: number | null
  /** Metres per second, as it was really driven or walked, not at the demo's pace. */
  speed: number | null
  /** Degrees clockwise from true north. */
  heading: number | null
}

/** A gap longer than this is a stop or a hole in the recording; nobody watches a map for that long. */
const GAP_KEPT_MS_MAX = 60_000
/** Shorter gaps are kept, but no device of the demo is silent for longer than this. */
const WAIT_MS_MAX = 10_000
/** What is left of a gap that is not kept, and of the way back to the first fix of a lap. */
const JUMP_MS = 2_000
/** After so long a gap the recording is of another trip: a bus that came back, the next day's walk. */
const TRIP_GAP_MS = 10 * 60_000
/** Below this distance two fixes differ by the receiver's noise and have no direction. */
const MOVED_METRES_MIN = 5

/**
 * `speed` 5 makes of a gap of 25 s a wait of 5 s. Fixes that are not later than the one before are left
 * out. Speed and heading are computed from the step before where the file has none.
 */
export function createRoute(fixes: Iterable<TimedFix>, speed: number): Step[] {
  const steps: Step[] = []
  let before: TimedFix | null = null
  let heading: number | null = null
  for (const fix of fixes) {
    const gapMs = before === null ? Number.POSITIVE_INFINITY : fix.recordedMs - before.recordedMs
    if (gapMs <= 0) continue
    const jumped = gapMs > GAP_KEPT_MS_MAX
    const metres = before === null || jumped ? null : metresBetween(before, fix)
    if (jumped) heading = null
    else if (metres !== null && metres >= MOVED_METRES_MIN) heading = degreesFromNorth(before!, fix)
    heading = fix.heading ?? heading
    steps.push({
      waitMs: jumped ? JUMP_MS : Math.min(gapMs / speed, WAIT_MS_MAX),
      startsTrip: gapMs > TRIP_GAP_MS,
      lat: fix.lat,
      lng: fix.lng,
      altitude: fix.altitude ?? null,
      accuracy: fix.accuracy ?? null,
      speed: fix.speed ?? (metres === null ? null : metres / (gapMs / 1_000)),
      heading,
    })
    before = fix
  }
  return steps
}

interface Place {
  lat: number
  lng: number
}

const EARTH_RADIUS_METRES = 6_371_008.8
const radians = (degrees: number) => (degrees * Math.PI) / 180

/** Great-circle distance by the haversine formula, on a sphere of the Earth's mean radius. */
export function metresBetween(from: Place, to: Place): number {
  const halfLat = Math.sin(radians(to.lat - from.lat) / 2)
  const halfLng = Math.sin(radians(to.lng - from.lng) / 2)
  const chord = halfLat ** 2 + Math.cos(radians(from.lat)) * Math.cos(radians(to.lat)) * halfLng ** 2
  return 2 * EARTH_RADIUS_METRES * Math.asin(Math.min(1, Math.sqrt(chord)))
}

/** Initial bearing of the great circle, 0 ≤ degrees < 360. */
export function degreesFromNorth(from: Place, to: Place): number {
  const lng = radians(to.lng - from.lng)
  const east = Math.sin(lng) * Math.cos(radians(to.lat))
  const north =
    Math.cos(radians(from.lat)) * Math.sin(radians(to.lat)) -
    Math.sin(radians(from.lat)) * Math.cos(radians(to.lat)) * Math.cos(lng)
  return ((Math.atan2(east, north) * 180) / Math.PI + 360) % 360
}
