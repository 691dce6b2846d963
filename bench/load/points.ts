/**
 * The points that devices of a benchmark send. Each is as far from the one before as a car gets in a second, since
 * an index over places that hardly differ costs more than any real one; in time they are much closer together.
 */
import { encodeLive, pack } from '../../src/protocol/encode.ts'
import { AT, POINT_STRIDE, TYPE } from '../../src/protocol/messages.ts'

/** How far apart the points of a device are recorded: as close as points can be. */
const STEP_MS = 1
/** How long before the clock they begin: so long a device may outrun it, and they are still young enough to go live. */
const HEAD_START_MS = 40_000
/** Points of one turn around a circle of about 25 kilometres; the next turn is a little wider. */
const TURN_POINTS = 6_000
/** So many devices have a place of their own; more would leave the globe. */
const PLACES = 4_000

/** Numbers as long as those of most frames of a run. */
const TYPICAL = { deviceId: 20, seq: 1_000 }

/** Where one device's points go on. The same in every run: `place` is all that tells devices apart. */
export interface Course {
  place: number
  sessionMs: number
  nextMs: number
  /** Points made so far. */
  made: number
}

/** A course whose points are young enough to be shown live, and not in the future for a good while. */
export function startCourse(place: number, nowMs: number): Course {
  const sessionMs = nowMs - HEAD_START_MS
  return { place, sessionMs, nextMs: sessionMs, made: 0 }
}

/** After a rest: back behind the clock, or on from where it is. */
export function catchUp(course: Course, nowMs: number): void {
  course.nextMs = Math.max(course.nextMs, nowMs - HEAD_START_MS)
}

/** The next `count` points, flat in wire units as in messages.ts. */
export function nextPoints(course: Course, count: number): Float64Array {
  const values = new Float64Array(count * POINT_STRIDE)
  const aside = (course.place % PLACES) * 50_000
  for (let i = 0; i < count; i++) {
    const at = i * POINT_STRIDE
    const turn = course.made / TURN_POINTS + course.place / 50
    const angle = turn * 2 * Math.PI
    const radius = 1_100_000 + Math.floor(turn) * 3_000
    values[at + AT.recordedMs] = course.nextMs
    values[at + AT.lat] = Math.round(452_000_000 + aside + Math.sin(angle) * radius)
    values[at + AT.lng] = Math.round(138_000_000 + aside + Math.cos(angle) * radius * 1.4)
    values[at + AT.accuracy] = 350 + (course.made % 400)
    values[at + AT.speed] = 1_200 + (course.made % 300)
    values[at + AT.heading] = Math.floor((turn % 1) * 36_000)
    values[at + AT.altitude] = 24_000 + (course.made % 500)
    values[at + AT.source] = 0
    course.nextMs += STEP_MS
    course.made += 1
  }
  return values
}

/** POINTS of these points. */
export function encodePoints(seq: number, sessionMs: number, values: Float64Array): Uint8Array {
  const baseMs = values[0]!
  const rows: number[][] = []
  for (let at = 0; at < values.length; at += POINT_STRIDE) {
    const row = Array.from(values.subarray(at, at + AT.source))
    row[0] = values[at]! - baseMs
    rows.push(row)
  }
  return pack([TYPE.points, seq, sessionMs, baseMs, rows])
}

/** How large the frames of a benchmark are, in bytes without the frame of WebSocket: POINTS, and LIVE of the same points. */
export function frameBytes(pointsPerFrame: number): { points: number; live: number } {
  const course = startCourse(1, Date.now())
  const values = nextPoints(course, pointsPerFrame)
  return {
    points: encodePoints(TYPICAL.seq, course.sessionMs, values).length,
    live: encodeAsLive(TYPICAL.deviceId, TYPICAL.seq, course.sessionMs, values).length,
  }
}

/** The LIVE frame that a hub makes of these points. */
export function encodeAsLive(
  deviceId: number,
  seq: number,
  sessionMs: number,
  values: Float64Array,
): Uint8Array {
  const position = { deviceId, epoch: sessionMs, n: seq }
  return encodeLive(position, sessionMs, values, 0, values.length / POINT_STRIDE)
}
