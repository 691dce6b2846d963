/**
 * Damage for frames: first to the values (a field of another kind, one too many, one missing), then to the
 * bytes (cut, flipped, spliced, lying counts). It aims at what a hasty decoder gets wrong.
 */
import fc from 'fast-check'
import {
  chooseFrom,
  float64,
  isArray,
  joined,
  number,
  type Raw,
  raw,
  shortest,
  type Wire,
  write,
} from './encodings.ts'
import { anyPicks, BATCH_POINTS_MAX, deviceSample, type Sample, viewerSample } from './frames.ts'

const utf8 = new TextEncoder()

/** One value of every kind that msgpack has, each a legal value by itself. */
export const EVERY_KIND: Record<string, Raw> = {
  nil: raw(0xc0),
  false: raw(0xc2),
  true: raw(0xc3),
  'a small integer': raw(0x05),
  'a small negative integer': raw(0xe0),
  uint8: raw(0xcc, 0xff),
  uint16: raw(0xcd, 0xff, 0xff),
  uint32: raw(0xce, 0xff, 0xff, 0xff, 0xff),
  'uint64 beyond every int': { raw: number(0xcf, 64, 2n ** 64n - 1n) },
  int8: raw(0xd0, 0x80),
  int16: raw(0xd1, 0x80, 0x00),
  int32: raw(0xd2, 0x80, 0x00, 0x00, 0x00),
  'int64 beyond every int': { raw: number(0xd3, 64, -(2n ** 63n)) },
  float32: raw(0xca, 0x3f, 0x80, 0x00, 0x00),
  'a fraction': { raw: float64(1.5) },
  'not a number': { raw: float64(Number.NaN) },
  infinity: { raw: float64(Number.POSITIVE_INFINITY) },
  'minus infinity': { raw: float64(Number.NEGATIVE_INFINITY) },
  'float64 beyond every int': { raw: float64(2 ** 53) },
  'empty text': raw(0xa0),
  'short text': raw(0xa2, 0x68, 0x69),
  'text with an 8-bit length': raw(0xd9, 2, 0x68, 0x69),
  'text with a 16-bit length': raw(0xda, 0, 2, 0x68, 0x69),
  'text with a 32-bit length': raw(0xdb, 0, 0, 0, 2, 0x68, 0x69),
  'text that is not UTF-8': raw(0xa2, 0xc3, 0x28),
  'text that ends within a character': raw(0xa2, 0xe2, 0x82),
  'an overlong zero': raw(0xa2, 0xc0, 0x80),
  'half of a surrogate pair': raw(0xa3, 0xed, 0xa0, 0x80),
  'bin8 with a 7 in it': raw(0xc4, 1, 7),
  bin16: raw(0xc5, 0, 1, 7),
  bin32: raw(0xc6, 0, 0, 0, 1, 7),
  'an empty array': raw(0x90),
  'an array of arrays': raw(0x92, 0x91, 0xc0, 0x91, 0x01),
  array16: raw(0xdc, 0, 1, 7),
  array32: raw(0xdd, 0, 0, 0, 1, 7),
  'an empty map': raw(0x80),
  'a map of maps': raw(0x81, 0xa1, 0x61, 0x81, 0xa1, 0x62, 0xc0),
  map16: raw(0xde, 0, 1, 0xa1, 0x61, 0x01),
  map32: raw(0xdf, 0, 0, 0, 1, 0xa1, 0x61, 0x01),
  'a map with an array as its key': raw(0x81, 0x91, 0x01, 0x02),
  'a map with the key __proto__': {
    raw: joined([Uint8Array.of(0x81, 0xa9), utf8.encode('__proto__'), Uint8Array.of(0x90)]),
  },
  fixext1: raw(0xd4, 5, 1),
  fixext2: raw(0xd5, 5, 1, 2),
  fixext4: raw(0xd6, 5, 1, 2, 3, 4),
  fixext8: { raw: Uint8Array.of(0xd7, 5, ...Array(8).fill(1)) },
  fixext16: { raw: Uint8Array.of(0xd8, 5, ...Array(16).fill(1)) },
  'an empty ext8': raw(0xc7, 0, 5),
  ext8: raw(0xc7, 1, 5, 9),
  ext16: raw(0xc8, 0, 1, 5, 9),
  ext32: raw(0xc9, 0, 0, 0, 1, 5, 9),
  'a timestamp': raw(0xd6, 0xff, 0, 0, 0, 1),
  'a timestamp of no legal length': raw(0xd5, 0xff, 0, 1),
  'a record definition of msgpackr': raw(0xd4, 0x72, 0x40),
  'a regular expression of msgpackr': raw(0xc7, 2, 0x78, 0x92, 0xa1),
}

/** Pieces of bytes that begin something they do not finish, or are no msgpack at all. */
const SNIPPETS: Uint8Array[] = [
  ...Object.values(EVERY_KIND).map((kind) => kind.raw),
  Uint8Array.of(0xc1),
  Uint8Array.of(0xdc, 0xff, 0xff),
  Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff),
  Uint8Array.of(0xdd, 0x7f, 0xff, 0xff, 0xff),
  Uint8Array.of(0xdd, 0x00, 0x00, 0x00, 0x14),
  Uint8Array.of(0xdf, 0xff, 0xff, 0xff, 0xff),
  Uint8Array.of(0xdf, 0x80, 0x00, 0x00, 0x00),
  Uint8Array.of(0xdb, 0xff, 0xff, 0xff, 0xff),
  Uint8Array.of(0xc6, 0xff, 0xff, 0xff, 0xff),
  Uint8Array.of(0xc9, 0xff, 0xff, 0xff, 0xff, 0x01),
  Uint8Array.of(0xef, 0xbb, 0xbf),
  new Uint8Array(40).fill(0x91),
  new Uint8Array(40).fill(0x81),
  new Uint8Array(40).fill(0xdd),
]

const oddValue: fc.Arbitrary<Wire> = fc.oneof(
  fc.constantFrom(...Object.values(EVERY_KIND)),
  fc.constantFrom<Wire>(0, -1, 4, 7, 9, 64, 111, 112, 127, 128, 2 ** 32, 2 ** 53 - 1, null, '', []),
  fc.constantFrom(65, 129, 257, 4_097).map((length) => 'z'.repeat(length)),
  fc.constantFrom(...[BATCH_POINTS_MAX, BATCH_POINTS_MAX + 1, 300].map((count) => many([0, 1, 2], count))),
  fc.constantFrom(...[256, 257, 1_024, 1_025].map((count) => many(1, count))),
)

function many(value: Wire, count: number): Raw {
  return { raw: write(Array(count).fill(value), shortest) }
}

type ValueDamage = (fields: Wire[]) => void

/** Damage to the `pick`-th array found inside of the fields, or to the fields themselves. */
const valueDamage: fc.Arbitrary<ValueDamage> = fc
  .record({
    do: fc.constantFrom('replace', 'remove', 'insert', 'append'),
    array: fc.nat(40),
    element: fc.nat(40),
    value: oddValue,
  })
  .map((damage) => (fields) => {
    const arrays = arraysIn(fields)
    const array = arrays[damage.array % arrays.length]!
    const at = damage.element % (array.length + 1)
    // A copy, since a later damage may change it.
    const value = isArray(damage.value) ? unfrozen(damage.value) : damage.value
    if (damage.do === 'replace') array.splice(Math.min(at, Math.max(0, array.length - 1)), 1, value)
    else if (damage.do === 'remove') array.splice(at, 1)
    else if (damage.do === 'insert') array.splice(at, 0, value)
    else array.push(value)
  })

function arraysIn(fields: Wire[]): Wire[][] {
  return [fields, ...fields.flatMap((field) => (isArray(field) ? arraysIn(field as Wire[]) : []))]
}

/** A copy, all arrays of which may be changed. */
function unfrozen(fields: readonly Wire[]): Wire[] {
  return fields.map((field) => (isArray(field) ? unfrozen(field) : field))
}

type ByteDamage = (bytes: Uint8Array) => Uint8Array

const snippet = fc.oneof(fc.constantFrom(...SNIPPETS), fc.uint8Array({ minLength: 1, maxLength: 6 }))
const HEADS = Array.from({ length: 0x20 }, (_, i) => 0xc0 + i)

const byteDamage: fc.Arbitrary<ByteDamage> = fc
  .record({
    do: fc.constantFrom('cut', 'flip', 'head', 'insert', 'overwrite', 'delete', 'repeat', 'append'),
    at: fc.nat(),
    nearTheStart: fc.boolean(),
    bit: fc.nat(7),
    head: fc.constantFrom(...HEADS, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0x00, 0x7f, 0xe0, 0xff),
    length: fc.integer({ min: 1, max: 12 }),
    snippet,
  })
  .map((damage) => (bytes) => {
    const reach = damage.nearTheStart ? Math.min(24, bytes.length) : bytes.length
    const at = damage.at % Math.max(1, reach)
    const before = bytes.subarray(0, at)
    switch (damage.do) {
      case 'cut':
        return before
      case 'flip':
        return changed(bytes, at, (bytes[at] ?? 0) ^ (1 << damage.bit))
      case 'head':
        return changed(bytes, at, damage.head)
      case 'insert':
        return joined([before, damage.snippet, bytes.subarray(at)])
      case 'overwrite':
        return joined([before, damage.snippet, bytes.subarray(at + damage.snippet.length)])
      case 'delete':
        return joined([before, bytes.subarray(at + damage.length)])
      case 'repeat':
        return joined([bytes.subarray(0, at + damage.length), bytes.subarray(at)])
      default:
        return joined([bytes, damage.snippet])
    }
  })

function changed(bytes: Uint8Array, at: number, byte: number): Uint8Array {
  const copy = new Uint8Array(bytes)
  if (at < copy.length) copy[at] = byte
  return copy
}

/** Frames of both kinds after some damage, and now and then after none. */
export const damagedFrame: fc.Arbitrary<Uint8Array> = fc
  .record({
    sample: fc.oneof(deviceSample, viewerSample),
    values: fc.array(valueDamage, { maxLength: 2 }),
    picks: anyPicks,
    bytes: fc.array(byteDamage, { maxLength: 3 }),
  })
  .map(({ sample, values, picks, bytes }) =>
    bytes.reduce((damaged, damage) => damage(damaged), damagedValues(sample, values, picks)),
  )

/** Frames that are still msgpack, but say something that a device or viewer may not say. */
export const oddFrame: fc.Arbitrary<Uint8Array> = fc
  .record({
    sample: fc.oneof(deviceSample, viewerSample),
    values: fc.array(valueDamage, { minLength: 1, maxLength: 3 }),
    picks: anyPicks,
  })
  .map(({ sample, values, picks }) => damagedValues(sample, values, picks))

function damagedValues(sample: Sample, damages: ValueDamage[], picks: number[]): Uint8Array {
  const fields = unfrozen(sample.fields)
  for (const damage of damages) damage(fields)
  return write(fields, chooseFrom(picks))
}
