/**
 * Frames and devices as the core gets them; what a test does not name is something ordinary. It builds and
 * lists, and judges nothing.
 */
import { type Device, type DeviceLimits, deviceOf, type KnownDevice } from '../../src/core/device.ts'
import type { Session } from '../../src/core/sessions.ts'
import { type PointsFrame, type SessionFrame, type SessionOp, TYPE } from '../../src/protocol/messages.ts'

export const SECOND_MS = 1_000
export const MINUTE_MS = 60 * SECOND_MS
export const HOUR_MS = 60 * MINUTE_MS
/** A Sunday afternoon. */
export const NOW_MS = Date.UTC(2025, 5, 15, 15)

export const GAP_MS = 30 * MINUTE_MS
export const IDLE_MS = 24 * HOUR_MS

export const LIMITS: DeviceLimits = {
  sessionGapMs: GAP_MS,
  sessionIdleMs: IDLE_MS,
  liveAgeMs: MINUTE_MS,
  deviceFramesPerS: 1_000_000,
  deviceFramesBurst: 1_000_000,
  devicePointsPerS: 1_000_000,
  devicePointsBurst: 1_000_000,
  deviceSessionsPerHour: 1_000_000,
  deviceSessionsBurst: 1_000_000,
}

/** A point in the order of the wire, with its time in place of `dtMs`; NaN is nil. */
export type Row = readonly number[]
const FIELDS_PER_POINT = 8

export interface PointParts {
  recordedMs: number
  lat?: number
  lng?: number
  accuracy?: number
  speed?: number
  heading?: number
  altitude?: number
  source?: number
}

export function row(parts: PointParts): Row {
  const { recordedMs, lat = 481_234_567, lng = 115_678_901, accuracy = 450, speed = Number.NaN } = parts
  const { heading = Number.NaN, altitude = Number.NaN, source = 0 } = parts
  return [recordedMs, lat, lng, accuracy, speed, heading, altitude, source]
}

/** A point that is given by nothing but a number is an ordinary one recorded at that moment. */
export function pointsFrame(
  seq: number,
  session: number | null,
  points: readonly (number | PointParts)[],
): PointsFrame {
  return frameOfRows(
    seq,
    session,
    points.map((point) => row(typeof point === 'number' ? { recordedMs: point } : point)),
  )
}

export function frameOfRows(seq: number, session: number | null, rows: readonly Row[]): PointsFrame {
  return { type: TYPE.points, seq, session, values: Float64Array.from(rows.flat()) }
}

export function sessionFrame(seq: number, session: number, op: SessionOp, atMs = session): SessionFrame {
  return { type: TYPE.session, seq, session, op, atMs }
}

/** The first `count` points of `values`. */
export function rowsOf(values: Float64Array, count = values.length / FIELDS_PER_POINT): Row[] {
  return Array.from({ length: count }, (_, i) =>
    Array.from(values.subarray(i * FIELDS_PER_POINT, (i + 1) * FIELDS_PER_POINT)),
  )
}

export function knownDevice(known: Partial<KnownDevice> = {}): KnownDevice {
  return {
    id: 7,
    userId: 3,
    name: 'van',
    color: 'green',
    platform: 'android',
    lastSeenMs: null,
    newest: null,
    sessions: [],
    ...known,
  }
}

export function newDevice(known: Partial<KnownDevice> = {}, limits: Partial<DeviceLimits> = {}): Device {
  return deviceOf(knownDevice(known), NOW_MS, { ...LIMITS, ...limits })
}

/** A session that the store has: explicit, active, without points. */
export function storedSession(session: Partial<Session> & { startedMs: number }): Session {
  return {
    deviceId: 7,
    userId: 3,
    id: 1,
    automatic: false,
    status: 'active',
    statusMs: session.startedMs,
    statusOp: 0,
    endedMs: null,
    firstMs: Number.POSITIVE_INFINITY,
    lastMs: Number.NEGATIVE_INFINITY,
    isLastKnown: true,
    touchedMs: session.startedMs,
    isCounted: true,
    revision: 1,
    storedRevision: 1,
    siblings: [],
    ...session,
  }
}
