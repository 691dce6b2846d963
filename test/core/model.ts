/**
 * What must become of the frames of one device, worked out the slow way from PROTOCOL.md D1 to D9: everything
 * ever heard is kept in lists, and every answer is searched for in them again. It knows nothing of src/core.
 */
import type { Row } from './frames.ts'

export interface ModelSession {
  startMs: number
  isAutomatic: boolean
  /** Times of its points, in the order they came. */
  pointsMs: number[]
  /** Ops in the order they came. */
  ops: { op: number; atMs: number }[]
  isEndedByHub: boolean
  /** The device has recorded a point further behind its last one than the gap. */
  isPassed: boolean
  /** The hub's clock at each point and op. */
  heardMs: number[]
}

export interface Expected {
  /** Each with every reason that applies; the hub names one. */
  rejected: { index: number; reasons: number[] }[]
  kept: { row: Row; session: ModelSession; isLive: boolean; isAhead: boolean }[]
}

/** Which of several sessions that D3 allows the hub has taken for the point kept as number `at`. */
export type Choose = (at: number, allowed: ModelSession[]) => ModelSession

export interface ModelLimits {
  gapMs: number
  idleMs: number
  liveAgeMs: number
}

export type Model = ReturnType<typeof createModel>

const YEAR_2000_MS = Date.UTC(2000, 0, 1)
const DAY_MS = 24 * 3_600_000
const AHEAD_MS = 60_000
const END = 3

export function createModel({ gapMs, idleMs, liveAgeMs }: ModelLimits) {
  const sessions: ModelSession[] = []
  /** Kept points in the order they came; a point ahead does not count as the newest. */
  const heard: { row: Row; session: ModelSession; isAhead: boolean }[] = []
  return { points, op, newest, mayEnd, mustEnd, sessions: sessions as readonly ModelSession[] }

  function points(session: number | null, rows: readonly Row[], nowMs: number, choose: Choose): Expected {
    const expected: Expected = { rejected: [], kept: [] }
    const refusal = session === null ? [] : timeReasons(session, nowMs)
    if (refusal.length > 0) return { rejected: [{ index: -1, reasons: refusal }], kept: [] }
    const explicit = session === null ? null : named(session, nowMs)
    rows.forEach((row, index) => {
      const reasons = reasonsAgainst(row, nowMs)
      if (reasons.length > 0) expected.rejected.push({ index, reasons })
      else expected.kept.push(keep(row, explicit, nowMs, (allowed) => choose(expected.kept.length, allowed)))
    })
    // The last of a frame is shown however old it is, if it is the newest of the device.
    const last = expected.kept.at(-1)
    if (last !== undefined && newest()?.row === last.row) last.isLive = true
    return expected
  }

  /** A SESSION frame; the reasons why it is refused, or none. */
  function op(session: number, number: number, atMs: number, nowMs: number): number[] {
    const refusal = [...timeReasons(session, nowMs), ...timeReasons(atMs, nowMs)]
    if (refusal.length > 0) return refusal
    const found = named(session, nowMs)
    found.ops.push({ op: number, atMs })
    found.heardMs.push(nowMs)
    return []
  }

  /** The first point with the latest time of all that count. */
  function newest() {
    const counting = heard.filter(({ isAhead }) => !isAhead)
    const latestMs = Math.max(...counting.map(({ row }) => timeOf(row)))
    return counting.find(({ row }) => timeOf(row) === latestMs)
  }

  function keep(
    row: Row,
    explicit: ModelSession | null,
    nowMs: number,
    choose: (allowed: ModelSession[]) => ModelSession,
  ): Expected['kept'][number] {
    const recordedMs = timeOf(row)
    const session = explicit ?? choose(sessionsFor(recordedMs))
    if (!sessions.includes(session)) sessions.push(session)
    addPoint(session, recordedMs, nowMs)
    const isAhead = recordedMs > nowMs + AHEAD_MS
    heard.push({ row, session, isAhead })
    // Newer than every earlier one: the first of all that have its time, and that is the latest.
    const isNewest = newest()?.row === row
    return { row, session, isAhead, isLive: isNewest && recordedMs >= nowMs - liveAgeMs }
  }

  function addPoint(session: ModelSession, recordedMs: number, nowMs: number): void {
    for (const one of sessions) {
      if (one.isAutomatic && one.pointsMs.length > 0 && recordedMs > Math.max(...one.pointsMs) + gapMs) {
        one.isPassed = true
      }
    }
    session.pointsMs.push(recordedMs)
    session.heardMs.push(nowMs)
    // The start of an automatic session is provisional: its first point, or the next moment that is no other's start.
    let freeMs = recordedMs
    while (sessions.some(({ startMs }) => startMs === freeMs)) freeMs += 1
    if (session.isAutomatic && freeMs < session.startMs) session.startMs = freeMs
  }

  /** D3: every session that a point without one may belong to; a new one if there is none. */
  function sessionsFor(recordedMs: number): ModelSession[] {
    const open = sessions.filter(
      (one) => !one.isAutomatic && statusOf(one) !== 'ended' && one.startMs <= recordedMs,
    )
    if (open.length > 0) {
      const latestMs = Math.max(...open.map(({ startMs }) => startMs))
      return open.filter(({ startMs }) => startMs === latestMs)
    }
    const near = sessions.filter(
      (one) => one.isAutomatic && one.pointsMs.some((pointMs) => Math.abs(pointMs - recordedMs) <= gapMs),
    )
    if (near.length > 0) return near
    // No two sessions of a device have the same start.
    const namesake = sessions.find(({ startMs }) => startMs === recordedMs)
    return [namesake ?? newSession(recordedMs, true)]
  }

  function named(startMs: number, nowMs: number): ModelSession {
    let found = sessions.find((one) => one.startMs === startMs)
    if (found === undefined) {
      found = newSession(startMs, false)
      found.heardMs.push(nowMs)
      sessions.push(found)
    }
    found.isAutomatic = false
    return found
  }

  /** Whether the hub may have ended the session for being idle. */
  function mayEnd(session: ModelSession, nowMs: number): boolean {
    if (session.isAutomatic && session.isPassed) return true
    return nowMs - Math.max(...session.pointsMs, session.heardMs.at(-1)!) > limitOf(session)
  }

  /** Whether nothing at all has been heard of the session for so long that the hub must end it. */
  function mustEnd(session: ModelSession, nowMs: number): boolean {
    if (statusOf(session) === 'ended') return false
    const opsMs = session.ops.map(({ atMs }) => atMs)
    const latestMs = Math.max(session.startMs, ...session.pointsMs, ...session.heardMs, ...opsMs)
    return nowMs - latestMs > limitOf(session)
  }

  function limitOf(session: ModelSession): number {
    return session.isAutomatic ? gapMs : idleMs
  }
}

function newSession(startMs: number, isAutomatic: boolean): ModelSession {
  const lists = { pointsMs: [], ops: [], heardMs: [] }
  return { startMs, isAutomatic, isEndedByHub: false, isPassed: false, ...lists }
}

/** The op that decides (D2): a session is active from its start on, and *ended* is final. */
function decidingOp(session: ModelSession): { op: number; atMs: number } {
  let best = { op: 0, atMs: session.startMs }
  for (const one of session.ops) {
    if (best.op === END) break
    if (one.atMs > best.atMs || (one.atMs === best.atMs && one.op > best.op)) best = one
  }
  return best
}

export function statusOf(session: ModelSession): 'active' | 'paused' | 'ended' {
  if (session.isEndedByHub) return 'ended'
  return (['active', 'paused', 'active', 'ended'] as const)[decidingOp(session).op]!
}

/** Where a session that has ended ends: at its op or its last point, whichever is later; null before that. */
export function endOf(session: ModelSession): number | null {
  if (statusOf(session) !== 'ended') return null
  const opMs = session.isEndedByHub ? session.startMs : decidingOp(session).atMs
  return Math.max(opMs, session.startMs, ...session.pointsMs)
}

function reasonsAgainst(row: Row, nowMs: number): number[] {
  const [recordedMs, lat, lng, accuracy, speed, heading, altitude, source] = row as [number, ...number[]]
  const reasons = timeReasons(recordedMs, nowMs)
  if (!isWithin(lat!, -900_000_000, 900_000_000) || !isWithin(lng!, -1_800_000_000, 1_800_000_000)) {
    reasons.push(1)
  }
  const int32Max = 2 ** 31 - 1
  const isGood =
    isNilOr(accuracy!, 0, int32Max) &&
    isNilOr(speed!, 0, int32Max) &&
    isNilOr(heading!, 0, 35_999) &&
    isNilOr(altitude!, -int32Max, int32Max) &&
    [0, 1, 2, 3].includes(source!)
  if (!isGood) reasons.push(4)
  return reasons
}

function timeReasons(ms: number, nowMs: number): number[] {
  if (ms > nowMs + DAY_MS) return [2]
  return ms < YEAR_2000_MS ? [3] : []
}

function isNilOr(value: number, min: number, max: number): boolean {
  return Number.isNaN(value) || isWithin(value, min, max)
}

function isWithin(value: number, min: number, max: number): boolean {
  return value >= min && value <= max
}

function timeOf(row: Row): number {
  return row[0]!
}
