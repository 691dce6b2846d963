/**
 * The names and numbers of the wire, version 1 (see PROTOCOL.md), shared by hub and clients.
 * Data only: how bytes become these shapes is in decode.ts and encode.ts.
 */

export const SUBPROTOCOL = {
  device: 'alzy.device.v1',
  live: 'alzy.live.v1',
  stats: 'alzy.stats.v1',
} as const

export const ROUTE = { device: '/v1/device', live: '/v1/live', stats: '/v1/stats' } as const

/** First element of every frame. */
export const TYPE = {
  hello: 1,
  points: 2,
  session: 3,
  ping: 4,
  auth: 5,
  bye: 6,
  sub: 16,
  resync: 18,
  seen: 19,
  welcome: 65,
  ack: 66,
  pause: 67,
  error: 68,
  authOk: 70,
  goaway: 71,
  pong: 72,
  rate: 73,
  snap: 80,
  live: 81,
  presence: 82,
  sessionChange: 83,
  device: 84,
  gone: 85,
  backfilled: 88,
  tick: 90,
  stats: 96,
} as const

/** Types from here on are optional: a receiver that does not know one ignores the frame. */
export const OPTIONAL_TYPE_MIN = 112

/** `op` of a SESSION frame, in the order that decides between ops of the same moment (D2). */
export const SESSION_OP = { start: 0, pause: 1, resume: 2, end: 3 } as const
export type SessionOp = (typeof SESSION_OP)[keyof typeof SESSION_OP]

export type SessionStatus = 'active' | 'ended' | 'paused'
export type UserRole = 'user' | 'admin'
export type DevicePlatform = 'android' | 'ios' | 'web'
export type DeviceColor = 'blue' | 'green' | 'red' | 'yellow' | 'purple' | 'orange' | 'pink' | 'gray'

export const DEVICE_PLATFORMS = ['android', 'ios', 'web'] as const satisfies readonly DevicePlatform[]
export const DEVICE_COLORS = [
  'blue',
  'green',
  'red',
  'yellow',
  'purple',
  'orange',
  'pink',
  'gray',
] as const satisfies readonly DeviceColor[]

/** `source` of a point: the index is the number on the wire, the word is the database's enum. */
export const POINT_SOURCES = ['gps', 'network', 'fused', 'manual'] as const

/** Why a point was rejected (D8). */
export const REASON = {
  coordinate: 1,
  future: 2,
  tooOld: 3,
  field: 4,
  database: 5,
} as const
export type Reason = (typeof REASON)[keyof typeof REASON]

/** `[seq, index, reason]`; index −1 is the whole frame. */
export type Rejected = [seq: number, index: number, reason: Reason]
export const WHOLE_FRAME = -1
/** At most so many rejected entries in one ACK (D4). */
export const REJECTED_PER_ACK_MAX = 256

export const LAT_E7_MAX = 900_000_000
export const LNG_E7_MAX = 1_800_000_000
export const HEADING_MAX = 35_999
export const INT32_MAX = 2 ** 31 - 1
export const CLIENT_CHARS_MAX = 64
export const TOKEN_CHARS_MAX = 4_096
export const SUB_USERS_MAX = 256
export const SUB_DEVICES_MAX = 1_024

/** 2000-01-01 UTC: nothing recorded before it is believed (D8, reason 3). */
export const RECORDED_MS_MIN = 946_684_800_000
/** How far ahead of the hub's clock a point may be stamped and still be stored (D8, reason 2). */
export const RECORDED_AHEAD_MS_MAX = 24 * 3_600_000
/** How far ahead of the hub's clock a point may be stamped and still count as the newest (D9). */
export const LIVE_AHEAD_MS_MAX = 60_000

/**
 * Decoded points lie flat in one Float64Array, POINT_STRIDE numbers each, in wire units
 * (ms, degrees × 10⁷, cm, cm/s, hundredths of a degree, cm); NaN is nil.
 */
export const POINT_STRIDE = 8
export const AT = {
  recordedMs: 0,
  lat: 1,
  lng: 2,
  accuracy: 3,
  speed: 4,
  heading: 5,
  altitude: 6,
  source: 7,
} as const

/** What a device may send. */
export type DeviceFrame =
  | { type: typeof TYPE.hello; deviceKey: string; client: string | null; nowMs: number | null }
  | {
      type: typeof TYPE.points
      seq: number
      session: number | null
      /** Flat points, see POINT_STRIDE. `recordedMs` is already `baseMs` + `dtMs`. */
      values: Float64Array
    }
  | { type: typeof TYPE.session; seq: number; session: number; op: SessionOp; atMs: number }
  | { type: typeof TYPE.ping; nonce: number; nowMs: number | null }
  | { type: typeof TYPE.bye }

/** What a viewer or an admin may send. */
export type ViewerFrame =
  | { type: typeof TYPE.hello; token: string; client: string | null; nowMs: number | null }
  | { type: typeof TYPE.auth; token: string }
  | { type: typeof TYPE.ping; nonce: number; nowMs: number | null }
  | { type: typeof TYPE.sub; userIds: number[] | null; deviceIds: number[] | null }
  | { type: typeof TYPE.resync }
  | { type: typeof TYPE.seen; tick: number }

export type PointsFrame = Extract<DeviceFrame, { type: typeof TYPE.points }>
export type SessionFrame = Extract<DeviceFrame, { type: typeof TYPE.session }>

/** A frame of an optional type (≥ 112): well formed, and nobody's business here. */
export interface IgnoredFrame {
  type: 'ignored'
}

/** A frame that is not of the protocol → ERROR with `ref`, close 4500. */
export interface MalformedFrame {
  type: 'malformed'
  message: string
  /** The frame's `seq` when it could be read. */
  ref: number | null
}
