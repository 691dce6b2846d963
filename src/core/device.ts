/**
 * One device as the hub knows it while it runs: what it is called, its newest point, its sessions, and the
 * count of its live frames. Decides what happens to a frame (D2, D3, D8, D9) and returns it as data; it
 * knows no socket, no database and no clock.
 */
import type { DeviceRecord, Position } from '../protocol/encode.ts'
import {
  AT,
  type DeviceColor,
  type DevicePlatform,
  HEADING_MAX,
  INT32_MAX,
  LAT_E7_MAX,
  LIVE_AHEAD_MS_MAX,
  LNG_E7_MAX,
  POINT_SOURCES,
  POINT_STRIDE,
  type PointsFrame,
  REASON,
  RECORDED_AHEAD_MS_MAX,
  RECORDED_MS_MIN,
  type Reason,
  type Rejected,
  type SessionFrame,
  type SessionStatus,
  WHOLE_FRAME,
} from '../protocol/messages.ts'
import { type Bucket, createBucket, isEmpty, take } from './bucket.ts'
import {
  applyOp,
  createSessionBook,
  isUnstored,
  type Session,
  type SessionBook,
  type SessionLimits,
} from './sessions.ts'

export interface DeviceLimits extends SessionLimits {
  /** Points older than this are refused; none or null: none is. */
  retentionMs?: number | null
  liveAgeMs: number
  deviceFramesPerS: number
  deviceFramesBurst: number
  devicePointsPerS: number
  devicePointsBurst: number
  deviceSessionsPerHour: number
  deviceSessionsBurst: number
}

export interface DeviceProfile {
  name: string
  color: DeviceColor
  platform: DevicePlatform
}

/** What the database knows of a device when the hub begins to. */
export interface KnownDevice extends DeviceProfile {
  id: number
  userId: number
  lastSeenMs: number | null
  newest: { sessionId: number; sessionMs: number; sessionStatus: SessionStatus; values: Float64Array } | null
  sessions: Session[]
}

/** What decides whether a device may connect, and what it is called. */
export interface DeviceAccess extends DeviceProfile {
  id: number
  /** SHA-256 of the device key, hex; null when it was never paired. */
  keyHash: string | null
  /** Neither deleted nor deactivated, and neither is its user. */
  isActive: boolean
  /** Deleted or deactivated itself, whatever its user is: nobody is shown it. */
  isGone: boolean
}

/** The same with everything else that the hub has to know of a device. */
export type DeviceCredentials = KnownDevice & DeviceAccess

export interface Device {
  readonly id: number
  readonly userId: number
  profile: DeviceProfile
  /** `(epoch, n)` of the last live frame (V2). */
  epoch: number
  n: number
  online: boolean
  /** Deleted or deactivated: nothing of it goes live any more (D13). */
  isGone: boolean
  lastSeenMs: number | null
  /** Written over with every newer point: whoever wants to keep the values copies them. */
  newest: { session: Pick<Session, 'id' | 'startedMs' | 'status'>; values: Float64Array } | null
  readonly book: SessionBook
  readonly frames: Bucket
  readonly points: Bucket
  readonly newSessions: Bucket
  /** Points in the backlog, of all its connections. */
  pendingPoints: number
  /** Frames in the backlog, of all its connections. */
  pendingFrames: number
}

/**
 * A frame that is kept: what to store, what to tell the device, what to show. Many wait for the writer at a time, so
 * it is lean: lists that may stay empty are NONE until `added` puts something on them.
 */
export interface Kept {
  /** The points to store, `count` of them, flat as in messages.ts. */
  values: Float64Array
  count: number
  /** The session of each point to store. */
  sessionOf: Session[]
  /** Sessions that the store has to learn of, whether or not a point belongs to them. */
  changed: Session[]
  rejected: Rejected[]
  deadLetters: DeadLetter[]
  live: LiveRun[]
  /** Span of the points to store that viewers do not see live, or null. */
  leftOut: Span | null
}

/** Neighbouring points of one session that go live. */
export interface LiveRun {
  session: Session
  from: number
  to: number
}

export interface Span {
  fromMs: number
  toMs: number
}

/** A rejected point that is kept for a person to look at. */
export interface DeadLetter {
  reason: Reason
  sqlstate: string | null
  sessionMs: number | null
  values: Float64Array
}

/** No list in particular; frozen, so that nothing is put on it by accident. */
export const NONE = Object.freeze([]) as unknown as never[]

/** The list, to be kept, with the item at its end. A new one has room for just that: `push` makes room for 17. */
export function added<Item>(list: Item[], item: Item): Item[] {
  if (list.length === 0) return [item]
  list.push(item)
  return list
}

export function deviceOf(known: KnownDevice, nowMs: number, limits: DeviceLimits): Device {
  const { newest } = known
  return {
    id: known.id,
    userId: known.userId,
    profile: { name: known.name, color: known.color, platform: known.platform },
    // Higher than in any earlier run of the hub, so that viewers notice that the count begins anew.
    epoch: nowMs,
    n: 0,
    online: false,
    isGone: false,
    lastSeenMs: known.lastSeenMs,
    newest: newest && { session: sessionOfNewest(known), values: newest.values.slice() },
    book: createSessionBook(known.id, known.userId, limits, known.sessions),
    frames: createBucket(limits.deviceFramesPerS, limits.deviceFramesBurst),
    points: createBucket(limits.devicePointsPerS, limits.devicePointsBurst),
    newSessions: createBucket(limits.deviceSessionsPerHour / 3600, limits.deviceSessionsBurst),
    pendingPoints: 0,
    pendingFrames: 0,
  }
}

/** As it is in the book, or when it is too old to be among the recent ones, as it was read. */
function sessionOfNewest({ newest, sessions }: KnownDevice): Pick<Session, 'id' | 'startedMs' | 'status'> {
  const { sessionId, sessionMs, sessionStatus } = newest!
  const found = sessions.find(({ id }) => id === sessionId)
  return found ?? { id: sessionId, startedMs: sessionMs, status: sessionStatus }
}

/** A connection of the device is accepted: a new epoch (D10). */
export function comeOnline(device: Device, nowMs: number): void {
  device.epoch = Math.max(nowMs, device.epoch + 1)
  device.n = 0
  device.online = true
  device.lastSeenMs = nowMs
}

/** The number of the device's next live frame. */
export function nextPosition(device: Device): Position {
  device.n += 1
  return { deviceId: device.id, epoch: device.epoch, n: device.n }
}

export function recordOf(device: Device): DeviceRecord {
  const { newest } = device
  // Two of the book may have turned out to be one: how it goes on, only the one knows that stayed.
  const stayed = newest && device.book.sessions.find(({ id }) => id !== 0 && id === newest.session.id)
  return {
    deviceId: device.id,
    userId: device.userId,
    ...device.profile,
    online: device.online,
    lastSeenMs: device.lastSeenMs,
    epoch: device.epoch,
    n: device.n,
    last: newest && {
      sessionMs: (stayed ?? newest.session).startedMs,
      sessionStatus: (stayed ?? newest.session).status,
      values: newest.values.slice(),
    },
  }
}

/** Whether the device may send this frame at all; false → 4429. */
export function isWithinRates(device: Device, points: number, nowMs: number): boolean {
  return (
    !isEmpty(device.newSessions, nowMs) && take(device.frames, 1, nowMs) && take(device.points, points, nowMs)
  )
}

/** `latestMs`: the hub knows that it has been so late already; its clock may have gone back since. */
export function keepPoints(
  device: Device,
  frame: PointsFrame,
  nowMs: number,
  limits: DeviceLimits,
  latestMs = nowMs,
): Kept {
  const kept = nothingKept(frame.values)
  const times = timesTaken(nowMs, latestMs, limits)
  const refusal = frame.session === null ? null : sessionReason(device, frame.session, times)
  if (refusal !== null) return refuseFrame(frame, refusal, kept)

  const explicit = frame.session === null ? null : device.book.named(frame.session, nowMs, kept.changed)
  if (explicit !== null) noteChange(kept, explicit)
  for (let index = 0; index * POINT_STRIDE < frame.values.length; index++) {
    keepPoint(device, frame, index, explicit, nowMs, times, kept)
  }
  chooseLive(device, kept, nowMs, limits.liveAgeMs)
  finish(device, kept, nowMs)
  return kept
}

export function keepSessionOp(
  device: Device,
  frame: SessionFrame,
  nowMs: number,
  limits: Pick<DeviceLimits, 'retentionMs'> = {},
  latestMs = nowMs,
): Kept {
  const kept = nothingKept(new Float64Array(0))
  const times = timesTaken(nowMs, latestMs, limits)
  const refusal = sessionReason(device, frame.session, times) ?? timeReason(frame.atMs, times)
  if (refusal !== null) {
    kept.rejected = added(kept.rejected, [frame.seq, WHOLE_FRAME, refusal])
    return kept
  }
  const session = device.book.named(frame.session, nowMs, kept.changed)
  applyOp(session, frame.op, frame.atMs, nowMs)
  noteChange(kept, session)
  finish(device, kept, nowMs)
  return kept
}

/** Sessions that were idle for too long are ended; null when there are none. */
export function endIdleSessions(device: Device, nowMs: number): Kept | null {
  const changed = device.book.endIdle(nowMs)
  return changed.length === 0 ? null : { ...nothingKept(new Float64Array(0)), changed }
}

function nothingKept(values: Float64Array): Kept {
  return {
    values,
    count: 0,
    sessionOf: NONE,
    changed: [],
    rejected: NONE,
    deadLetters: NONE,
    live: NONE,
    leftOut: null,
  }
}

/** Checks the point at `index` of the frame and, if it is good, moves it to the front of what is kept. */
function keepPoint(
  device: Device,
  frame: PointsFrame,
  index: number,
  explicit: Session | null,
  nowMs: number,
  times: TimesTaken,
  kept: Kept,
): void {
  const { values } = frame
  const from = index * POINT_STRIDE
  const recordedMs = values[from]!
  const reason = fieldReason(values, from) ?? timeReason(recordedMs, times)
  if (reason !== null) {
    reject(frame, index, reason, kept)
    return
  }
  const session = explicit ?? device.book.forPoint(recordedMs, nowMs, kept.changed)
  device.book.addPoint(session, recordedMs, nowMs)
  noteChange(kept, session)
  const to = kept.count * POINT_STRIDE
  if (to !== from) values.copyWithin(to, from, from + POINT_STRIDE)
  kept.sessionOf = added(kept.sessionOf, session)
  kept.count += 1
}

function fieldReason(values: Float64Array, at: number): Reason | null {
  if (Math.abs(values[at + AT.lat]!) > LAT_E7_MAX) return REASON.coordinate
  if (Math.abs(values[at + AT.lng]!) > LNG_E7_MAX) return REASON.coordinate
  // Every comparison with NaN, which is nil, is false.
  const source = values[at + AT.source]!
  const isBad =
    isOutside(values[at + AT.accuracy]!, 0, INT32_MAX) ||
    isOutside(values[at + AT.speed]!, 0, INT32_MAX) ||
    isOutside(values[at + AT.heading]!, 0, HEADING_MAX) ||
    isOutside(values[at + AT.altitude]!, -INT32_MAX, INT32_MAX) ||
    isOutside(source, 0, POINT_SOURCES.length - 1)
  return isBad ? REASON.field : null
}

function isOutside(value: number, min: number, max: number): boolean {
  return value < min || value > max
}

/** Times that are accepted. */
interface TimesTaken {
  fromMs: number
  toMs: number
}

function timesTaken(
  nowMs: number,
  latestMs: number,
  { retentionMs }: Pick<DeviceLimits, 'retentionMs'>,
): TimesTaken {
  const fromMs = retentionMs == null ? RECORDED_MS_MIN : Math.max(RECORDED_MS_MIN, nowMs - retentionMs)
  return { fromMs, toMs: Math.max(nowMs, latestMs) + RECORDED_AHEAD_MS_MAX }
}

function timeReason(ms: number, { fromMs, toMs }: TimesTaken): Reason | null {
  if (ms > toMs) return REASON.future
  return ms < fromMs ? REASON.tooOld : null
}

/** A session that is still open may have started before what is kept: its new points must not be lost for that. */
function sessionReason(device: Device, startedMs: number, { fromMs, toMs }: TimesTaken): Reason | null {
  const isOpen = startedMs >= RECORDED_MS_MIN && device.book.isOpen(startedMs)
  return timeReason(startedMs, { fromMs: isOpen ? RECORDED_MS_MIN : fromMs, toMs })
}

/** A newest point that is older than what is kept is forgotten with the rest. */
export function forgetOld(device: Device, oldestMs: number): void {
  if (device.newest !== null && device.newest.values[0]! < oldestMs) device.newest = null
}

function reject(frame: PointsFrame, index: number, reason: Reason, kept: Kept): void {
  kept.rejected = added(kept.rejected, [frame.seq, index, reason])
  if (reason === REASON.future || reason === REASON.tooOld) bury(frame, index, reason, kept)
}

function bury(frame: PointsFrame, index: number, reason: Reason, kept: Kept): void {
  const values = frame.values.slice(index * POINT_STRIDE, (index + 1) * POINT_STRIDE)
  kept.deadLetters = added(kept.deadLetters, { reason, sqlstate: null, sessionMs: frame.session, values })
}

/** The frame names a session of an impossible time: none of its points is stored. */
function refuseFrame(frame: PointsFrame, reason: Reason, kept: Kept): Kept {
  kept.rejected = added(kept.rejected, [frame.seq, WHOLE_FRAME, reason])
  for (let index = 0; index * POINT_STRIDE < frame.values.length; index++) {
    if (fieldReason(frame.values, index * POINT_STRIDE) === null) bury(frame, index, reason, kept)
  }
  return kept
}

/** Which of the kept points viewers see at once (D9); the device's newest point moves with them. */
function chooseLive(device: Device, kept: Kept, nowMs: number, liveAgeMs: number): void {
  const { values, count } = kept
  let newestMs = device.newest?.values[0] ?? Number.NEGATIVE_INFINITY
  let newest = -1
  for (let i = 0; i < count; i++) {
    const recordedMs = values[i * POINT_STRIDE]!
    if (recordedMs > nowMs + LIVE_AHEAD_MS_MAX) continue
    const isNewest = recordedMs > newestMs
    if (isNewest) {
      newestMs = recordedMs
      newest = i
    }
    const isLive = isNewest && (recordedMs >= nowMs - liveAgeMs || i === count - 1)
    if (isLive) extendLive(kept, i)
    else leaveOut(kept, recordedMs)
  }
  if (newest !== -1) moveNewest(device, kept, newest)
}

function moveNewest(device: Device, { values, sessionOf }: Kept, index: number): void {
  const session = sessionOf[index]!
  device.newest ??= { session, values: new Float64Array(POINT_STRIDE) }
  device.newest.session = session
  const { values: newest } = device.newest
  for (let i = 0; i < POINT_STRIDE; i++) newest[i] = values[index * POINT_STRIDE + i]!
}

function extendLive(kept: Kept, index: number): void {
  const session = kept.sessionOf[index]!
  const run = kept.live[kept.live.length - 1]
  if (run !== undefined && run.to === index && run.session === session) run.to += 1
  else kept.live = added(kept.live, { session, from: index, to: index + 1 })
}

function leaveOut(kept: Kept, recordedMs: number): void {
  if (kept.leftOut === null) kept.leftOut = { fromMs: recordedMs, toMs: recordedMs }
  kept.leftOut.fromMs = Math.min(kept.leftOut.fromMs, recordedMs)
  kept.leftOut.toMs = Math.max(kept.leftOut.toMs, recordedMs)
}

function noteChange(kept: Kept, session: Session): void {
  if (isUnstored(session) && !kept.changed.includes(session)) kept.changed.push(session)
}

/** Counts the sessions that the frame made against the device's rate of new ones. */
function finish(device: Device, kept: Kept, nowMs: number): void {
  let made = 0
  for (const session of kept.changed) {
    if (session.isCounted) continue
    session.isCounted = true
    made += 1
  }
  if (made > 0) take(device.newSessions, made, nowMs)
}
