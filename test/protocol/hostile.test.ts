/** Whatever bytes a peer sends, the hub reads a frame, ignores it or calls it malformed, and stays small. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeDeviceFrame, decodeViewerFrame } from '../../src/protocol/decode.ts'
import { runs } from '../rig/runs.ts'
import { watchAllocations } from './allocations.ts'
import { float64, joined, number, type Raw, raw, shortest, type Wire, write } from './encodings.ts'
import { BATCH_POINTS_MAX } from './frames.ts'
import { damagedFrame, EVERY_KIND, oddFrame } from './mutations.ts'

const DEVICE_TYPES = [1, 2, 3, 4, 6]
const VIEWER_TYPES = [1, 4, 5, 16, 18, 19]

const device = (frame: Wire) => decodeDeviceFrame(write(frame, shortest), BATCH_POINTS_MAX)
const viewer = (frame: Wire) => decodeViewerFrame(write(frame, shortest))

/** The frames that the tables below take apart: each with all its fields. */
const POINT: Wire = [0, 450_000_000, 140_000_000, 500, 120, 9_000, 30_000, 2]
const DEVICE_FRAMES: Record<string, Wire[]> = {
  HELLO: [1, 'alzy_1_key', 'test 1.0', 1_700_000_000_000],
  POINTS: [2, 7, 1_700_000_000_000, 1_700_000_000_500, [POINT, POINT]],
  SESSION: [3, 7, 1_700_000_000_000, 1, 1_700_000_000_500],
  PING: [4, 99, 1_700_000_000_000],
  BYE: [6],
}
const VIEWER_FRAMES: Record<string, Wire[]> = {
  HELLO: [1, 'a.b.c', 'test 1.0', 1_700_000_000_000],
  PING: [4, 99, 1_700_000_000_000],
  AUTH: [5, 'a.b.c'],
  SUB: [16, [1, 2], [3, 4]],
  RESYNC: [18],
  SEEN: [19, 5],
}

describe('any bytes at all', () => {
  test.each([
    ['random bytes', fc.uint8Array({ maxLength: 200 }), 5_000],
    ['damaged frames', damagedFrame, 4_000],
    ['frames with odd values', oddFrame, 3_000],
  ])('give a frame, nothing or an error: %s', (_name, bytes, numRuns) => {
    fc.assert(fc.property(bytes as fc.Arbitrary<Uint8Array>, expectHarmless), { numRuns: runs(numRuns) })
  })

  test('leave nothing behind that changes how the next frame is read', () => {
    const after = device(DEVICE_FRAMES.POINTS!)
    fc.assert(
      fc.property(damagedFrame, (bytes) => {
        decodeDeviceFrame(bytes, BATCH_POINTS_MAX)
        decodeViewerFrame(bytes)
        expect(device(DEVICE_FRAMES.POINTS!)).toStrictEqual(after)
      }),
      { numRuns: runs(1_000) },
    )
  })

  test('in text that ends within a character do not leak into the next text', () => {
    expect(device([1, raw(0xa2, 0xe2, 0x82)])).toMatchObject({ type: 'malformed' })
    expect(device([1, raw(0xa1, 0xac)])).toMatchObject({ type: 'malformed' })
    expect(device([1, 'key'])).toMatchObject({ deviceKey: 'key' })
  })
})

describe('elements that a later version may add', () => {
  test.each(Object.entries(EVERY_KIND))('are ignored when they are %s', (_name, extra) => {
    for (const fields of Object.values(DEVICE_FRAMES)) {
      expect(device([...fields, extra])).toStrictEqual(device(fields))
      expect(device([...fields, extra, extra, 1])).toStrictEqual(device(fields))
    }
    for (const fields of Object.values(VIEWER_FRAMES)) {
      expect(viewer([...fields, extra, extra])).toStrictEqual(viewer(fields))
    }
  })

  test.each(Object.entries(EVERY_KIND))(
    'at the end of a point are ignored when they are %s',
    (_name, extra) => {
      const longer: Wire = [...(POINT as Wire[]), extra, extra]
      expect(device([2, 7, null, 0, [longer, POINT]])).toStrictEqual(device([2, 7, null, 0, [POINT, POINT]]))
    },
  )

  test.each([
    ['arrays', 0x91],
    ['maps', 0x81],
  ])('may be %s nested as deep as a frame is long', (_name, head) => {
    const depth = 32_000
    const nested = new Uint8Array(depth).fill(head)
    // A map holds a key as well as a value.
    const inside = new Uint8Array(head === 0x81 ? depth + 1 : 1).fill(0xc0)
    expect(device([6, { raw: joined([nested, inside]) }])).toStrictEqual({ type: 6 })
    expect(device([6, { raw: nested }])).toMatchObject({ type: 'malformed' })
  })

  test('still have to be msgpack', () => {
    expect(device([6, raw(0xc1)])).toMatchObject({ type: 'malformed' })
    expect(device([6, raw(0x91, 0xc1)])).toMatchObject({ type: 'malformed' })
  })
})

describe('a value of the wrong kind', () => {
  const notInt = Object.entries(EVERY_KIND).filter(([name]) => !/^(nil|a small.*|u?int(8|16|32))$/.test(name))
  const notText = Object.entries(EVERY_KIND).filter(
    ([name]) => !/^(empty text|short text|text with .*)$/.test(name),
  )
  const notArray = Object.entries(EVERY_KIND).filter(([name]) => name !== 'an empty array')

  test.each(notInt)('is refused where an int belongs: %s', (_name, value) => {
    const frames: Wire[][] = [
      [2, value, null, 0, [POINT]],
      [2, 7, value, 0, [POINT]],
      [2, 7, null, value, [POINT]],
      ...POINT_FIELDS.map((field) => [2, 7, null, 0, [POINT, replaced(POINT, field, value)]] as Wire[]),
      [3, value, 0, 0, 0],
      [3, 7, value, 0, 0],
      [3, 7, 0, value, 0],
      [3, 7, 0, 0, value],
      [1, 'key', null, value],
      [4, value],
      [4, 1, value],
    ]
    for (const frame of frames) expect(device(frame)).toMatchObject({ type: 'malformed' })
    for (const frame of [
      [19, value],
      [4, value],
      [16, [1, value]],
      [16, null, [value]],
      [1, 't', null, value],
    ]) {
      expect(viewer(frame)).toMatchObject({ type: 'malformed' })
    }
    expect(device([value])).toMatchObject({ type: 'malformed' })
  })

  test.each(notText)('is refused where text belongs: %s', (name, value) => {
    expect(device([1, value])).toMatchObject({ type: 'malformed' })
    expect(viewer([1, value])).toMatchObject({ type: 'malformed' })
    if (name !== 'nil') expect(device([1, 'key', value])).toMatchObject({ type: 'malformed' })
  })

  test.each(notArray)('is refused where an array belongs: %s', (name, value) => {
    expect(device(value)).toMatchObject({ type: 'malformed' })
    expect(device([2, 7, null, 0, value])).toMatchObject({ type: 'malformed', ref: 7 })
    expect(device([2, 7, null, 0, [value]])).toMatchObject({ type: 'malformed', ref: 7 })
    if (name === 'nil' || /^array/.test(name)) return
    expect(viewer([16, value])).toMatchObject({ type: 'malformed' })
    expect(viewer([16, null, value])).toMatchObject({ type: 'malformed' })
  })

  const required: [string, Wire[]][] = [
    ['HELLO', [1]],
    ['POINTS', [2, 7, null, 0]],
    ['POINTS', [2, 7, null]],
    ['POINTS', [2, 7]],
    ['POINTS', [2]],
    ['SESSION', [3, 7, 0, 0]],
    ['SESSION', [3, 7, 0]],
    ['PING', [4]],
    ['frame', []],
  ]
  test.each(required)('is an absent one: %s %j', (_name, frame) => {
    expect(device(frame)).toMatchObject({ type: 'malformed' })
    expect(device([...frame, null])).toMatchObject({ type: 'malformed' })
  })

  test.each([[[1]], [[4]], [[19]]])('is an absent one of a viewer: %j', (frame) => {
    expect(viewer(frame)).toMatchObject({ type: 'malformed' })
    expect(viewer([...frame, null])).toMatchObject({ type: 'malformed' })
  })

  test.each([0, 1, 2])('is a point with %d of its three required values', (length) => {
    const short = (POINT as Wire[]).slice(0, length)
    expect(device([2, 7, null, 0, [short]])).toMatchObject({ type: 'malformed', ref: 7 })
    expect(device([2, 7, null, 0, [[...short, null, null, null]]])).toMatchObject({
      type: 'malformed',
      ref: 7,
    })
  })
})

describe('the edges of a field', () => {
  test.each([0, -1, -(2 ** 53) + 1])('seq %d is refused', (seq) => {
    expect(device([2, seq, null, 0, [POINT]])).toMatchObject({ type: 'malformed', ref: null })
    expect(device([3, seq, 0, 0, 0])).toMatchObject({ type: 'malformed', ref: null })
  })

  test.each([-1, 4, 255, 2 ** 32])('op %d is refused, and the error refers to the frame', (op) => {
    expect(device([3, 7, 0, op, 0])).toMatchObject({ type: 'malformed', ref: 7 })
  })

  test('a frame has at least one point and at most batchPointsMax', () => {
    const frame = (count: number): Wire => [2, 7, null, 0, Array(count).fill(POINT)]
    expect(device(frame(0))).toMatchObject({ type: 'malformed', ref: 7 })
    expect(device(frame(1))).toMatchObject({ type: 2 })
    expect(device(frame(BATCH_POINTS_MAX))).toMatchObject({ type: 2 })
    expect(device(frame(BATCH_POINTS_MAX + 1))).toMatchObject({ type: 'malformed', ref: 7 })
  })

  test.each([
    ['client of a device', 64, (text: string) => device([1, 'key', text])],
    ['client of a viewer', 64, (text: string) => viewer([1, 'token', text])],
    ['token', 4_096, (text: string) => viewer([1, text])],
    ['token of AUTH', 4_096, (text: string) => viewer([5, text])],
  ])('a %s has at most %d characters', (_name, charsMax, read) => {
    for (const character of ['x', 'ž', '世']) {
      expect(read(character.repeat(charsMax)).type).not.toBe('malformed')
      expect(read(character.repeat(charsMax + 1))).toMatchObject({ type: 'malformed' })
    }
  })

  test('a subscription names at most 256 users and 1024 devices', () => {
    const ids = (count: number): Wire => Array(count).fill(1)
    expect(viewer([16, ids(256), ids(1_024)])).toMatchObject({ type: 16 })
    expect(viewer([16, ids(257)])).toMatchObject({ type: 'malformed' })
    expect(viewer([16, null, ids(1_025)])).toMatchObject({ type: 'malformed' })
  })

  test.each([
    ['uint64', number(0xcf, 64, 2n ** 53n)],
    ['int64', number(0xd3, 64, 2n ** 53n)],
    ['negative int64', number(0xd3, 64, -(2n ** 53n))],
    ['float64', float64(2 ** 53)],
    ['uint64 that only rounds to a smaller one', number(0xcf, 64, 2n ** 53n + 1n)],
  ])('2^53 is beyond every int: %s', (_name, bytes) => {
    expect(device([4, { raw: bytes }])).toMatchObject({ type: 'malformed' })
  })

  test('text keeps a byte order mark and a zero', () => {
    expect(device([1, '\ufeffkey\0'])).toMatchObject({ deviceKey: '\ufeffkey\0' })
    expect(viewer([1, `\ufeff${'long '.repeat(100)}`])).toMatchObject({
      token: `\ufeff${'long '.repeat(100)}`,
    })
  })
})

describe('the type of a frame', () => {
  const types: [Wire, 'malformed' | 'ignored'][] = [
    [111, 'malformed'],
    [112, 'ignored'],
    [127, 'ignored'],
    [128, 'ignored'],
    [2 ** 53 - 1, 'ignored'],
    [{ raw: number(0xcf, 64, 2n ** 64n - 1n) }, 'malformed'],
    [{ raw: float64(112) }, 'ignored'],
    [{ raw: float64(112.5) }, 'malformed'],
    [0, 'malformed'],
    [-1, 'malformed'],
    [-112, 'malformed'],
    [null, 'malformed'],
    ['1', 'malformed'],
  ]
  test.each(types)('%j makes it %s', (type, verdict) => {
    for (const rest of [[], [1, 'two', raw(0xd4, 1, 2)]] as Wire[][]) {
      expect(device([type, ...rest])).toMatchObject({ type: verdict })
      expect(viewer([type, ...rest])).toMatchObject({ type: verdict })
    }
  })

  test('below 112 is understood only where it belongs', () => {
    for (let type = 0; type < 112; type++) {
      if (!DEVICE_TYPES.includes(type)) expect(device([type, 1, 1, 1, []]).type).toBe('malformed')
      if (!VIEWER_TYPES.includes(type)) expect(viewer([type, 1, 1, 1, []]).type).toBe('malformed')
    }
  })

  test('from 112 on does not excuse bytes that are not one array', () => {
    for (const bytes of [[0x92, 112], [0x91, 112, 0], [0x92, 112, 0xc1], [112], [0x81, 112, 0]]) {
      expect(decodeDeviceFrame(Uint8Array.from(bytes), BATCH_POINTS_MAX)).toMatchObject({ type: 'malformed' })
    }
  })
})

describe('bytes after the end of a frame', () => {
  test.each([...Object.keys(DEVICE_FRAMES)])('make it malformed: %s', (name) => {
    const bytes = write(DEVICE_FRAMES[name]!, shortest)
    for (const tail of [[0xc0], [0x00], [...bytes]]) {
      const longer = joined([bytes, Uint8Array.from(tail)])
      expect(decodeDeviceFrame(longer, BATCH_POINTS_MAX)).toMatchObject({ type: 'malformed' })
    }
  })

  test('are too few when the frame is cut short anywhere', () => {
    for (const fields of Object.values(DEVICE_FRAMES)) {
      const bytes = write(fields, shortest)
      for (let length = 0; length < bytes.length; length++) {
        expect(decodeDeviceFrame(bytes.subarray(0, length), BATCH_POINTS_MAX)).toMatchObject({
          type: 'malformed',
        })
      }
    }
  })
})

describe('a count that lies', () => {
  const filler = new Uint8Array(60)
  const counts: [string, Raw][] = [
    ['65 535 elements', raw(0xdc, 0xff, 0xff)],
    ['a million elements', raw(0xdd, 0, 0x0f, 0x42, 0x40)],
    ['2^31 elements', raw(0xdd, 0x80, 0, 0, 0)],
    ['2^32 - 1 elements', raw(0xdd, 0xff, 0xff, 0xff, 0xff)],
  ]

  test.each(counts)('of %s is not believed, even where no limit of the protocol forbids it', (_name, lie) => {
    const lies = [
      lie.raw,
      joined([Uint8Array.of(0x95, 2, 7, 0xc0, 0), lie.raw]),
      joined([Uint8Array.of(0x95, 2, 7, 0xc0, 0, 0x91), lie.raw]),
      joined([Uint8Array.of(0x93, 16, 0xc0), lie.raw]),
      joined([Uint8Array.of(0x92, 6), lie.raw]),
    ].map((bytes) => joined([bytes, filler]))
    for (const bytes of lies) {
      const asked = watchAllocations(() => {
        expect(decodeDeviceFrame(bytes, Number.MAX_SAFE_INTEGER).type).toBe('malformed')
        expect(decodeViewerFrame(bytes).type).toBe('malformed')
      })
      expect(asked.arrayMax).toBeLessThanOrEqual(bytes.length)
      expect(asked.doublesMax).toBeLessThanOrEqual(8 * bytes.length)
    }
  })

  test('of bytes in text, bin or ext is not believed', () => {
    const heads = [0xdb, 0xc6, 0xc9]
    for (const head of heads) {
      const lie: Wire = { raw: joined([Uint8Array.of(head, 0xff, 0xff, 0xff, 0xff), filler]) }
      expect(device([1, lie])).toMatchObject({ type: 'malformed' })
      expect(device([6, lie])).toMatchObject({ type: 'malformed' })
    }
  })

  test('makes the hub allocate no more than the bytes could fill', () => {
    let largest = 0
    fc.assert(
      fc.property(damagedFrame, (bytes) => {
        const asked = watchAllocations(() => {
          decodeDeviceFrame(bytes, Number.MAX_SAFE_INTEGER)
          decodeViewerFrame(bytes)
        })
        largest = Math.max(largest, asked.doublesMax)
        expect(asked.arrayMax).toBeLessThanOrEqual(bytes.length)
        expect(asked.doublesMax).toBeLessThanOrEqual(8 * bytes.length)
      }),
      // A frame that is larger than what small ones share is rare.
      { numRuns: 2_000 },
    )
    expect(largest).toBeGreaterThan(0)
  })
})

const POINT_FIELDS = [0, 1, 2, 3, 4, 5, 6, 7]

function replaced(array: Wire, index: number, value: Wire): Wire {
  return (array as Wire[]).map((element, i) => (i === index ? value : element))
}

function expectHarmless(bytes: Uint8Array): void {
  const frame = decodeDeviceFrame(bytes, BATCH_POINTS_MAX)
  if (frame.type === 'malformed') expectRefusal(frame)
  else if (frame.type !== 'ignored') expect(DEVICE_TYPES).toContain(frame.type)
  if (frame.type === 2) {
    expect(frame.values.length % 8).toBe(0)
    expect(frame.values.length / 8).toBeGreaterThanOrEqual(1)
    expect(frame.values.length / 8).toBeLessThanOrEqual(BATCH_POINTS_MAX)
    expect(frame.values.every((value) => Number.isNaN(value) || Number.isInteger(value))).toBe(true)
  }
  const viewerFrame = decodeViewerFrame(bytes)
  if (viewerFrame.type === 'malformed') expectRefusal(viewerFrame)
  else if (viewerFrame.type !== 'ignored') expect(VIEWER_TYPES).toContain(viewerFrame.type)
}

/** The hub tells the peer why, so there must be a why, and never the peer's own bytes in it. */
function expectRefusal(refusal: { message: string; ref: number | null }): void {
  expect(refusal.message).toMatch(/^[a-zA-Z0-9^ ,.-]{5,80}$/)
  if (refusal.ref !== null) expect(refusal.ref).toBeGreaterThanOrEqual(1)
}
