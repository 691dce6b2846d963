/**
 * Every frame that a device or a viewer may send, generated: the fields as they go on the wire next to the
 * message that the hub must read from them. Written from PROTOCOL.md sections 1 to 3, without what it says is not
 * served.
 */
import fc from 'fast-check'
import type { Wire } from './encodings.ts'

export const BATCH_POINTS_MAX = 20

/** The edges of every integer encoding, and of what the protocol calls an int. */
export const INTEGER_EDGES = [
  0,
  1,
  0x7f,
  0x80,
  0xff,
  0x100,
  0xffff,
  0x10000,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 32 + 1,
  2 ** 53 - 1,
  -1,
  -32,
  -33,
  -128,
  -129,
  -32768,
  -32769,
  -(2 ** 31),
  -(2 ** 31) - 1,
  -(2 ** 32),
  -(2 ** 53) + 1,
]

export interface Sample {
  fields: Wire[]
  message: object
}

export const anyInt = fc.oneof(
  fc.constantFrom(...INTEGER_EDGES),
  fc.maxSafeInteger(),
  fc.integer({ min: -200, max: 200 }),
)
export const anyIntOrNil = fc.option(anyInt)
const anySeq = fc.oneof(
  fc.constantFrom(...INTEGER_EDGES.filter((edge) => edge >= 1)),
  fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
)

/** Text of at most `charsMax` characters, by whichever way of counting characters. */
export function anyText(charsMax: number): fc.Arbitrary<string> {
  return fc.oneof(
    fc.string({ unit: 'binary', maxLength: Math.floor(charsMax / 2) }),
    fc.string({ unit: 'binary-ascii', maxLength: charsMax }),
    fc.constantFrom('', '\ufeff', '\ufeffafter a mark', '\0', 'ž\u0301'.repeat(5), 'x'.repeat(charsMax)),
    fc.constantFrom(...[31, 32, 255, 256].filter((length) => length <= charsMax)).map((n) => 'y'.repeat(n)),
  )
}

/** Optional fields at the end may be nil or, from some field on, not there at all. */
function trimmed(fields: Wire[], leaveOut: boolean): Wire[] {
  let length = fields.length
  while (leaveOut && fields[length - 1] === null) length -= 1
  return fields.slice(0, length)
}

function hello(credential: 'deviceKey' | 'token', charsMax: number): fc.Arbitrary<Sample> {
  return fc
    .tuple(anyText(charsMax), fc.option(anyText(64)), anyIntOrNil, fc.boolean())
    .map(([secret, client, nowMs, leaveOut]) => ({
      fields: trimmed([1, secret, client, nowMs], leaveOut),
      message: { type: 1, [credential]: secret, client, nowMs },
    }))
}

const ping: fc.Arbitrary<Sample> = fc
  .tuple(anyInt, anyIntOrNil, fc.boolean())
  .map(([nonce, nowMs, leaveOut]) => ({
    fields: trimmed([4, nonce, nowMs], leaveOut),
    message: { type: 4, nonce, nowMs },
  }))

interface AnyPoint {
  fields: Wire[]
  dtMs: number
  rest: (number | null)[]
}

const anyPoint: fc.Arbitrary<AnyPoint> = fc
  .tuple(
    anyInt,
    anyInt,
    anyInt,
    fc.tuple(anyIntOrNil, anyIntOrNil, anyIntOrNil, anyIntOrNil, anyIntOrNil),
    fc.boolean(),
  )
  .map(([dtMs, lat, lng, optional, leaveOut]) => ({
    fields: trimmed([dtMs, lat, lng, ...optional], leaveOut),
    dtMs,
    rest: [lat, lng, ...optional],
  }))

const points: fc.Arbitrary<Sample> = fc
  .tuple(anySeq, anyIntOrNil, anyInt, fc.array(anyPoint, { minLength: 1, maxLength: BATCH_POINTS_MAX }))
  .map(([seq, session, baseMs, batch]) => ({
    fields: [2, seq, session, baseMs, batch.map((point) => point.fields)],
    message: { type: 2, seq, session, values: flat(baseMs, batch) },
  }))

/** Eight numbers a point; nil is NaN, except that no source means gps. */
function flat(baseMs: number, batch: readonly AnyPoint[]): Float64Array {
  return Float64Array.from(
    batch.flatMap(({ dtMs, rest }) => [
      baseMs + dtMs,
      ...rest.slice(0, 6).map((value) => value ?? Number.NaN),
      rest[6] ?? 0,
    ]),
  )
}

const session: fc.Arbitrary<Sample> = fc
  .tuple(anySeq, anyInt, fc.constantFrom(0, 1, 2, 3), anyInt)
  .map(([seq, started, op, atMs]) => ({
    fields: [3, seq, started, op, atMs],
    message: { type: 3, seq, session: started, op, atMs },
  }))

const sub: fc.Arbitrary<Sample> = fc
  .tuple(
    fc.option(fc.array(anyInt, { maxLength: 40 })),
    fc.option(fc.array(anyInt, { maxLength: 40 })),
    fc.boolean(),
  )
  .map(([userIds, deviceIds, leaveOut]) => ({
    fields: trimmed([16, userIds, deviceIds], leaveOut),
    message: { type: 16, userIds, deviceIds },
  }))

const seen: fc.Arbitrary<Sample> = anyInt.map((tick) => ({ fields: [19, tick], message: { type: 19, tick } }))

function bare(type: number): fc.Arbitrary<Sample> {
  return fc.constant({ fields: [type], message: { type } })
}

export const deviceSample = fc.oneof(
  hello('deviceKey', 256),
  { arbitrary: points, weight: 4 },
  session,
  ping,
  bare(6),
)
const auth: fc.Arbitrary<Sample> = anyText(4_096).map((token) => ({
  fields: [5, token],
  message: { type: 5, token },
}))

export const viewerSample = fc.oneof(hello('token', 4_096), auth, ping, sub, bare(18), seen)

/** Which forms a writer by hand takes: see chooseFrom. */
export const anyPicks = fc.array(fc.nat(11), { minLength: 1, maxLength: 24 })
