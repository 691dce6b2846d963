/**
 * A second reading of PROTOCOL.md, naive and slow: a general msgpack library makes values, and these functions
 * judge them field by field. It shares no code with src/protocol, so the two can be held against each other.
 */
import { isUtf8 } from 'node:buffer'
import { decode as decodeOfficial } from '@msgpack/msgpack'
import { Unpackr } from 'msgpackr'

/** A value as far as the protocol can tell values apart. */
export type Value = number | null | Text | Value[] | typeof OTHER
export const OTHER = Symbol('neither an int, nor nil, nor text, nor an array')

interface Text {
  /** null: not UTF-8. */
  text: string | null
}

export type Judgement = object | { type: 'ignored' } | { type: 'malformed'; ref: number | null }

const NOT_A_FRAME = Symbol('not a frame')

export function judgeDevice(frame: Value, batchPointsMax: number): Judgement {
  return judge(frame, (type, fields) => {
    switch (type) {
      case 1:
        // The protocol sets no bound for a key; the hub refuses what is far longer than any key it gives.
        return {
          type,
          deviceKey: text(fields[1], 256),
          client: absent(fields[2]) ? null : text(fields[2], 64),
          nowMs: intOrAbsent(fields[3]),
        }
      case 2:
        return {
          type,
          seq: seqOf(fields),
          session: fields[2] === null ? null : int(fields[2]),
          values: points(int(fields[3]), fields[4], batchPointsMax),
        }
      case 3:
        return {
          type,
          seq: seqOf(fields),
          session: int(fields[2]),
          op: oneOf([0, 1, 2, 3], fields[3]),
          atMs: int(fields[4]),
        }
      case 4:
        return { type, nonce: int(fields[1]), nowMs: intOrAbsent(fields[2]) }
      case 6:
        return { type }
    }
    throw NOT_A_FRAME
  })
}

export function judgeViewer(frame: Value): Judgement {
  return judge(frame, (type, fields) => {
    switch (type) {
      case 1:
        return {
          type,
          token: text(fields[1], 4_096),
          client: absent(fields[2]) ? null : text(fields[2], 64),
          nowMs: intOrAbsent(fields[3]),
        }
      case 4:
        return { type, nonce: int(fields[1]), nowMs: intOrAbsent(fields[2]) }
      case 5:
        return { type, token: text(fields[1], 4_096) }
      case 16:
        return { type, userIds: idsOrAbsent(fields[1], 256), deviceIds: idsOrAbsent(fields[2], 1_024) }
      case 18:
        return { type }
      case 19:
        return { type, tick: int(fields[1]) }
    }
    throw NOT_A_FRAME
  })
}

function judge(frame: Value, messageOf: (type: number, fields: Value[]) => object): Judgement {
  try {
    if (!Array.isArray(frame)) throw NOT_A_FRAME
    const type = int(frame[0])
    if (type >= 112) return { type: 'ignored' }
    return messageOf(type, frame)
  } catch (fault) {
    if (fault !== NOT_A_FRAME) throw fault
    return { type: 'malformed', ref: refOf(frame) }
  }
}

/** The seq that an ERROR would name; whether the socket has frames with a seq is for the caller to say. */
function refOf(frame: Value): number | null {
  if (!Array.isArray(frame) || (frame[0] !== 2 && frame[0] !== 3)) return null
  const seq = frame[1]
  return typeof seq === 'number' && Number.isSafeInteger(seq) && seq >= 1 ? seq : null
}

function int(value: Value | undefined): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw NOT_A_FRAME
  return value === 0 ? 0 : value
}

function absent(value: Value | undefined): boolean {
  return value === undefined || value === null
}

function intOrAbsent(value: Value | undefined): number | null {
  return absent(value) ? null : int(value)
}

function oneOf(allowed: number[], value: Value | undefined): number {
  if (!allowed.includes(int(value))) throw NOT_A_FRAME
  return int(value)
}

function seqOf(fields: Value[]): number {
  const seq = int(fields[1])
  if (seq < 1) throw NOT_A_FRAME
  return seq
}

/** Characters are counted as JavaScript counts them: one outside of the basic plane counts twice. */
function text(value: Value | undefined, charsMax: number): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw NOT_A_FRAME
  if (value.text === null || value.text.length > charsMax) throw NOT_A_FRAME
  return value.text
}

function idsOrAbsent(value: Value | undefined, countMax: number): number[] | null {
  if (absent(value)) return null
  if (!Array.isArray(value) || value.length > countMax) throw NOT_A_FRAME
  return value.map(int)
}

function points(baseMs: number, value: Value | undefined, countMax: number): Float64Array {
  if (!Array.isArray(value) || value.length < 1 || value.length > countMax) throw NOT_A_FRAME
  return Float64Array.from(value.flatMap((point) => onePoint(baseMs, point)))
}

function onePoint(baseMs: number, point: Value): number[] {
  if (!Array.isArray(point)) throw NOT_A_FRAME
  const optional = [3, 4, 5, 6].map((field) => intOrAbsent(point[field]) ?? Number.NaN)
  return [baseMs + int(point[0]), int(point[1]), int(point[2]), ...optional, intOrAbsent(point[7]) ?? 0]
}

/** What @msgpack/msgpack makes of the bytes; throws when it can make nothing of them. */
export function valueByOfficial(bytes: Uint8Array): Value {
  // A count beyond the bytes is a lie; without these the library allocates whatever it is told.
  const options = {
    maxArrayLength: bytes.length,
    maxMapLength: bytes.length,
    mapKeyConverter: () => 'key',
    extensionCodec: { tryToEncode: () => null, decode: () => OTHER },
  }
  const value = decodeOfficial(bytes, options)
  // Text is decoded leniently, so whether it is UTF-8 is judged on the bytes of a second run.
  return paired(value, hasText(value) ? decodeOfficial(bytes, { ...options, rawStrings: true }) : value)
}

function hasText(value: unknown): boolean {
  return typeof value === 'string' || (Array.isArray(value) && value.some(hasText))
}

function paired(value: unknown, withRawText: unknown): Value {
  if (typeof value === 'number' || value === null) return value
  if (typeof value === 'string') return { text: strictText(withRawText as Uint8Array) }
  if (!Array.isArray(value)) return OTHER
  return value.map((element, index) => paired(element, (withRawText as unknown[])[index]))
}

function strictText(bytes: Uint8Array): string | null {
  return isUtf8(bytes) ? Buffer.from(bytes).toString('utf8') : null
}

const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' })

/** What msgpackr makes of the bytes; throws when it can make nothing of them. */
export function valueByMsgpackr(bytes: Uint8Array): Value {
  return plain(unpackr.unpack(bytes))
}

function plain(value: unknown): Value {
  if (typeof value === 'number' || value === null) return value
  if (typeof value === 'string') return { text: value }
  return Array.isArray(value) ? value.map(plain) : OTHER
}
