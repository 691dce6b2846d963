/**
 * Frames of the hub → typed values. The other direction is written by the clients with `pack`. A frame
 * of the wrong shape is a value too, and a type that is not known here is nobody's business.
 */
import { Unpackr } from 'msgpackr'
import {
  type DeviceColor,
  type DevicePlatform,
  type Reason,
  type Rejected,
  type SessionStatus,
  TYPE,
} from '../protocol/messages.ts'
import { flatValues } from './points.ts'

const unpackr = new Unpackr({ useRecords: false, moreTypes: false, int64AsType: 'number' })

/** What every route may send. */
export type CommonFrame =
  | { type: typeof TYPE.error; code: number; message: string; ref: number | null }
  | { type: typeof TYPE.goaway; minDelayMs: number; maxDelayMs: number }
  | { type: typeof TYPE.pong; nonce: number; serverNowMs: number }
  | { type: 'ignored' }
  | { type: 'malformed'; message: string }

export type ToDevice =
  | CommonFrame
  | {
      type: typeof TYPE.welcome
      deviceId: number
      windowPoints: number
      batchPointsMax: number
      frameBytesMax: number
      serverNowMs: number
      heartbeatS: number
    }
  | { type: typeof TYPE.ack; seq: number; windowPoints: number; rejected: Rejected[] }
  | { type: typeof TYPE.pause; retryAfterMs: number; reason: string }
  | { type: typeof TYPE.rate; intervalMs: number; watched: boolean }

/** A share's viewer has the role `share`. */
export type ViewerRole = 'user' | 'admin' | 'share'

export interface SnapDevice {
  deviceId: number
  userId: number
  name: string
  color: DeviceColor
  platform: DevicePlatform
  online: boolean
  lastSeenMs: number | null
  epoch: number
  n: number
  /** `values` is one point as in messages.ts (POINT_STRIDE numbers). */
  last: { session: number; status: SessionStatus; values: Float64Array } | null
}

/** The frames that are counted per device (V2). */
export type CountedFrame = { deviceId: number; epoch: number; n: number } & (
  | { type: typeof TYPE.live; session: number; values: Float64Array }
  | { type: typeof TYPE.presence; online: boolean; lastSeenMs: number }
  | {
      type: typeof TYPE.sessionChange
      sessionId: number
      session: number
      status: SessionStatus
      endedMs: number | null
    }
  | { type: typeof TYPE.backfilled; fromMs: number; toMs: number }
)

export type ToViewer =
  | CommonFrame
  | CountedFrame
  | {
      type: typeof TYPE.welcome
      userId: number
      role: ViewerRole
      serverNowMs: number
      authExpiresMs: number
      heartbeatS: number
    }
  | { type: typeof TYPE.authOk; authExpiresMs: number }
  | { type: typeof TYPE.snap; part: number; last: boolean; devices: SnapDevice[] }
  | { type: typeof TYPE.device; device: SnapDevice }
  | { type: typeof TYPE.gone; deviceId: number }
  | { type: typeof TYPE.tick; tick: number }

/** The stats socket speaks as the viewer socket does, but of the hub. */
export type ToAdmin =
  | CommonFrame
  | Extract<ToViewer, { type: typeof TYPE.welcome | typeof TYPE.authOk | typeof TYPE.tick }>
  | { type: typeof TYPE.stats; stats: Readonly<Record<string, unknown>> }

class Malformed extends Error {}

/** Reads a frame of `/v1/device`. Never throws. */
export function readToDevice(message: Uint8Array): ToDevice {
  return read(message, deviceFields)
}

/** Reads a frame of `/v1/live`. Never throws. */
export function readToViewer(message: Uint8Array): ToViewer {
  return read(message, viewerFields)
}

/** Reads a frame of `/v1/stats`. Never throws. */
export function readToAdmin(message: Uint8Array): ToAdmin {
  return read(message, (f): ToAdmin => {
    switch (f[0]) {
      case TYPE.stats:
        return { type: TYPE.stats, stats: map(f[1]) }
      case TYPE.welcome:
      case TYPE.authOk:
      case TYPE.tick:
        return viewerFields(f) as ToAdmin
    }
    return commonFields(f)
  })
}

function deviceFields(f: readonly unknown[]): ToDevice {
  switch (f[0]) {
    case TYPE.welcome:
      return {
        type: TYPE.welcome,
        deviceId: int(f[1]),
        windowPoints: positive(f[2]),
        batchPointsMax: positive(f[3]),
        frameBytesMax: positive(f[4]),
        serverNowMs: int(f[5]),
        heartbeatS: positive(f[6]),
      }
    case TYPE.ack:
      return { type: TYPE.ack, seq: int(f[1]), windowPoints: int(f[2]), rejected: rejected(f[3]) }
    case TYPE.pause:
      return { type: TYPE.pause, retryAfterMs: int(f[1]), reason: str(f[2]) }
    case TYPE.rate:
      return { type: TYPE.rate, intervalMs: int(f[1]), watched: bool(f[2]) }
  }
  return commonFields(f)
}

function viewerFields(f: readonly unknown[]): ToViewer {
  switch (f[0]) {
    case TYPE.welcome:
      return {
        type: TYPE.welcome,
        userId: int(f[1]),
        role: str(f[2]) as ViewerRole,
        serverNowMs: int(f[3]),
        authExpiresMs: int(f[4]),
        heartbeatS: positive(f[5]),
      }
    case TYPE.authOk:
      return { type: TYPE.authOk, authExpiresMs: int(f[1]) }
    case TYPE.snap:
      return { type: TYPE.snap, part: int(f[1]), last: bool(f[2]), devices: array(f[3]).map(snapDevice) }
    case TYPE.device:
      return { type: TYPE.device, device: snapDevice(f[1]) }
    case TYPE.gone:
      return { type: TYPE.gone, deviceId: int(f[1]) }
    case TYPE.tick:
      return { type: TYPE.tick, tick: int(f[1]) }
  }
  return countedFields(f) ?? commonFields(f)
}

function countedFields(f: readonly unknown[]): CountedFrame | null {
  switch (f[0]) {
    case TYPE.live:
      return { type: TYPE.live, ...position(f), session: int(f[4]), values: points(f[6], int(f[5])) }
    case TYPE.presence:
      return { type: TYPE.presence, ...position(f), online: bool(f[4]), lastSeenMs: int(f[5]) }
    case TYPE.sessionChange:
      return {
        type: TYPE.sessionChange,
        ...position(f),
        sessionId: int(f[4]),
        session: int(f[5]),
        status: status(f[6]),
        endedMs: intOrNull(f[7]),
      }
    case TYPE.backfilled:
      return { type: TYPE.backfilled, ...position(f), fromMs: int(f[4]), toMs: int(f[5]) }
  }
  return null
}

function commonFields(f: readonly unknown[]): CommonFrame {
  switch (f[0]) {
    case TYPE.error:
      return { type: TYPE.error, code: int(f[1]), message: str(f[2]), ref: intOrNull(f[3]) }
    case TYPE.goaway: {
      const minDelayMs = Math.max(0, int(f[1]))
      return { type: TYPE.goaway, minDelayMs, maxDelayMs: Math.max(minDelayMs, int(f[2])) }
    }
    case TYPE.pong:
      return { type: TYPE.pong, nonce: int(f[1]), serverNowMs: int(f[2]) }
  }
  int(f[0])
  return { type: 'ignored' }
}

function read<Frame>(
  message: Uint8Array,
  fieldsOf: (fields: readonly unknown[]) => Frame,
): Frame | CommonFrame {
  let fields: unknown
  try {
    fields = unpackr.unpack(message)
  } catch {
    return { type: 'malformed', message: 'not msgpack' }
  }
  try {
    return fieldsOf(array(fields))
  } catch (fault) {
    if (fault instanceof Malformed) return { type: 'malformed', message: fault.message }
    throw fault
  }
}

// Elements beyond those read are what a later minor version added.

function snapDevice(value: unknown): SnapDevice {
  const f = array(value)
  return {
    deviceId: int(f[0]),
    userId: int(f[1]),
    name: str(f[2]),
    color: str(f[3]) as DeviceColor,
    platform: str(f[4]) as DevicePlatform,
    online: bool(f[5]),
    lastSeenMs: intOrNull(f[6]),
    epoch: int(f[7]),
    n: int(f[8]),
    last: f[9] == null ? null : lastPoint(array(f[9])),
  }
}

function lastPoint(f: readonly unknown[]): SnapDevice['last'] {
  return { session: int(f[0]), status: status(f[1]), values: points([f.slice(2)], 0) }
}

function points(rows: unknown, baseMs: number): Float64Array {
  const values = flatValues(array(rows), baseMs)
  if (values === null) throw new Malformed('a point has the wrong shape')
  return values
}

function rejected(value: unknown): Rejected[] {
  if (value == null) return []
  return array(value).map((item) => {
    const [seq, index, reason] = array(item)
    return [int(seq), int(index), int(reason) as Reason]
  })
}

function position(f: readonly unknown[]): { deviceId: number; epoch: number; n: number } {
  return { deviceId: int(f[1]), epoch: int(f[2]), n: int(f[3]) }
}

function status(value: unknown): SessionStatus {
  if (value === 'active' || value === 'paused' || value === 'ended') return value
  throw new Malformed('expected the status of a session')
}

function int(value: unknown): number {
  if (!Number.isSafeInteger(value)) throw new Malformed('expected an integer')
  return value as number
}

function intOrNull(value: unknown): number | null {
  return value == null ? null : int(value)
}

function positive(value: unknown): number {
  if (int(value) < 1) throw new Malformed('expected an integer above 0')
  return value as number
}

function str(value: unknown): string {
  if (typeof value !== 'string') throw new Malformed('expected text')
  return value
}

function bool(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new Malformed('expected true or false')
  return value
}

function map(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Malformed('expected a map')
  return value as Record<string, unknown>
}

function array(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new Malformed('expected an array')
  return value
}
