/** A session as it was: where the device was at any moment of it, how fast, and how far it had come. */
import type { PointJson } from '../../protocol/http.ts'
import { metresBetween, type Place } from './mercator.ts'

export interface ReplayPoint extends Place {
  recordedMs: number
  /** Metres per second; where the device did not say, from the way since the point before. */
  speed: number | null
  heading: number | null
  /** Metres from the start. */
  distanceM: number
}

export interface Moment extends Place {
  speed: number | null
  heading: number | null
  distanceM: number
  /** Points up to here are behind it. */
  index: number
}

export type Replay = ReturnType<typeof createReplay>

/** Over a longer silence nobody knows the way; the device waits where it was last seen. */
const SILENCE_MS = 5 * 60_000
/** Over a shorter time the error of a receiver is a speed of its own. */
const SECONDS_MIN = 1

/** `track` is in order of time; at least one point. */
export function createReplay(track: readonly PointJson[]) {
  const points = pointsOf(track)
  const startMs = points[0]!.recordedMs
  const endMs = points.at(-1)!.recordedMs
  return { points, startMs, endMs, distanceM: points.at(-1)!.distanceM, at, speeds }

  function at(timeMs: number): Moment {
    const index = lastUpTo(timeMs)
    const from = points[index]!
    const to = points[index + 1]
    if (to === undefined || to.recordedMs - from.recordedMs > SILENCE_MS) return { ...from, index }
    const part = Math.min(1, Math.max(0, (timeMs - from.recordedMs) / (to.recordedMs - from.recordedMs)))
    return {
      lat: from.lat + (to.lat - from.lat) * part,
      lng: from.lng + (to.lng - from.lng) * part,
      speed: between(from.speed, to.speed, part),
      heading: to.heading ?? from.heading,
      distanceM: from.distanceM + (to.distanceM - from.distanceM) * part,
      index,
    }
  }

  function lastUpTo(timeMs: number): number {
    let [low, high] = [0, points.length - 1]
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if (points[middle]!.recordedMs <= timeMs) low = middle
      else high = middle - 1
    }
    return low
  }

  /** The speed at `count` moments spread over the session, for a picture of it; 0 where nobody knows. */
  function speeds(count: number): number[] {
    return Array.from({ length: count }, (_, i) => {
      const { index, speed } = at(startMs + ((endMs - startMs) * i) / (count - 1))
      const next = points[index + 1]
      const isSilent = next !== undefined && next.recordedMs - points[index]!.recordedMs > SILENCE_MS
      return isSilent ? 0 : (speed ?? 0)
    })
  }
}

function pointsOf(track: readonly PointJson[]): ReplayPoint[] {
  const points: ReplayPoint[] = []
  for (const { recordedAt, lat, lng, speed, heading } of track) {
    const before = points.at(-1)
    const recordedMs = Date.parse(recordedAt)
    const metres = before === undefined ? 0 : metresBetween(before, { lat, lng })
    const seconds = before === undefined ? 0 : (recordedMs - before.recordedMs) / 1_000
    points.push({
      recordedMs,
      lat,
      lng,
      speed: speed ?? (seconds >= SECONDS_MIN ? metres / seconds : (before?.speed ?? null)),
      heading: heading ?? (before !== undefined && metres > 3 ? bearing(before, { lat, lng }) : null),
      distanceM: (before?.distanceM ?? 0) + metres,
    })
  }
  return points
}

function between(from: number | null, to: number | null, part: number): number | null {
  return from === null || to === null ? (to ?? from) : from + (to - from) * part
}

/** Initial bearing of the great circle, degrees. */
function bearing(from: Place, to: Place): number {
  const radians = Math.PI / 180
  const lng = (to.lng - from.lng) * radians
  const east = Math.sin(lng) * Math.cos(to.lat * radians)
  const north =
    Math.cos(from.lat * radians) * Math.sin(to.lat * radians) -
    Math.sin(from.lat * radians) * Math.cos(to.lat * radians) * Math.cos(lng)
  return ((Math.atan2(east, north) * 180) / Math.PI + 360) % 360
}
