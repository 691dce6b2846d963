/** A row that the database refuses: it alone is rejected, kept as a dead letter, and found with few statements. */
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { codeOf } from '../../../src/core/blame.ts'
import type { Device } from '../../../src/core/device.ts'
import { MINUTE_MS, NOW_MS, type PointParts, SECOND_MS } from '../../core/frames.ts'
import { describeOnEachStore, lettersOf, pointsOf, sessionsOf, timesOf } from '../eachStore.ts'
import { createTap, insertsPoints, startWriting, type Tap, type WritingOptions } from '../writing.ts'

const CHECK_VIOLATION = '23514'
/** What the test's own constraint refuses. */
const POISON_E7 = 130_000_007
const POISON_SESSION_MS = NOW_MS - 123_456_789
const T = NOW_MS - 60 * MINUTE_MS

/** What a frame of the test holds at each place. */
type Kind = 'good' | 'poison' | 'off the map' | 'from the future'

describeOnEachStore('a point that the database refuses', (on) => {
  beforeAll(async () => {
    await on.store.read('alter table points add check (lat <> 13.0000007)')
    await on.store.read(
      `alter table sessions add check (started_at <> to_timestamp(${POISON_SESSION_MS} / 1000.0))`,
    )
  })

  /** A writer with one lane, whose statements can be looked at. */
  function oneLane(limits: NonNullable<WritingOptions['limits']> = {}) {
    const tap = createTap(on.store.writes[1]!)
    const writing = startWriting({ runs: [on.store.writes[0]!, tap.run], limits })
    return { tap, writing }
  }

  function addDevices(count: number): Promise<Device[]> {
    return Promise.all(Array.from({ length: count }, on.addDevice))
  }

  test('is rejected at its place in the frame as sent, and all others are stored', async () => {
    const { writing, tap } = oneLane()
    const kind = fc.oneof(
      { weight: 12, arbitrary: fc.constant<Kind>('good') },
      { weight: 1, arbitrary: fc.constant<Kind>('poison') },
      { weight: 1, arbitrary: fc.constant<Kind>('off the map') },
      { weight: 1, arbitrary: fc.constant<Kind>('from the future') },
    )
    const frame = fc.record({
      of: fc.nat(3),
      kinds: fc.array(kind, { minLength: 1, maxLength: 40 }),
      isExplicit: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 8 }), async (frames) => {
        const devices = await addDevices(4)
        const before = tap.statements.length
        let at = T
        const sent = frames.map(({ of, kinds, isExplicit }) => {
          const points = kinds.map((one) => {
            at += SECOND_MS
            return pointOf(one, at)
          })
          const { stored, kept } = writing.send(devices[of]!, points, isExplicit ? T : null)
          return { device: devices[of]!, stored, kept, kinds, points }
        })
        const entries = await Promise.all(sent.map(({ stored }) => stored))

        for (const [i, { kept, kinds }] of sent.entries()) {
          const reasons = { poison: 5, 'off the map': 1, 'from the future': 2, good: 0 }
          const expected = kinds.flatMap((one, index) =>
            one === 'good' ? [] : [[entries[i]!.seq, index, reasons[one]]],
          )
          expect([...kept.rejected].sort((a, b) => a[1] - b[1])).toEqual(expected)
        }
        const all = sent.flatMap(({ device, kinds, points }) =>
          kinds.map((one, i) => ({ device, kind: one, recordedMs: points[i]!.recordedMs })),
        )
        for (const device of devices) {
          const own = all.filter((one) => one.device === device)
          const timesOfKind = (...wanted: Kind[]) =>
            own.filter((one) => wanted.includes(one.kind)).map(({ recordedMs }) => recordedMs)
          expect(await timesOf(on.store.read, device)).toEqual(timesOfKind('good'))
          const letters = await lettersOf(on.store.read, device)
          expect(letters.map(({ recordedMs }) => recordedMs)).toEqual(
            timesOfKind('poison', 'from the future').sort((a, b) => a - b),
          )
          for (const { reason, sqlstate, recordedMs } of letters) {
            expect([reason, sqlstate]).toEqual(recordedMs > NOW_MS ? [2, null] : [5, CHECK_VIOLATION])
          }
        }
        const rows = all.filter((one) => one.kind === 'good' || one.kind === 'poison').length
        const bad = all.filter((one) => one.kind === 'poison').length
        expectFewStatements(tap, before, rows, bad)
      }),
      { numRuns: 12 },
    )
    expect(await writing.writer.stop(10_000)).toBe(true)
    expect([writing.broken, writing.away]).toEqual([[], []])
  })

  test.each([1, 20])('is found among two thousand with few statements, when there are %i', async (count) => {
    const { writing, tap } = oneLane()
    const devices = await addDevices(20)
    await Promise.all(devices.map((device) => writing.send(device, [T], T).stored))
    const places = fc.sample(fc.uniqueArray(fc.nat(1_999), { minLength: count, maxLength: count }), 1)[0]!
    const before = tap.statements.length
    const sent = devices.map((device, d) => {
      const points = Array.from({ length: 100 }, (_, i) =>
        pointOf(places.includes(d * 100 + i) ? 'poison' : 'good', T + (i + 1) * SECOND_MS),
      )
      return writing.send(device, points, T)
    })
    await Promise.all(sent.map(({ stored }) => stored))
    const rejected = sent.flatMap(({ kept }, d) => kept.rejected.map(([, index]) => d * 100 + index))
    expect(rejected.sort((a, b) => a - b)).toEqual(places.sort((a, b) => a - b))
    expect(writing.batches.at(-1)).toMatchObject({ rows: 2_000, inserted: 2_000 - count })
    const refused = [...writing.batches.at(-1)!.refused.values()].reduce((sum, rows) => sum + rows, 0)
    expect(refused).toBe(count)
    expectFewStatements(tap, before, 2_000, count)
    await writing.writer.stop(10_000)
  })

  describe('becomes a dead letter', () => {
    test('with everything as it came on the wire', async () => {
      const { writing } = oneLane()
      const [device] = await addDevices(1)
      const fields = { lat: POISON_E7, lng: -1, accuracy: 2, speed: 3, heading: 4, altitude: -5, source: 2 }
      await writing.send(device!, [{ recordedMs: T + 1, ...fields }], T, NOW_MS).stored
      await writing.send(device!, [{ recordedMs: T + 2, lat: POISON_E7, accuracy: Number.NaN }]).stored
      const rows = await on.store.read(
        `select reason, sqlstate, recorded_ms::float8 as at, lat_e7, lng_e7, accuracy_cm::int, speed_cms::int,
                heading_cd::int, altitude_cm::int, source, session_ms::float8 as session,
                (extract(epoch from received_at) * 1000)::float8 as received
         from rejected_points where device_id = $1::int order by recorded_ms`,
        [device!.id],
      )
      expect(rows.map((row) => Object.values(row))).toEqual([
        [5, CHECK_VIOLATION, T + 1, POISON_E7, -1, 2, 3, 4, -5, 2, T, NOW_MS],
        [5, CHECK_VIOLATION, T + 2, POISON_E7, 115_678_901, null, null, null, null, 0, T, NOW_MS],
      ])
      await writing.writer.stop(10_000)
    })

    test('without a session when it was sent without one', async () => {
      const { writing } = oneLane()
      const [device] = await addDevices(1)
      await writing.send(device!, [pointOf('poison', T), pointOf('from the future', T + 1)]).stored
      const letters = await lettersOf(on.store.read, device!)
      expect(letters.map(({ sessionMs }) => sessionMs)).toEqual([null, null])
      await writing.writer.stop(10_000)
    })

    test('once, however often it is sent', async () => {
      const { writing } = oneLane()
      const [device] = await addDevices(1)
      for (let i = 0; i < 3; i++) {
        const { kept, stored } = writing.send(device!, [pointOf('poison', T), pointOf('good', T + 1)])
        expect((await stored).seq).toBe(i + 1)
        expect(kept.rejected).toEqual([[i + 1, 0, 5]])
      }
      expect(await lettersOf(on.store.read, device!)).toHaveLength(1)
      expect(await timesOf(on.store.read, device!)).toEqual([T + 1])
      await writing.writer.stop(10_000)
    })

    test('of which the newest of each device are kept, so many and no more', async () => {
      const { writing } = oneLane({ rejectedPointsPerDevice: 5 })
      const [noisy, quiet] = await addDevices(2)
      const poisons = (count: number) => Array.from({ length: count }, (_, i) => pointOf('poison', T + i))
      await writing.send(quiet!, poisons(4)).stored
      for (let i = 0; i < 3; i++) {
        await writing.send(noisy!, [pointOf('from the future', T + 2 * i), pointOf('poison', T + i)]).stored
      }
      // Both in one batch, as the bound is for each of them.
      const { stored } = writing.send(quiet!, poisons(4))
      writing.send(noisy!, poisons(9).slice(5))
      await stored
      await writing.writer.stop(10_000)
      expect(await lettersOf(on.store.read, noisy!)).toHaveLength(5)
      const refused = await on.store.read(
        `select recorded_ms::float8 as at from rejected_points where device_id = $1::int order by id`,
        [noisy!.id],
      )
      expect(refused.slice(-4).map(({ at }) => at)).toEqual([T + 5, T + 6, T + 7, T + 8])
      expect(await lettersOf(on.store.read, quiet!)).toHaveLength(4)
    })
  })

  describe('or a session that it refuses', () => {
    test('takes its own points with it and no others', async () => {
      const { writing } = oneLane()
      const [device, other] = await addDevices(2)
      const sent = [
        writing.send(device!, [T], T),
        writing.send(device!, [T + 1, T + 2], POISON_SESSION_MS),
        writing.send(other!, [T + 3], T),
        writing.send(device!, [T + 4], T),
      ]
      const entries = await Promise.all(sent.map(({ stored }) => stored))
      const seq = entries[1]!.seq
      expect(sent.map(({ kept }) => kept.rejected)).toEqual([
        [],
        [
          [seq, 0, 5],
          [seq, 1, 5],
        ],
        [],
        [],
      ])
      expect(await timesOf(on.store.read, device!)).toEqual([T, T + 4])
      expect(await timesOf(on.store.read, other!)).toEqual([T + 3])
      expect(await lettersOf(on.store.read, device!)).toMatchObject([
        { recordedMs: T + 1, sqlstate: CHECK_VIOLATION, sessionMs: POISON_SESSION_MS },
        { recordedMs: T + 2, sqlstate: CHECK_VIOLATION, sessionMs: POISON_SESSION_MS },
      ])
      expect((await sessionsOf(on.store.read, device!)).map(({ startedMs }) => startedMs)).toEqual([T])
      await writing.writer.stop(10_000)
    })

    test('is rejected itself when nothing but an op of it came', async () => {
      const { writing } = oneLane()
      const [device] = await addDevices(1)
      const refused = writing.sendOp(device!, POISON_SESSION_MS, 1, POISON_SESSION_MS + 1)
      const stored = writing.sendOp(device!, T, 1, T + 1)
      const { seq } = await refused.stored
      await stored.stored
      // Acknowledged it must be, and committed it is not.
      expect(refused.kept.rejected).toEqual([[seq, -1, 5]])
      expect(stored.kept.rejected).toEqual([])
      expect(await sessionsOf(on.store.read, device!)).toMatchObject([{ startedMs: T, status: 'paused' }])
      await writing.writer.stop(10_000)
    })
  })

  const failing: [string, string, string | number, string][] = [
    ['cannot be parsed', 'select nowhere, $1::int', 1, '42703'],
    ['has a bad parameter', 'select $1::int[]', '{x}', '22P02'],
    ['fails while it runs', 'select 1 / $1::int', 0, '22012'],
    ['is refused by a constraint', 'insert into users (name, email) values ($1, null)', 'x', '23502'],
  ]
  test.each(failing)(
    'leaves later answers their own, as any statement that %s',
    async (...[, text, given, code]) => {
      for (let i = 0; i < 50; i++) {
        const fault = await on.store.writes[1]!(text, [given]).catch((error) => error)
        expect(codeOf(fault)).toBe(code)
        expect(await on.store.writes[1]!('select $1::int as given', [i])).toEqual([{ given: i }])
      }
    },
  )

  test('holds up nothing that comes after it', async () => {
    const { writing } = oneLane()
    const [device] = await addDevices(1)
    for (let i = 0; i < 20; i++) {
      await writing.send(device!, [pointOf('poison', T + 2 * i), pointOf('good', T + 2 * i + 1)]).stored
    }
    const stored = await pointsOf(on.store.read, device!)
    expect(stored.map(({ recordedMs }) => recordedMs)).toEqual(
      Array.from({ length: 20 }, (_, i) => T + 2 * i + 1),
    )
    expect(stored.every(({ latE7 }) => latE7 !== POISON_E7)).toBe(true)
    await writing.writer.stop(10_000)
  })
})

function pointOf(kind: Kind, recordedMs: number): PointParts {
  if (kind === 'off the map') return { recordedMs, lat: 900_000_001 }
  if (kind === 'from the future') return { recordedMs: recordedMs + 26 * 60 * MINUTE_MS }
  return kind === 'poison' ? { recordedMs, lat: POISON_E7 } : { recordedMs }
}

/** Halving finds each bad row with two statements for each halving, and the rest of a batch with one. */
function expectFewStatements(tap: Tap, before: number, rows: number, bad: number): void {
  const inserts = tap.statements.slice(before).filter(insertsPoints).length
  const few = 4
  expect(inserts).toBeLessThanOrEqual(2 * bad * Math.ceil(Math.log2(Math.max(2, rows))) + few)
}
