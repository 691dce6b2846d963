/**
 * What may be asked of whoever keeps the past: sessions are as the API shows them, points nearly so. Times are
 * milliseconds where they are asked for; a place in time is opaque but for its order.
 */
import type { PointJson, SessionJson } from '../protocol/http.ts'

/**
 * A device may name a session for points a little older than its start, such as the last known position. Older ones still
 * are stored, but no track looks for them: points are read by device and time, and the history of a device is long.
 */
export const EARLY_MS = 3_600_000

/** A point as answers show it, with its time as a number. */
export interface TrackPoint extends Omit<PointJson, 'recordedAt'> {
  recordedMs: number
  /** Where it lies among the points of its device: what comes after it is after this. */
  place: Place
  /** It does not go on from the point before it: another session, or a gap in time. */
  isApart: boolean
}

/** Microseconds since 1970-01-01 UTC: what the database tells apart. */
export type Place = number

/** West, south, east, north, in degrees; west of east unless it crosses the antimeridian. */
export type Box = readonly [west: number, south: number, east: number, north: number]

export interface PointsWanted {
  deviceId: number
  /** null: of any. */
  sessionId: number | null
  /** Both inclusive; null: from the first, to the last. */
  fromMs: number | null
  toMs: number | null
  box: Box | null
  /** No point left out is farther from the line of the others, in metres; null: none is left out. */
  simplifyM: number | null
  /** null: from the beginning. */
  after: Place | null
  /** null: all. */
  countMax: number | null
}

export interface SessionsWanted {
  deviceId: number
  /** Of the sessions that were under way between these; null: from the first, to the last. */
  fromMs: number | null
  toMs: number | null
  /** Only those that started before; null: all. */
  beforeMs: number | null
  countMax: number
}

/** A device, whether it is deleted or not. */
export interface PastDevice {
  id: number
  userId: number
  name: string
}

/** Nobody waits for the answer any more. */
export type HasLeft = () => boolean

/** Every function rejects when the database is away. */
export interface History {
  findDevice: (id: number) => Promise<PastDevice | null>
  /** `userId` null: whosever it is. Nothing is measured for anybody else. */
  findSession: (id: number, userId: number | null) => Promise<SessionJson | null>
  /** Newest first. Once `hasLeft` is true no more of them are measured, and the rest is missing. */
  listSessions: (wanted: SessionsWanted, hasLeft: HasLeft) => Promise<SessionJson[]>
  /**
   * In order of time, a page at a time. A page is read when it is asked for, and nothing is held open in the database
   * between two of them, so that whoever reads may take all the time there is. Once `hasLeft` is true it ends, however
   * much it has to look through for the next page.
   */
  points: (wanted: PointsWanted, hasLeft: HasLeft) => AsyncGenerator<TrackPoint[]>
}
