/** What the hub says is what any msgpack library hears: each frame of PROTOCOL.md, read by two of them. */
import { decode as decodeOfficial, encode as encodeOfficial } from '@msgpack/msgpack'
import fc from 'fast-check'
import { Unpackr } from 'msgpackr'
import { describe, expect, test } from 'vitest'
import {
  type DeviceRecord,
  encodeAck,
  encodeAuthOk,
  encodeBackfilled,
  encodeDeviceRecord,
  encodeDeviceWelcome,
  encodeError,
  encodeGoaway,
  encodeGone,
  encodeLive,
  encodePause,
  encodePong,
  encodePresence,
  encodeRate,
  encodeSessionChange,
  encodeSnap,
  encodeSnapDevice,
  encodeStats,
  encodeTick,
  encodeViewerWelcome,
  pack,
  SNAP_HEAD_BYTES_MAX,
} from '../../src/protocol/encode.ts'
import { DEVICE_COLORS, DEVICE_PLATFORMS, type Rejected } from '../../src/protocol/messages.ts'
import { runs } from '../rig/runs.ts'
import { joined } from './encodings.ts'
import { anyInt, anyText, INTEGER_EDGES } from './frames.ts'
import { survey } from './survey.ts'

const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' })

/** A frame is heard alike by both libraries, and is msgpack without anything that needs an agreement. */
function heard(bytes: Uint8Array): unknown {
  const found = survey(bytes)
  expect(found).toMatchObject({ wellFormed: true, hasExt: false, hasTextThatIsNotUtf8: false, float32At: [] })
  const value = decodeOfficial(bytes)
  expect(unpackr.unpack(new Uint8Array(bytes))).toStrictEqual(value)
  return value
}

const anyUnsigned = anyInt.map(Math.abs)
const anyPosition = fc.record({ deviceId: anyUnsigned, epoch: anyUnsigned, n: anyUnsigned })
const anyStatus = fc.constantFrom('active' as const, 'paused' as const, 'ended' as const)

describe('a frame for a device', () => {
  test('WELCOME', () => {
    fc.assert(
      fc.property(fc.array(anyUnsigned, { minLength: 6, maxLength: 6 }), (v) => {
        const [deviceId, windowPoints, batchPointsMax, frameBytesMax, serverNowMs, heartbeatS] = v as Six
        const welcome = { deviceId, windowPoints, batchPointsMax, frameBytesMax, serverNowMs, heartbeatS }
        expect(heard(encodeDeviceWelcome(welcome))).toStrictEqual([65, ...v])
      }),
    )
  })

  test('ACK with and without rejected points', () => {
    const anyRejected = fc.tuple(
      anyUnsigned,
      fc.integer({ min: -1, max: 999 }),
      fc.constantFrom(1, 2, 3, 4, 5),
    )
    fc.assert(
      fc.property(
        anyUnsigned,
        anyUnsigned,
        fc.array(anyRejected, { maxLength: 300 }),
        (seq, window, list) => {
          const expected = list.length === 0 ? [66, seq, window] : [66, seq, window, list]
          expect(heard(encodeAck(seq, window, list as Rejected[]))).toStrictEqual(expected)
        },
      ),
    )
  })

  test('PAUSE and RATE', () => {
    fc.assert(
      fc.property(anyUnsigned, anyText(300), fc.boolean(), (ms, reason, watched) => {
        expect(heard(encodePause(ms, reason))).toStrictEqual([67, ms, reason])
        expect(heard(encodeRate(ms, watched))).toStrictEqual([73, ms, watched])
      }),
    )
  })
})

describe('a frame for anybody', () => {
  test('ERROR, GOAWAY and PONG', () => {
    fc.assert(
      fc.property(anyInt, anyInt, anyText(300), fc.option(anyInt), (a, b, message, ref) => {
        expect(heard(encodeError(4500, message, ref))).toStrictEqual([68, 4500, message, ref])
        expect(heard(encodeGoaway(a, b))).toStrictEqual([71, a, b])
        expect(heard(encodePong(a, b))).toStrictEqual([72, a, b])
      }),
    )
  })
})

describe('a frame for a viewer', () => {
  test('WELCOME', () => {
    for (const role of ['user', 'admin', 'share'] as const) {
      const welcome = { userId: 7, role, serverNowMs: 2 ** 41, authExpiresMs: 2 ** 41 + 1, heartbeatS: 25 }
      expect(heard(encodeViewerWelcome(welcome))).toStrictEqual([65, 7, role, 2 ** 41, 2 ** 41 + 1, 25])
    }
  })

  test('AUTH_OK', () => {
    expect(heard(encodeAuthOk(2 ** 41))).toStrictEqual([70, 2 ** 41])
  })

  test('PRESENCE, SESSION, BACKFILLED and GONE', () => {
    const anyChange = fc.record({
      sessionId: anyUnsigned,
      sessionMs: anyInt,
      status: anyStatus,
      endedMs: fc.option(anyInt),
    })
    fc.assert(
      fc.property(anyPosition, fc.boolean(), anyInt, anyInt, anyChange, (p, online, a, b, s) => {
        const at = [p.deviceId, p.epoch, p.n]
        expect(heard(encodePresence(p, online, a))).toStrictEqual([82, ...at, online, a])
        expect(heard(encodeSessionChange(p, s))).toStrictEqual([
          83,
          ...at,
          s.sessionId,
          s.sessionMs,
          s.status,
          s.endedMs,
        ])
        expect(heard(encodeBackfilled(p, a, b))).toStrictEqual([88, ...at, a, b])
        expect(heard(encodeGone(p.deviceId))).toStrictEqual([85, p.deviceId])
      }),
    )
  })

  test('stats, a map of figures', () => {
    const stats = {
      points: 2 ** 40,
      ratio: 0.25,
      hubs: { a: { live: 0 }, b: { live: -1 } },
      none: null,
      yes: true,
    }
    expect(heard(encodeStats(stats))).toStrictEqual([96, stats])
  })

  test('TICK in the shortest form of every int', () => {
    fc.assert(
      fc.property(anyInt, (tick) => {
        expect(heard(encodeTick(tick))).toStrictEqual([90, tick])
        expect(Buffer.from(encodeTick(tick))).toStrictEqual(Buffer.from(encodeOfficial([90, tick])))
      }),
      { examples: INTEGER_EDGES.map((edge) => [edge] as [number]), numRuns: runs(1_000) },
    )
  })
})

describe('LIVE', () => {
  const anyInt32 = fc.oneof(
    fc.constantFrom(...INTEGER_EDGES.filter((edge) => Math.abs(edge) < 2 ** 31)),
    fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 31 - 1 }),
  )
  const nilOr = (values: fc.Arbitrary<number>) => fc.option(values, { nil: Number.NaN })
  const anyPoint = fc.tuple(
    anyInt,
    anyInt32,
    anyInt32,
    nilOr(anyInt32),
    nilOr(anyInt32),
    nilOr(anyInt32),
    nilOr(anyInt32),
    fc.constantFrom(0, 1, 2, 3),
  )

  test('says of each point what the device said, as offsets from the first', () => {
    const anyBatch = fc.array(anyPoint, { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(anyPosition, anyInt, anyBatch, (p, sessionMs, batch) => {
        // Offsets are ints as well, so times that differ by more than those reach cannot stand in one frame.
        const points = batch.map((point) => [Math.floor(point[0] / 2), ...point.slice(1)])
        expectLive(p, sessionMs, points, 0, points.length)
      }),
      { numRuns: runs(2_000) },
    )
  })

  test('leaves out what is nil at the end of a point, in all combinations', () => {
    for (let nils = 0; nils < 16; nils++) {
      for (const source of [0, 1, 2, 3]) {
        const values = [5, 6, 7, 8].map((value, bit) => (nils & (1 << bit) ? Number.NaN : value))
        const point = [1_700_000_000_000, 1, 2, ...values, source]
        const [said] = expectLive({ deviceId: 1, epoch: 2, n: 3 }, 4, [point], 0, 1)
        expect(said!.at(-1)).not.toBe(null)
        expect(said!.length === 8).toBe(source !== 0)
      }
    }
  })

  test.each(INTEGER_EDGES)('carries %d wherever an int may stand', (edge) => {
    const fits = Math.abs(edge) < 2 ** 31 ? edge : 0
    const first = [0, fits, fits, fits, fits, fits, fits, 3]
    const second = [edge, fits, fits, fits, fits, fits, fits, 3]
    expectLive({ deviceId: edge, epoch: edge, n: edge }, edge, [first, second], 0, 2)
    expectLive({ deviceId: edge, epoch: edge, n: edge }, edge, [second], 0, 1)
  })

  test('has room for as many points as there are, each as long as a point can be', () => {
    const longest = (i: number) => [
      i === 0 ? -(2 ** 52) : 2 ** 52 - 1 - i,
      -900_000_000,
      -1_800_000_000,
      ...Array(4).fill(-(2 ** 31) + 1),
      3,
    ]
    const edge = 2 ** 53 - 1
    for (const count of [1, 15, 16, 3_000]) {
      const points = Array.from({ length: count }, (_, i) => longest(i))
      expectLive({ deviceId: edge, epoch: edge, n: edge }, -edge, points, 0, count)
    }
  })

  test('of a stretch of the points has only those', () => {
    const points = [1, 2, 3, 4, 5].map((i) => [1_000 + i, i, i, i, i, i, i, 1])
    expectLive({ deviceId: 1, epoch: 1, n: 1 }, 0, points, 1, 4)
    expectLive({ deviceId: 1, epoch: 1, n: 1 }, 0, points, 4, 5)
  })

  /** Returns the points as they were on the wire. */
  function expectLive(
    p: { deviceId: number; epoch: number; n: number },
    sessionMs: number,
    points: number[][],
    from: number,
    to: number,
  ): (number | null)[][] {
    const frame = heard(encodeLive(p, sessionMs, Float64Array.from(points.flat()), from, to)) as unknown[]
    const baseMs = points[from]![0]!
    expect(frame.slice(0, 6)).toStrictEqual([81, p.deviceId, p.epoch, p.n, sessionMs, baseMs])
    const said = frame[6] as (number | null)[][]
    // A point of the wire has 3 to 8 values; what is left out is nil, and a source that is nil means 0.
    expect(said.every((point) => point.length >= 3 && point.length <= 8)).toBe(true)
    expect(
      said.map(([dtMs, ...rest]) => [
        baseMs + dtMs!,
        ...Array.from({ length: 6 }, (_, i) => rest[i] ?? Number.NaN),
        rest[6] ?? 0,
      ]),
    ).toStrictEqual(points.slice(from, to))
    return said
  }
})

describe('SNAP and DEVICE', () => {
  const anyLast = fc.record({
    sessionMs: anyInt,
    sessionStatus: anyStatus,
    values: fc
      .array(fc.option(anyInt, { nil: Number.NaN }), { minLength: 8, maxLength: 8 })
      .map((values) => Float64Array.from(values)),
  })
  const anyRecord: fc.Arbitrary<DeviceRecord> = fc.record({
    deviceId: anyUnsigned,
    userId: anyUnsigned,
    name: anyText(255),
    color: fc.constantFrom(...DEVICE_COLORS),
    platform: fc.constantFrom(...DEVICE_PLATFORMS),
    online: fc.boolean(),
    lastSeenMs: fc.option(anyInt),
    epoch: anyUnsigned,
    n: anyUnsigned,
    last: fc.option(anyLast),
  })

  test('DEVICE says all of a device', () => {
    fc.assert(
      fc.property(anyRecord, (record) => {
        expect(heard(encodeDeviceRecord(record))).toStrictEqual([84, said(record)])
      }),
      { numRuns: runs(500) },
    )
  })

  test('a SNAP is built of parts that were packed one by one, within the bytes it promises', () => {
    fc.assert(
      fc.property(
        anyUnsigned.filter((part) => part < 2 ** 32),
        fc.boolean(),
        fc.array(anyRecord),
        (part, last, list) => {
          const parts = list.map(encodeSnapDevice)
          const bytes = encodeSnap(part, last, parts)
          expect(heard(bytes)).toStrictEqual([80, part, last, list.map(said)])
          expect(bytes.length - joined(parts).length).toBeLessThanOrEqual(SNAP_HEAD_BYTES_MAX)
        },
      ),
      { numRuns: runs(300) },
    )
  })

  test.each([0, 15, 16, 65_535, 65_536])('a SNAP may hold %d devices', (count) => {
    const device = Uint8Array.of(0x91, 7)
    const bytes = encodeSnap(2 ** 32 - 1, true, Array(count).fill(device))
    expect(heard(bytes)).toStrictEqual([80, 2 ** 32 - 1, true, Array(count).fill([7])])
  })

  function said(record: DeviceRecord): unknown[] {
    const { last } = record
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
      last && [last.sessionMs, last.sessionStatus, ...nilForNaN(last.values)],
    ]
  }

  function nilForNaN(values: Float64Array): (number | null)[] {
    return Array.from(values, (value) => (Number.isNaN(value) ? null : value))
  }
})

test('a frame stays as it is while later ones are written', () => {
  const frames: { bytes: Uint8Array; copy: Uint8Array }[] = []
  for (let i = 0; i < 2_000; i++) {
    const position = { deviceId: i, epoch: i, n: i }
    for (const bytes of [
      encodeLive(position, i, Float64Array.of(i, i, i, i, i, i, i, i % 4), 0, 1),
      encodeTick(i),
      encodeAck(i, i, []),
      encodePause(i, 'database is away'),
      encodeSnap(0, true, [pack([i])]),
    ]) {
      frames.push({ bytes, copy: new Uint8Array(bytes) })
    }
  }
  for (const { bytes, copy } of frames) expect(Buffer.compare(bytes, copy)).toBe(0)
})

type Six = [number, number, number, number, number, number]
