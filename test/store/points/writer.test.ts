/** What the writer promises of a batch: reported once it is committed, each point once, every field as it came. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  HEADING_MAX,
  INT32_MAX,
  LAT_E7_MAX,
  LNG_E7_MAX,
  POINT_SOURCES,
  RECORDED_MS_MIN,
} from '../../../src/protocol/messages.ts'
import { frameOfRows, MINUTE_MS, NOW_MS, SECOND_MS } from '../../core/frames.ts'
import { until } from '../../rig/until.ts'
import { describeOnEachStore, forgotten, pointsOf, timesOf } from '../eachStore.ts'
import { createLatch, createTap, insertsPoints, startWriting, type Writing } from '../writing.ts'

/** Moments a second apart, the last of them before now. */
function moments(count: number, endMs = NOW_MS): number[] {
  return Array.from({ length: count }, (_, i) => endMs - (count - i) * SECOND_MS)
}

async function finish(writing: Writing): Promise<void> {
  expect(await writing.writer.stop(10_000)).toBe(true)
  expect(writing.broken).toEqual([])
}

describeOnEachStore('the writer', (on) => {
  test('reports a batch when it is committed, and no earlier', async () => {
    const tap = createTap(on.store.writes[1]!)
    const [begun, mayBegin, answered, mayAnswer] = [
      createLatch(),
      createLatch(),
      createLatch(),
      createLatch(),
    ]
    tap.before = async (text) => {
      if (!insertsPoints(text)) return
      begun.open()
      await mayBegin.opened
    }
    tap.after = async (text) => {
      if (!insertsPoints(text)) return
      answered.open()
      await mayAnswer.opened
    }
    const writing = startWriting({ runs: [on.store.writes[0]!, tap.run] })
    const device = await on.addDevice()
    const sent = writing.send(device, moments(3))
    // What another connection sees at the very moment of the report.
    const seen = sent.stored.then(() => timesOf(on.store.read, device))

    await begun.opened
    expect(await timesOf(on.store.read, device)).toEqual([])
    expect(writing.reported).toEqual([])
    mayBegin.open()
    await answered.opened
    expect(await timesOf(on.store.read, device)).toEqual(moments(3))
    expect(writing.reported).toEqual([])
    expect(writing.backlog.points).toBe(3)
    mayAnswer.open()
    expect(await seen).toEqual(moments(3))
    expect(writing.backlog.points).toBe(0)
    expect(writing.batches).toMatchObject([{ rows: 3, inserted: 3, refused: new Map() }])
    await finish(writing)
  })

  test('stores a point once, with its first content, however often it comes in one batch', async () => {
    const writing = startWriting({ runs: on.store.writes })
    const device = await on.addDevice()
    const [first, second] = moments(2) as [number, number]
    const once = { recordedMs: first, lat: 111, accuracy: 1 }
    writing.send(device, [once, { recordedMs: first, lat: 222 }, second])
    const sent = writing.send(device, [
      { recordedMs: first, lat: 333 },
      { recordedMs: second, lat: 444 },
    ])
    await sent.stored
    expect(writing.batches).toMatchObject([{ rows: 5, inserted: 2 }])
    const stored = await pointsOf(on.store.read, device)
    expect(stored.map(({ recordedMs, latE7 }) => [recordedMs, latE7])).toEqual([
      [first, 111],
      [second, 481_234_567],
    ])
    expect(sent.kept.rejected).toEqual([])
    await finish(writing)
  })

  test('stores a point once, with its first content, when it comes again in a later batch', async () => {
    const writing = startWriting({ runs: on.store.writes })
    const device = await on.addDevice()
    const [at] = moments(1) as [number]
    await writing.send(device, [{ recordedMs: at, lat: 111 }], at).stored
    const before = await pointsOf(on.store.read, device)
    // Even in another session, received later.
    const again = writing.send(device, [{ recordedMs: at, lat: 222 }], at - MINUTE_MS, NOW_MS + MINUTE_MS)
    await again.stored
    expect(again.kept.rejected).toEqual([])
    expect(await pointsOf(on.store.read, device)).toEqual(before)
    expect(writing.batches.map(({ rows, inserted }) => [rows, inserted])).toEqual([
      [1, 1],
      [1, 0],
    ])
    await finish(writing)
  })

  test('finds nothing new in a whole history that is sent again, whatever the hub remembers', async () => {
    const writing = startWriting({ runs: on.store.writes })
    const device = await on.addDevice()
    const times = moments(300)
    const history = (of = device) => {
      writing.sendOp(of, times[100]!, 0)
      for (let i = 0; i < 100; i += 10) writing.send(of, times.slice(i, i + 10))
      writing.send(of, times.slice(100, 200), times[100])
      writing.sendOp(of, times[100]!, 3, times[199]!)
      return writing.send(of, times.slice(200)).stored
    }
    await history()
    const before = await pointsOf(on.store.read, device)
    expect(before.map(({ recordedMs }) => recordedMs)).toEqual(times)
    for (const again of [device, await on.reload(device), forgotten(device)]) {
      const reported = writing.batches.length
      await history(again)
      const late = writing.batches.slice(reported)
      expect(late.reduce((sum, { rows }) => sum + rows, 0)).toBe(300)
      expect(late.reduce((sum, { inserted }) => sum + inserted, 0)).toBe(0)
      expect(await pointsOf(on.store.read, device)).toEqual(before)
    }
    await finish(writing)
  })

  test('stores every field of a point as it was sent', async () => {
    const writing = startWriting({ runs: on.store.writes })
    const orNil = (values: fc.Arbitrary<number>) => fc.option(values, { nil: Number.NaN })
    const centimetres = fc.integer({ min: 0, max: INT32_MAX })
    const fields = fc.tuple(
      fc.integer({ min: -LAT_E7_MAX, max: LAT_E7_MAX }),
      fc.integer({ min: -LNG_E7_MAX, max: LNG_E7_MAX }),
      orNil(centimetres),
      orNil(centimetres),
      orNil(fc.integer({ min: 0, max: HEADING_MAX })),
      orNil(fc.integer({ min: -INT32_MAX, max: INT32_MAX })),
      fc.nat(POINT_SOURCES.length - 1),
    )
    const time = fc.integer({ min: RECORDED_MS_MIN, max: NOW_MS + 86_400_000 })
    const extremes = [
      [RECORDED_MS_MIN, LAT_E7_MAX, LNG_E7_MAX, INT32_MAX, INT32_MAX, HEADING_MAX, INT32_MAX, 3],
      [NOW_MS + 86_400_000, -LAT_E7_MAX, -LNG_E7_MAX, 0, 0, 0, -INT32_MAX, 0],
    ]
    const rows = fc.uniqueArray(fc.tuple(time, fields), {
      selector: ([at]) => at,
      minLength: 1,
      maxLength: 60,
    })
    await fc.assert(
      fc.asyncProperty(rows, async (drawn) => {
        const device = await on.addDevice()
        const points = drawn.map(([at, rest]) => [at, ...rest])
        await writing.sendFrame(device, frameOfRows(1, RECORDED_MS_MIN, points)).stored
        expect(await fieldsOf(device.id)).toEqual(points.sort((a, b) => a[0]! - b[0]!))
      }),
      { numRuns: 8, examples: [[extremes.map(([at, ...rest]) => [at, rest]) as never]] },
    )
    await finish(writing)
  })

  test('computes the place of a point from the same degrees', async () => {
    const writing = startWriting({ runs: on.store.writes })
    const device = await on.addDevice()
    await writing.send(device, [{ recordedMs: NOW_MS, lat: 481_234_567, lng: -115_678_901 }]).stored
    const [row] = await on.store.read(
      `select lat::text, lng::text, st_x(geom) as x, st_y(geom) as y, st_srid(geom) as srid
       from points where device_id = $1::int`,
      [device.id],
    )
    expect(row).toEqual({ lat: '48.1234567', lng: '-11.5678901', x: -11.5678901, y: 48.1234567, srid: 4326 })
    await finish(writing)
  })

  test('lets points gather while a statement runs, and then takes them all at once', async () => {
    const tap = createTap(on.store.writes[1]!)
    const [begun, mayBegin] = [createLatch(), createLatch()]
    tap.before = async (text) => {
      if (!insertsPoints(text)) return
      begun.open()
      await mayBegin.opened
    }
    const writing = startWriting({ runs: [on.store.writes[0]!, tap.run] })
    const devices = await Promise.all(Array.from({ length: 5 }, on.addDevice))
    writing.send(devices[0]!, [NOW_MS - MINUTE_MS])
    await begun.opened
    const sent = devices.flatMap((device) => moments(10).map((at) => writing.send(device, [at])))
    mayBegin.open()
    await Promise.all(sent.map(({ stored }) => stored))
    expect(tap.statements.filter(insertsPoints)).toHaveLength(2)
    expect(writing.batches.map(({ rows }) => rows)).toEqual([1, 50])
    await finish(writing)
  })

  test('takes no more rows at once than it may, except a frame that has more', async () => {
    const writing = startWriting({ runs: on.store.writes.slice(0, 2), limits: { writeRowsMax: 25 } })
    const device = await on.addDevice()
    for (const count of [10, 10, 10, 40, 25, 1]) writing.send(device, moments(count))
    await finish(writing)
    expect(writing.batches.map(({ rows }) => rows)).toEqual([20, 10, 40, 25, 1])
  })

  test('reports the frames of a device in the order they came', async () => {
    const writing = startWriting({ runs: on.store.writes, limits: { writeRowsMax: 7 } })
    const devices = await Promise.all(Array.from({ length: 4 }, on.addDevice))
    const sent = new Map(devices.map(({ id }) => [id, [] as number[]]))
    for (let i = 0; i < 60; i++) {
      const device = devices[(i * i) % devices.length]!
      const { kept } = writing.send(device, moments(1 + (i % 5)))
      expect(kept.count).toBe(1 + (i % 5))
      sent.get(device.id)!.push(i + 1)
    }
    await finish(writing)
    for (const [id, seqs] of sent) {
      const reported = writing.reported.filter(({ device }) => device.id === id).map(({ seq }) => seq)
      expect(reported).toEqual(seqs)
    }
  })

  test.skipIf(on.kind === 'embedded')('writes in two lanes at once, each for its own devices', async () => {
    const [side, ...ordinary] = on.store.writes
    const taps = ordinary.map(createTap)
    const latches = taps.map(createLatch)
    taps.forEach((tap, lane) => {
      // Each lane waits until the other one is at the same point, and so do both if one lane has all devices.
      tap.before = async (text) => {
        if (!insertsPoints(text)) return
        latches[lane]!.open()
        await Promise.all(latches.map(({ opened }) => opened))
      }
    })
    const writing = startWriting({ runs: [side!, ...taps.map((tap) => tap.run)] })
    const devices = await Promise.all(Array.from({ length: 6 }, on.addDevice))
    await Promise.all(devices.map((device) => writing.send(device, moments(20), NOW_MS - MINUTE_MS).stored))
    expect(taps.map((tap) => tap.statements.filter(insertsPoints).length)).toEqual([1, 1])
    const lanes = writing.batches.map(({ entries }) => entries.map(({ device }) => device.id))
    expect(lanes.flat().sort()).toEqual(devices.map(({ id }) => id).sort())
    for (const device of devices) {
      expect(await timesOf(on.store.read, device)).toEqual(moments(20))
    }
    const mixed = await on.store.read(
      'select from points p join sessions s on s.id = p.session_id where s.device_id <> p.device_id',
    )
    expect(mixed).toEqual([])
    await finish(writing)
  })

  test.each([
    ['a range', new RangeError('an infinite number has no place in the database')],
    ['a type', new TypeError('undefined is not a function')],
  ])('stops for good, and reports nothing, when a fault of %s is its own', async (_, fault) => {
    const tap = createTap(on.store.writes[1]!)
    const writing = startWriting({ runs: [on.store.writes[0]!, tap.run] })
    const device = await on.addDevice()
    tap.before = () => {
      throw fault
    }
    writing.send(device, moments(2))
    await until(() => writing.broken.length > 0, 'the writer gives up')
    expect(writing.broken).toEqual([fault])
    expect([writing.away, writing.retries, writing.reported]).toEqual([[], 0, []])
    expect(await writing.writer.stop(1)).toBe(false)
  })

  test('writes the ops of many sessions in statements that are no larger than those of points', async () => {
    const writing = startWriting({ runs: on.store.writes.slice(0, 2), limits: { writeRowsMax: 25 } })
    const device = await on.addDevice()
    for (const at of moments(60)) writing.sendOp(device, at, 0)
    await finish(writing)
    expect(writing.batches.map(({ sessions }) => sessions.length)).toEqual([25, 25, 10])
  })

  test('stops when everything is stored, and says when something is not', async () => {
    const tap = createTap(on.store.writes[1]!)
    const device = await on.addDevice()
    let isAway = true
    tap.before = () => {
      if (isAway) throw Object.assign(new Error('nobody there'), { code: 'ECONNREFUSED' })
    }
    const writing = startWriting({ runs: [on.store.writes[0]!, tap.run] })
    const { stored } = writing.send(device, moments(2))
    await until(() => writing.retries > 0, 'the writer meets the closed door')
    expect(await writing.writer.stop(1)).toBe(false)
    expect(writing.reported).toEqual([])
    expect(writing.writer.awayLanes).toBe(1)
    isAway = false
    await stored
    expect(writing.writer.awayLanes).toBe(0)
    await finish(writing)
    expect(await timesOf(on.store.read, device)).toEqual(moments(2))
  })

  /** The points of a device in wire units, as the protocol orders them. */
  async function fieldsOf(deviceId: number): Promise<number[][]> {
    const rows = await on.store.read(
      `select (extract(epoch from recorded_at) * 1000)::float8 as at, lat * 10000000 as lat, lng * 10000000 as lng,
              accuracy, speed, heading, altitude, source
       from points where device_id = $1::int order by recorded_at`,
      [deviceId],
    )
    const hundred = (value: unknown) => (value === null ? Number.NaN : Math.round((value as number) * 100))
    return rows.map((row) => [
      row.at as number,
      Number(row.lat),
      Number(row.lng),
      hundred(row.accuracy),
      hundred(row.speed),
      hundred(row.heading),
      hundred(row.altitude),
      POINT_SOURCES.indexOf(row.source as 'gps'),
    ])
  }
})
