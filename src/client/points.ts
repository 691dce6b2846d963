/**
 * Points in human units (degrees, metres, metres per second, ms) ⇄ integers of the wire. Nothing is
 * judged here: a value out of range goes to the hub, which rejects and counts it.
 */
import { AT, POINT_SOURCES, POINT_STRIDE } from '../protocol/messages.ts'

export type PointSource = (typeof POINT_SOURCES)[number]

/** What a device hands over to be sent. Absent, null and NaN mean "not known". */
export interface RecordedPoint {
  /** Milliseconds since 1970-01-01 UTC. */
  recordedMs: number
  /** Degrees, WGS 84. */
  lat: number
  lng: number
  /** Metres. */
  accuracy?: number | null | undefined
  /** Metres per second. */
  speed?: number | null | undefined
  /** Degrees clockwise from true north. */
  heading?: number | null | undefined
  /** Metres above the WGS 84 ellipsoid. */
  altitude?: number | null | undefined
  source?: PointSource | null | undefined
  /** The moment the session started, in ms; absent: the hub groups points itself (D3). */
  session?: number | null | undefined
}

/** A point as a viewer sees it; null means "not known". */
export interface SeenPoint {
  recordedMs: number
  lat: number
  lng: number
  accuracy: number | null
  speed: number | null
  heading: number | null
  altitude: number | null
  source: PointSource
  session: number
}

const E7 = 10_000_000
const FULL_CIRCLE = 36_000

/**
 * Writes the POINT_STRIDE wire integers of `point` to `into` from `offset` on; NaN is nil. Throws a
 * RangeError when there is no time or place at all (NaN, ±Infinity): nothing could be sent for it.
 */
export function toWire(point: RecordedPoint, into: Float64Array, offset: number): void {
  if (!Number.isFinite(point.recordedMs) || !Number.isFinite(point.lat) || !Number.isFinite(point.lng)) {
    throw new RangeError('a point needs recordedMs, lat and lng')
  }
  into[offset + AT.recordedMs] = wireInt(point.recordedMs, 1)
  into[offset + AT.lat] = wireInt(point.lat, E7)
  into[offset + AT.lng] = wireInt(point.lng, E7)
  into[offset + AT.accuracy] = wireInt(point.accuracy, 100)
  into[offset + AT.speed] = wireInt(point.speed, 100)
  const heading = wireInt(point.heading, 100)
  // 360° (or 359.996°, which rounds to it) is north, and north is 0 on the wire.
  into[offset + AT.heading] = heading === FULL_CIRCLE ? 0 : heading
  into[offset + AT.altitude] = wireInt(point.altitude, 100)
  into[offset + AT.source] = point.source == null ? Number.NaN : POINT_SOURCES.indexOf(point.source)
}

/** A whole number for the wire, NaN for nil. */
export function wireInt(value: number | null | undefined, factor: number): number {
  if (value == null || Number.isNaN(value)) return Number.NaN
  const rounded = Math.round(value * factor)
  // Far beyond every range of the protocol, but still an integer, so that the hub can reject it.
  if (rounded > Number.MAX_SAFE_INTEGER) return Number.MAX_SAFE_INTEGER
  if (rounded < Number.MIN_SAFE_INTEGER) return Number.MIN_SAFE_INTEGER
  // Adding 0 makes −0 an ordinary zero.
  return rounded + 0
}

/** The point at `offset` of flat wire values (see POINT_STRIDE), in human units. */
export function fromWire(values: Float64Array, offset: number, session: number): SeenPoint {
  return {
    recordedMs: values[offset + AT.recordedMs]!,
    lat: values[offset + AT.lat]! / E7,
    lng: values[offset + AT.lng]! / E7,
    accuracy: hundredths(values[offset + AT.accuracy]!),
    speed: hundredths(values[offset + AT.speed]!),
    heading: hundredths(values[offset + AT.heading]!),
    altitude: hundredths(values[offset + AT.altitude]!),
    source: POINT_SOURCES[values[offset + AT.source]!] ?? 'gps',
    session,
  }
}

function hundredths(value: number): number | null {
  return Number.isNaN(value) ? null : value / 100
}

/**
 * The flat wire values of the points of a LIVE frame or of one SNAP record; null when their shape is
 * wrong. `rows` are as on the wire: `[dtMs, lat, lng, …]`, 3 to POINT_STRIDE elements and more later.
 */
export function flatValues(rows: readonly unknown[], baseMs: number): Float64Array | null {
  const values = new Float64Array(rows.length * POINT_STRIDE)
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]
    if (!Array.isArray(row) || row.length < 3) return null
    for (let field = 0; field < POINT_STRIDE; field++) {
      const value: unknown = row[field]
      if (value == null && field > AT.lng) values[i * POINT_STRIDE + field] = Number.NaN
      else if (Number.isSafeInteger(value)) values[i * POINT_STRIDE + field] = value as number
      else return null
    }
    values[i * POINT_STRIDE]! += baseMs
  }
  return values
}
