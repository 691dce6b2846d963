/**
 * Bytes from outside → messages. Positional: every byte is read as the field that the protocol expects
 * next, counts are checked before anything is allocated, and ext types, maps or strings in the wrong
 * place are refused. It never learns who sent the bytes, and it never throws.
 */
import {
  AT,
  CLIENT_CHARS_MAX,
  type DeviceFrame,
  type IgnoredFrame,
  type MalformedFrame,
  OPTIONAL_TYPE_MIN,
  POINT_STRIDE,
  SESSION_OP,
  type SessionOp,
  SUB_DEVICES_MAX,
  SUB_USERS_MAX,
  TOKEN_CHARS_MAX,
  TYPE,
  type ViewerFrame,
} from './messages.ts'

const IGNORED: IgnoredFrame = { type: 'ignored' }
const DEVICE_KEY_CHARS_MAX = 256
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

// One cursor for the module: decoding is synchronous and never re-entered.
let bytes: Uint8Array = new Uint8Array(0)
let at = 0
let end = 0
let fieldsLeft = 0
let seqRead: number | null = null

/** Small: as long as one frame in it waits to be stored, all of it stays. */
const SLAB_DOUBLES = 1_024
let slab = new ArrayBuffer(0)
let slabUsed = SLAB_DOUBLES

class Malformed extends Error {}

/** Reads a frame of `/v1/device`. `batchPointsMax` bounds the points of one POINTS frame. */
export function decodeDeviceFrame(
  message: ArrayBuffer | Uint8Array,
  batchPointsMax: number,
): DeviceFrame | IgnoredFrame | MalformedFrame {
  return decode(message, deviceFields, batchPointsMax)
}

/** Reads a frame of `/v1/live` or `/v1/stats`. */
export function decodeViewerFrame(
  message: ArrayBuffer | Uint8Array,
): ViewerFrame | IgnoredFrame | MalformedFrame {
  return decode(message, viewerFields, 0)
}

function deviceFields(type: number, batchPointsMax: number): DeviceFrame {
  switch (type) {
    case TYPE.hello:
      return { type, deviceKey: str(DEVICE_KEY_CHARS_MAX), client: clientName(), nowMs: optionalInt() }
    case TYPE.points: {
      const seq = readSeq()
      const session = requiredOrNil()
      const baseMs = int()
      return { type, seq, session, values: points(baseMs, batchPointsMax) }
    }
    case TYPE.session: {
      const seq = readSeq()
      const session = int()
      const op = int()
      if (op < SESSION_OP.start || op > SESSION_OP.end) throw new Malformed('op is not 0 to 3')
      return { type, seq, session, op: op as SessionOp, atMs: int() }
    }
    case TYPE.ping:
      return { type, nonce: int(), nowMs: optionalInt() }
    case TYPE.bye:
      return { type }
  }
  throw new Malformed('unknown type')
}

function viewerFields(type: number): ViewerFrame {
  switch (type) {
    case TYPE.hello:
      return { type, token: str(TOKEN_CHARS_MAX), client: clientName(), nowMs: optionalInt() }
    case TYPE.auth:
      return { type, token: str(TOKEN_CHARS_MAX) }
    case TYPE.ping:
      return { type, nonce: int(), nowMs: optionalInt() }
    case TYPE.sub:
      return { type, userIds: optionalInts(SUB_USERS_MAX), deviceIds: optionalInts(SUB_DEVICES_MAX) }
    case TYPE.resync:
      return { type }
    case TYPE.seen:
      return { type, tick: int() }
  }
  throw new Malformed('unknown type')
}

/** `batchPointsMax` is only handed on: a closure around it would be made for each frame. Viewers send no points. */
function decode<Frame>(
  message: ArrayBuffer | Uint8Array,
  fieldsOf: (type: number, batchPointsMax: number) => Frame,
  batchPointsMax: number,
): Frame | IgnoredFrame | MalformedFrame {
  bytes = message instanceof Uint8Array ? message : new Uint8Array(message)
  at = 0
  end = bytes.length
  seqRead = null
  try {
    fieldsLeft = arrayHeader()
    const type = int()
    const frame = type >= OPTIONAL_TYPE_MIN ? IGNORED : fieldsOf(type, batchPointsMax)
    skip(fieldsLeft)
    if (at !== end) throw new Malformed('bytes after the end of the frame')
    return frame
  } catch (fault) {
    if (fault instanceof Malformed) return { type: 'malformed', message: fault.message, ref: seqRead }
    // Thrown by TextDecoder: the peer's bytes.
    if (fault instanceof TypeError) return { type: 'malformed', message: 'text is not UTF-8', ref: seqRead }
    throw fault
  }
}

// Fields of the frame, counted down so that a missing required one is noticed.

function int(): number {
  takeField()
  return readInt()
}

function optionalInt(): number | null {
  return isAbsent() ? null : int()
}

/** A field that must be there, but may be nil. */
function requiredOrNil(): number | null {
  takeField()
  if (bytes[at] !== NIL) return readInt()
  at += 1
  return null
}

function readSeq(): number {
  const seq = int()
  if (seq < 1) throw new Malformed('seq is below 1')
  seqRead = seq
  return seq
}

function str(charsMax: number): string {
  takeField()
  return readStr(charsMax)
}

function clientName(): string | null {
  return isAbsent() ? null : str(CLIENT_CHARS_MAX)
}

function optionalInts(countMax: number): number[] | null {
  if (isAbsent()) return null
  takeField()
  const count = arrayHeader()
  if (count > countMax) throw new Malformed('too many ids')
  const ids = new Array<number>(count)
  for (let i = 0; i < count; i++) ids[i] = readInt()
  return ids
}

function takeField(): void {
  if (fieldsLeft === 0) throw new Malformed('a required field is missing')
  fieldsLeft -= 1
}

function isAbsent(): boolean {
  if (fieldsLeft === 0) return true
  if (bytes[at] !== NIL) return false
  at += 1
  fieldsLeft -= 1
  return true
}

function points(baseMs: number, countMax: number): Float64Array {
  takeField()
  const count = arrayHeader()
  if (count < 1 || count > countMax) throw new Malformed(`a frame has 1 to ${countMax} points`)
  const values = doubles(count * POINT_STRIDE)
  for (let i = 0; i < count; i++) point(values, i * POINT_STRIDE, baseMs)
  return values
}

/**
 * Memory outside V8's heap costs more than reading ten points into it, so middling frames share slabs. Up to 64 bytes,
 * which is one point, are inside anyway; for large frames it does not matter.
 */
function doubles(count: number): Float64Array {
  if (count <= POINT_STRIDE || count > SLAB_DOUBLES / 4) return new Float64Array(count)
  if (slabUsed + count > SLAB_DOUBLES) {
    slab = new ArrayBuffer(SLAB_DOUBLES * Float64Array.BYTES_PER_ELEMENT)
    slabUsed = 0
  }
  const values = new Float64Array(slab, slabUsed * Float64Array.BYTES_PER_ELEMENT, count)
  slabUsed += count
  return values
}

function point(values: Float64Array, offset: number, baseMs: number): void {
  const length = arrayHeader()
  if (length < 3) throw new Malformed('a point has at least dtMs, lat and lng')
  values[offset] = baseMs + readInt()
  values[offset + AT.lat] = readInt()
  values[offset + AT.lng] = readInt()
  for (let field: number = AT.accuracy; field < AT.source; field++) {
    values[offset + field] = field < length ? readIntOrNaN() : Number.NaN
  }
  const source = AT.source < length ? readIntOrNaN() : 0
  values[offset + AT.source] = Number.isNaN(source) ? 0 : source
  if (length > POINT_STRIDE) skip(length - POINT_STRIDE)
}

// msgpack itself (https://github.com/msgpack/msgpack/blob/master/spec.md)

const NIL = 0xc0

function readIntOrNaN(): number {
  if (bytes[at] !== NIL) return readInt()
  at += 1
  return Number.NaN
}

function readInt(): number {
  const byte = take8()
  if (byte <= 0x7f) return byte
  if (byte >= 0xe0) return byte - 0x100
  switch (byte) {
    case 0xcc:
      return take8()
    case 0xcd:
      return take16()
    case 0xce:
      return take32() >>> 0
    case 0xcf:
      return safe((take32() >>> 0) * 2 ** 32 + (take32() >>> 0))
    case 0xd0:
      return (take8() << 24) >> 24
    case 0xd1:
      return (take16() << 16) >> 16
    case 0xd2:
      return take32()
    case 0xd3:
      return safe(take32() * 2 ** 32 + (take32() >>> 0))
    case 0xcb:
      // Adding 0 makes −0 an ordinary zero.
      return safe(takeFloat64() + 0)
  }
  throw new Malformed('expected an integer')
}

// Bytes, put together here: a DataView over every frame costs as much as reading the frame.

function take8(): number {
  if (at >= end) throw new Malformed('frame is cut short')
  return bytes[at++]!
}

function take16(): number {
  if (at + 2 > end) throw new Malformed('frame is cut short')
  at += 2
  return (bytes[at - 2]! << 8) | bytes[at - 1]!
}

/** As a signed integer. */
function take32(): number {
  if (at + 4 > end) throw new Malformed('frame is cut short')
  at += 4
  return (bytes[at - 4]! << 24) | (bytes[at - 3]! << 16) | (bytes[at - 2]! << 8) | bytes[at - 1]!
}

const float64 = new DataView(new ArrayBuffer(8))

function takeFloat64(): number {
  float64.setInt32(0, take32())
  float64.setInt32(4, take32())
  return float64.getFloat64(0)
}

function safe(value: number): number {
  if (!Number.isSafeInteger(value)) throw new Malformed('integer is beyond 2^53 - 1 or has a fraction')
  return value
}

function readStr(charsMax: number): string {
  const byte = take8()
  let length: number
  if (byte >= 0xa0 && byte <= 0xbf) length = byte & 0x1f
  else if (byte === 0xd9) length = lengthOf(1)
  else if (byte === 0xda) length = lengthOf(2)
  else if (byte === 0xdb) length = lengthOf(4)
  else throw new Malformed('expected text')
  if (length > end - at) throw new Malformed('frame is cut short')
  // A character takes at most 4 bytes: longer text cannot fit, and is not even decoded.
  if (length > charsMax * 4) throw new Malformed('text is too long')
  const text = utf8.decode(bytes.subarray(at, at + length))
  at += length
  if (text.length > charsMax) throw new Malformed('text is too long')
  return text
}

function arrayHeader(): number {
  const byte = take8()
  let count: number
  if (byte >= 0x90 && byte <= 0x9f) count = byte & 0x0f
  else if (byte === 0xdc) count = lengthOf(2)
  else if (byte === 0xdd) count = lengthOf(4)
  else throw new Malformed('expected an array')
  // Every element takes at least a byte, so a larger count is a lie, and nothing is allocated for it.
  if (count > end - at) throw new Malformed('frame is cut short')
  return count
}

function lengthOf(size: 1 | 2 | 4): number {
  if (size === 1) return take8()
  return size === 2 ? take16() : take32() >>> 0
}

/** Steps over `count` values of any kind: what a later minor version may have added. */
function skip(count: number): void {
  let pending = count
  while (pending > 0) {
    pending -= 1
    const byte = take8()
    if (byte <= 0x7f || byte >= 0xe0) continue
    if (byte <= 0x8f) pending += (byte & 0x0f) * 2
    else if (byte <= 0x9f) pending += byte & 0x0f
    else if (byte <= 0xbf) at += byte & 0x1f
    else pending += skipTagged(byte)
    if (pending > end - at) throw new Malformed('frame is cut short')
  }
}

/** Steps over the rest of a value whose first byte is 0xc0…0xdf; returns how many values it holds. */
function skipTagged(byte: number): number {
  if (byte === 0xc1) throw new Malformed('0xc1 is not msgpack')
  if (byte <= 0xc3) return 0
  if (byte <= 0xc6) return skipBytes(lengthOf(SIZES[byte - 0xc4]!))
  if (byte <= 0xc9) return skipBytes(lengthOf(SIZES[byte - 0xc7]!) + 1)
  if (byte <= 0xd3) return skipBytes(NUMBER_BYTES[byte - 0xca]!)
  if (byte <= 0xd8) return skipBytes(2 ** (byte - 0xd4) + 1)
  if (byte <= 0xdb) return skipBytes(lengthOf(SIZES[byte - 0xd9]!))
  if (byte <= 0xdd) return lengthOf(SIZES[byte - 0xdc + 1]!)
  return lengthOf(SIZES[byte - 0xde + 1]!) * 2
}

const SIZES = [1, 2, 4] as const
/** Payload of float32, float64, uint8…uint64, int8…int64. */
const NUMBER_BYTES = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8]

function skipBytes(count: number): 0 {
  if (count > end - at) throw new Malformed('frame is cut short')
  at += count
  return 0
}
