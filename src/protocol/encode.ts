/**
 * Messages → bytes. LIVE and TICK are on the hot path and written by hand; everything else goes through
 * msgpackr with every extension of it switched off. Pure: it never learns who receives the bytes.
 */
import { Packr } from 'msgpackr'
import {
  type DeviceColor,
  type DevicePlatform,
  POINT_STRIDE,
  type Rejected,
  type SessionStatus,
  TYPE,
  type UserRole,
} from './messages.ts'

const packr = new Packr({
  useRecords: false,
  moreTypes: false,
  structuredClone: false,
  encodeUndefinedAsNil: true,
})

/** A frame of numbers, text, booleans, nil, arrays and plain objects: msgpack that any decoder reads. */
export function pack(frame: readonly unknown[]): Uint8Array {
  return packr.pack(frame)
}

// To devices

export interface DeviceWelcome {
  deviceId: number
  windowPoints: number
  batchPointsMax: number
  frameBytesMax: number
  serverNowMs: number
  heartbeatS: number
}

export function encodeDeviceWelcome(w: DeviceWelcome): Uint8Array {
  return pack([
    TYPE.welcome,
    w.deviceId,
    w.windowPoints,
    w.batchPointsMax,
    w.frameBytesMax,
    w.serverNowMs,
    w.heartbeatS,
  ])
}

export function encodeAck(seq: number, windowPoints: number, rejected: readonly Rejected[]): Uint8Array {
  return pack(rejected.length === 0 ? [TYPE.ack, seq, windowPoints] : [TYPE.ack, seq, windowPoints, rejected])
}

export function encodePause(retryAfterMs: number, reason: string): Uint8Array {
  return pack([TYPE.pause, retryAfterMs, reason])
}

export function encodeRate(intervalMs: number, watched: boolean): Uint8Array {
  return pack([TYPE.rate, intervalMs, watched])
}

// To anybody

export function encodeError(code: number, message: string, ref: number | null): Uint8Array {
  return pack([TYPE.error, code, message, ref])
}

export function encodeGoaway(minDelayMs: number, maxDelayMs: number): Uint8Array {
  return pack([TYPE.goaway, minDelayMs, maxDelayMs])
}

export function encodePong(nonce: number, serverNowMs: number): Uint8Array {
  return pack([TYPE.pong, nonce, serverNowMs])
}

// To viewers and admins

export interface ViewerWelcome {
  userId: number
  role: UserRole | 'share'
  serverNowMs: number
  authExpiresMs: number
  heartbeatS: number
}

export function encodeViewerWelcome(w: ViewerWelcome): Uint8Array {
  return pack([TYPE.welcome, w.userId, w.role, w.serverNowMs, w.authExpiresMs, w.heartbeatS])
}

export function encodeAuthOk(authExpiresMs: number): Uint8Array {
  return pack([TYPE.authOk, authExpiresMs])
}

/** A device as SNAP and DEVICE show it. */
export interface DeviceRecord {
  deviceId: number
  userId: number
  name: string
  color: DeviceColor
  platform: DevicePlatform
  online: boolean
  lastSeenMs: number | null
  epoch: number
  n: number
  last: LastPosition | null
}

/** The newest point of a device: POINT_STRIDE numbers in wire units, NaN is nil. */
export interface LastPosition {
  sessionMs: number
  sessionStatus: SessionStatus
  values: Float64Array
}

export function encodeDeviceRecord(record: DeviceRecord): Uint8Array {
  return pack([TYPE.device, deviceFields(record)])
}

/** One record of a SNAP, packed on its own so that parts can be cut by size (see encodeSnap). */
export function encodeSnapDevice(record: DeviceRecord): Uint8Array {
  return pack(deviceFields(record))
}

/** Bytes that a SNAP adds to its records, at most. */
export const SNAP_HEAD_BYTES_MAX = 16

/** A SNAP of records packed with encodeSnapDevice. */
export function encodeSnap(part: number, last: boolean, devices: readonly Uint8Array[]): Uint8Array {
  begin(devices.reduce((sum, device) => sum + device.length, SNAP_HEAD_BYTES_MAX))
  putArray(4)
  putInt(TYPE.snap)
  putInt(part)
  out[at++] = last ? 0xc3 : 0xc2
  putArray(devices.length)
  for (const device of devices) {
    out.set(device, at)
    at += device.length
  }
  return written()
}

function deviceFields(record: DeviceRecord): unknown[] {
  return [
    record.deviceId,
    record.userId,
    record.name,
    record.color,
    record.platform,
    record.online,
    record.lastSeenMs,
    record.epoch,
    record.n,
    record.last && [
      record.last.sessionMs,
      record.last.sessionStatus,
      ...Array.from(record.last.values, (value) => (Number.isNaN(value) ? null : value)),
    ],
  ]
}

/** Where a counted frame of a device stands (V2). */
export interface Position {
  deviceId: number
  epoch: number
  n: number
}

export function encodePresence(p: Position, online: boolean, lastSeenMs: number): Uint8Array {
  return pack([TYPE.presence, p.deviceId, p.epoch, p.n, online, lastSeenMs])
}

export interface SessionChange {
  sessionId: number
  sessionMs: number
  status: SessionStatus
  endedMs: number | null
}

export function encodeSessionChange(p: Position, s: SessionChange): Uint8Array {
  return pack([TYPE.sessionChange, p.deviceId, p.epoch, p.n, s.sessionId, s.sessionMs, s.status, s.endedMs])
}

export function encodeBackfilled(p: Position, fromMs: number, toMs: number): Uint8Array {
  return pack([TYPE.backfilled, p.deviceId, p.epoch, p.n, fromMs, toMs])
}

export function encodeGone(deviceId: number): Uint8Array {
  return pack([TYPE.gone, deviceId])
}

export function encodeStats(stats: Record<string, unknown>): Uint8Array {
  return pack([TYPE.stats, stats])
}

// The hot path

/** Bytes of one point at most: a header, two 9-byte integers would be dtMs and nothing else exceeds 5. */
const POINT_BYTES_MAX = 1 + 9 + 6 * 5 + 1
const LIVE_HEAD_BYTES_MAX = 64

/**
 * Frames lie one after the other in slabs: memory of its own would cost a small frame more than writing it. A slab
 * lives as long as any frame in it, so these frames are for sending at once, not for keeping.
 */
const SLAB_BYTES = 64 * 1024

let out = new Uint8Array(0)
let outView = new DataView(out.buffer)
let start = 0
let at = 0

/** A frame of so many bytes at most begins. */
function begin(bytesMax: number): void {
  if (at + bytesMax > out.length) {
    out = new Uint8Array(Math.max(SLAB_BYTES, bytesMax))
    outView = new DataView(out.buffer)
    at = 0
  }
  start = at
}

/** The frame as far as it was written. */
function written(): Uint8Array {
  return new Uint8Array(out.buffer, start, at - start)
}

/**
 * LIVE of the points `from`…`to` (exclusive) of `values`, as in messages.ts. Their times are sent as
 * offsets from the first one.
 */
export function encodeLive(
  p: Position,
  sessionMs: number,
  values: Float64Array,
  from: number,
  to: number,
): Uint8Array {
  begin(LIVE_HEAD_BYTES_MAX + (to - from) * POINT_BYTES_MAX)
  const baseMs = values[from * POINT_STRIDE]!
  putArray(7)
  putInt(TYPE.live)
  putInt(p.deviceId)
  putInt(p.epoch)
  putInt(p.n)
  putInt(sessionMs)
  putInt(baseMs)
  putArray(to - from)
  for (let i = from; i < to; i++) putPoint(values, i * POINT_STRIDE, baseMs)
  return written()
}

export function encodeTick(tick: number): Uint8Array {
  begin(11)
  putArray(2)
  putInt(TYPE.tick)
  putInt(tick)
  return written()
}

function putPoint(values: Float64Array, offset: number, baseMs: number): void {
  // Trailing nils, and a source of 0, say nothing and are left out.
  let length = POINT_STRIDE
  if (values[offset + 7] === 0) length = 7
  if (length === 7) while (length > 3 && Number.isNaN(values[offset + length - 1]!)) length -= 1
  putArray(length)
  putInt(values[offset]! - baseMs)
  for (let field = 1; field < length; field++) {
    const value = values[offset + field]!
    if (Number.isNaN(value)) out[at++] = 0xc0
    else putInt(value)
  }
}

function putArray(count: number): void {
  if (count < 16) {
    out[at++] = 0x90 | count
  } else if (count < 0x10000) {
    out[at] = 0xdc
    outView.setUint16(at + 1, count)
    at += 3
  } else {
    out[at] = 0xdd
    outView.setUint32(at + 1, count)
    at += 5
  }
}

/** Writes an integer within ±(2⁵³ − 1) in its shortest form. */
function putInt(value: number): void {
  if (value >= 0) putUnsigned(value)
  else putNegative(value)
}

function putUnsigned(value: number): void {
  if (value < 0x80) {
    out[at++] = value
  } else if (value < 0x100) {
    out[at] = 0xcc
    out[at + 1] = value
    at += 2
  } else if (value < 0x10000) {
    out[at] = 0xcd
    outView.setUint16(at + 1, value)
    at += 3
  } else if (value < 0x100000000) {
    out[at] = 0xce
    outView.setUint32(at + 1, value)
    at += 5
  } else {
    out[at] = 0xcf
    outView.setUint32(at + 1, Math.floor(value / 0x100000000))
    outView.setUint32(at + 5, value % 0x100000000)
    at += 9
  }
}

function putNegative(value: number): void {
  if (value >= -0x20) {
    out[at++] = value & 0xff
  } else if (value >= -0x80) {
    out[at] = 0xd0
    outView.setInt8(at + 1, value)
    at += 2
  } else if (value >= -0x8000) {
    out[at] = 0xd1
    outView.setInt16(at + 1, value)
    at += 3
  } else if (value >= -0x80000000) {
    out[at] = 0xd2
    outView.setInt32(at + 1, value)
    at += 5
  } else {
    out[at] = 0xd3
    outView.setInt32(at + 1, Math.floor(value / 0x100000000))
    outView.setUint32(at + 5, value - Math.floor(value / 0x100000000) * 0x100000000)
    at += 9
  }
}
