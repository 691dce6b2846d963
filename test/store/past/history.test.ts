/** The past as the store tells it, against what a naive reader makes of the same points. */
import { expect, test } from 'vitest'
import { EARLY_MS, type PointsWanted, type TrackPoint } from '../../../src/core/history.ts'
import type { Run } from '../../../src/store/line/run.ts'
import { createHistory } from '../../../src/store/past/history.ts'
import { addDevice, describeOnEachStore } from '../eachStore.ts'

const NOON_MS = Date.UTC(2026, 4, 1, 12)
const GAP_MS = 1_800_000
/** Small, so that everything takes several pages and several windows. */
const LIMITS = { pagePointsMax: 10, scanPointsMax: 25, measurePointsMax: 20, sessionGapMs: GAP_MS }
const ALL = {
  sessionId: null,
  fromMs: null,
  toMs: null,
  box: null,
  simplifyM: null,
  after: null,
  countMax: null,
}

const hasLeft = () => false

interface Sent {
  ms: number
  lat: number
  lng: number
}

describeOnEachStore('the history', (on) => {
  test('has every point once and in order, over pages that divide it evenly and over those that do not', async () => {
    const device = await addDevice(on.store.read)
    const session = await addSession(on.store.read, device, NOON_MS)
    for (const count of [0, 1, 9, 10, 11, 20]) {
      const sent = line(count, NOON_MS + count * 86_400_000)
      await addPoints(on.store.read, device.id, session, sent)
      const { points } = await read(on.store.read, {
        deviceId: device.id,
        fromMs: NOON_MS + count * 86_400_000,
        toMs: NOON_MS + count * 86_400_000 + 3_600_000,
      })
      expect(points.map(({ recordedMs, lat, lng }) => ({ ms: recordedMs, lat, lng }))).toEqual(sent)
    }
  })

  test('tells points apart that the millisecond does not', async () => {
    const device = await addDevice(on.store.read)
    const session = await addSession(on.store.read, device, NOON_MS)
    for (let us = 0; us < 30; us++)
      await addPoints(on.store.read, device.id, session, [{ ms: NOON_MS + us / 1000, lat: 1, lng: us }])
    const { points } = await read(on.store.read, { deviceId: device.id })
    expect(points.map(({ lng }) => lng)).toEqual(Array.from({ length: 30 }, (_, us) => us))
    expect(new Set(points.map(({ recordedMs }) => recordedMs))).toEqual(new Set([NOON_MS]))
  })

  test('keeps to a span, both ends included, and goes on after a place', async () => {
    const device = await addDevice(on.store.read)
    const session = await addSession(on.store.read, device, NOON_MS)
    await addPoints(on.store.read, device.id, session, line(50, NOON_MS))
    const at = async (wanted: Partial<PointsWanted>) =>
      (await read(on.store.read, { deviceId: device.id, ...wanted })).points.map(
        ({ recordedMs }) => (recordedMs - NOON_MS) / 1000,
      )
    expect(await at({ fromMs: NOON_MS + 3_000, toMs: NOON_MS + 5_000 })).toEqual([3, 4, 5])
    expect(await at({ fromMs: NOON_MS + 48_001 })).toEqual([49])
    expect(await at({ after: (NOON_MS + 46_000) * 1000 })).toEqual([47, 48, 49])
    expect(await at({ countMax: 13 })).toEqual(Array.from({ length: 13 }, (_, i) => i))
  })

  test('finds the points of a session among those of others, and none but those', async () => {
    const device = await addDevice(on.store.read)
    const early = await addSession(on.store.read, device, NOON_MS)
    const late = await addSession(on.store.read, device, NOON_MS + 500)
    // In stretches longer than a statement looks at, so that some pages find nothing.
    const sent = line(120, NOON_MS)
    const ofLate = sent.filter((_, i) => i === 3 || i > 100)
    await addPoints(
      on.store.read,
      device.id,
      early,
      sent.filter((one) => !ofLate.includes(one)),
    )
    await addPoints(on.store.read, device.id, late, ofLate)
    const { points } = await read(on.store.read, { deviceId: device.id, sessionId: late })
    expect(points.map(({ recordedMs }) => recordedMs)).toEqual(ofLate.map(({ ms }) => ms))
    const { points: others } = await read(on.store.read, { deviceId: device.id, sessionId: early })
    expect(others.length).toBe(120 - ofLate.length)
  })

  test('says where a stretch begins: at another session, and after a gap', async () => {
    const device = await addDevice(on.store.read)
    const one = await addSession(on.store.read, device, NOON_MS)
    const two = await addSession(on.store.read, device, NOON_MS + 10_000)
    await addPoints(on.store.read, device.id, one, line(10, NOON_MS))
    await addPoints(on.store.read, device.id, two, [
      ...line(15, NOON_MS + 10_000),
      ...line(25, NOON_MS + 24_000 + GAP_MS + 1),
    ])
    await addPoints(on.store.read, device.id, two, [{ ms: NOON_MS + 48_001 + 2 * GAP_MS, lat: 1, lng: 1 }])
    const { points } = await read(on.store.read, { deviceId: device.id })
    const starts = points.flatMap(({ isApart }, i) => (isApart ? [i] : []))
    expect(starts).toEqual([0, 10, 25])
  })

  test.each([
    ['a box', [10, 40, 20, 50], ({ lat, lng }: Sent) => lng >= 10 && lng <= 20 && lat >= 40 && lat <= 50],
    ['a point', [10, 40, 10, 40], ({ lat, lng }: Sent) => lng === 10 && lat === 40],
    [
      'one across the antimeridian',
      [170, -10, -170, 10],
      ({ lat, lng }: Sent) => (lng >= 170 || lng <= -170) && Math.abs(lat) <= 10,
    ],
    ['the whole world', [-180, -90, 180, 90], () => true],
    ['one where nothing is', [33.3, 33.3, 33.4, 33.4], () => false],
  ] as const)('finds the points in %s, whether few or many lie there', async (_, box, isIn) => {
    const device = await addDevice(on.store.read)
    const other = await addDevice(on.store.read)
    const places = [0, 10, 10 - 1e-7, 20, 20 + 1e-7, 170, 180, -180, -170, -170 + 1e-7, 15]
    const sent = places.flatMap((lng, i) =>
      [40, 40 - 1e-7, 50, 50 + 1e-7, 45, 0, -10, 90, -90].map((lat, j) => ({
        ms: NOON_MS + (i * 9 + j) * 1000,
        lat,
        lng,
      })),
    )
    await addPoints(on.store.read, device.id, await addSession(on.store.read, device, NOON_MS), sent)
    await addPoints(on.store.read, other.id, await addSession(on.store.read, other, NOON_MS), sent)
    const expected = sent.filter(isIn).map(({ ms }) => ms)
    // The first along the index of places, the second along that of the device.
    for (const scanPointsMax of [5_000, 25]) {
      const { points } = await read(on.store.read, { deviceId: device.id, box }, { ...LIMITS, scanPointsMax })
      expect(points.map(({ recordedMs }) => recordedMs)).toEqual(expected)
    }
  })

  test('leaves out points that are no farther than so many metres from the line, and keeps the ends', async () => {
    const device = await addDevice(on.store.read)
    const session = await addSession(on.store.read, device, NOON_MS)
    // Eastwards across the antimeridian at 60° north, with a swerve of 20 m and one of 5 m.
    const sent = Array.from({ length: 40 }, (_, i) => ({
      ms: NOON_MS + i * 1000,
      lat: 60 + (i === 20 ? 20 / 111_195 : i === 30 ? 5 / 111_195 : 0),
      lng: wrapped(179.9 + i * 0.005),
    })).map((one) => ({ ...one, lat: Number(one.lat.toFixed(7)), lng: Number(one.lng.toFixed(7)) }))
    await addPoints(on.store.read, device.id, session, sent)
    const thinned = async (simplifyM: number) =>
      (
        await read(
          on.store.read,
          { deviceId: device.id, simplifyM },
          { ...LIMITS, pagePointsMax: 100, scanPointsMax: 100 },
        )
      ).points.map(({ recordedMs }) => (recordedMs - NOON_MS) / 1000)
    expect(await thinned(10)).toEqual([0, 19, 20, 21, 39])
    expect(await thinned(30)).toEqual([0, 39])
    expect(await thinned(0.001)).toEqual([0, 19, 20, 21, 29, 30, 31, 39])
    const pieced = await read(on.store.read, { deviceId: device.id, simplifyM: 30 }, LIMITS)
    // A statement looks at 25 points; the ends of what it looks at stay.
    expect(pieced.points.map(({ recordedMs }) => (recordedMs - NOON_MS) / 1000)).toEqual([0, 24, 25, 39])
    expect(pieced.points.map(({ isApart }) => isApart)).toEqual([true, false, false, false])
  })

  test('keeps a parked device, a single point and the ends of each stretch', async () => {
    const device = await addDevice(on.store.read)
    const [one, two] = [
      await addSession(on.store.read, device, NOON_MS),
      await addSession(on.store.read, device, NOON_MS + 1),
    ]
    await addPoints(
      on.store.read,
      device.id,
      one,
      line(8, NOON_MS).map(({ ms }) => ({ ms, lat: 5, lng: 5 })),
    )
    await addPoints(on.store.read, device.id, two, [{ ms: NOON_MS + 8_000, lat: 5, lng: 5 }])
    await addPoints(on.store.read, device.id, one, line(5, NOON_MS + 9_000))
    const { points } = await read(
      on.store.read,
      { deviceId: device.id, simplifyM: 5 },
      { ...LIMITS, scanPointsMax: 100 },
    )
    expect(points.map(({ recordedMs }) => (recordedMs - NOON_MS) / 1000)).toEqual([0, 7, 8, 9, 13])
    expect(points.map(({ isApart }) => isApart)).toEqual([true, false, true, true, false])
  })

  test('measures a session as one statement over all of its points would', async () => {
    const device = await addDevice(on.store.read)
    const [mine, other] = [
      await addSession(on.store.read, device, NOON_MS),
      await addSession(on.store.read, device, NOON_MS + 1),
    ]
    const sent = line(95, NOON_MS)
    await addPoints(
      on.store.read,
      device.id,
      mine,
      sent.filter((_, i) => i % 3 > 0),
    )
    await addPoints(
      on.store.read,
      device.id,
      other,
      sent.filter((_, i) => i % 3 === 0),
    )
    const found = await history(on.store.read).findSession(mine, null)
    expect(found).toMatchObject({
      deviceId: device.id,
      userId: device.userId,
      status: 'active',
      automatic: false,
      endedAt: null,
    })
    expect(found!.pointCount).toBe(63)
    expect(found!.durationS).toBe(94)
    expect(found!.distanceM).toBeCloseTo(await lengthOf(on.store.read, mine), 6)
  })

  test('knows nothing of a session without points but its times', async () => {
    const device = await addDevice(on.store.read)
    const open = await addSession(on.store.read, device, NOON_MS)
    const ended = await addSession(on.store.read, device, NOON_MS + 1, NOON_MS + 60_001)
    expect(await history(on.store.read).findSession(open, null)).toMatchObject({
      pointCount: 0,
      distanceM: 0,
      durationS: 0,
    })
    expect(await history(on.store.read).findSession(ended, null)).toMatchObject({
      pointCount: 0,
      distanceM: 0,
      durationS: 60,
    })
    expect(await history(on.store.read).findSession(2_000_000_000, null)).toBeNull()
  })

  test('does the same for somebody else’s session as for none', async () => {
    const [device, stranger] = [await addDevice(on.store.read), await addDevice(on.store.read)]
    const session = await addSession(on.store.read, device, NOON_MS, NOON_MS + 59_000)
    await addPoints(on.store.read, device.id, session, line(60, NOON_MS))
    let statements = 0
    const counted: Run = (text, parameters) => {
      statements += 1
      return on.store.read(text, parameters)
    }
    const ask = async (id: number, userId: number) => {
      statements = 0
      const found = await history(counted).findSession(id, userId)
      return { found: found?.pointCount, statements }
    }
    expect(await ask(session, stranger.userId)).toEqual(await ask(2_000_000_000, stranger.userId))
    expect(await ask(session, stranger.userId)).toEqual({ found: undefined, statements: 1 })
    expect((await ask(session, device.userId)).found).toBe(60)
  })

  test('keeps the figures of an ended session, and looks again when points have come late or are gone', async () => {
    const device = await addDevice(on.store.read)
    const session = await addSession(on.store.read, device, NOON_MS, NOON_MS + 59_000)
    await addPoints(
      on.store.read,
      device.id,
      session,
      line(60, NOON_MS).filter((_, i) => i % 2 === 0 || i === 59),
    )
    const figures = async () => {
      const { pointCount, distanceM, durationS } = (await history(on.store.read).findSession(session, null))!
      return { pointCount, durationS, apartM: distanceM - (await lengthOf(on.store.read, session)) }
    }
    const right = (pointCount: number, durationS = 59) => ({
      pointCount,
      durationS,
      apartM: expect.closeTo(0, 6),
    })
    expect(await figures()).toEqual(right(31))

    // Kept: nobody measures what a hand has written there.
    await on.store.read('update session_figures set point_count = 7 where session_id = $1', [session])
    expect((await figures()).pointCount).toBe(7)

    // A point within the span, which moves nothing.
    await addPoints(on.store.read, device.id, session, [{ ms: NOON_MS + 1_000, lat: 53, lng: 13 }])
    expect(await figures()).toEqual(right(32))
    // A point behind it, which moves the end.
    await addPoints(on.store.read, device.id, session, [{ ms: NOON_MS + 90_000, lat: 53, lng: 13 }])
    await on.store.read('update sessions set ended_at = to_timestamp($2::float8 / 1000) where id = $1', [
      session,
      NOON_MS + 90_000,
    ])
    expect(await figures()).toEqual(right(33, 90))
    // One goes by its age, and one comes: as many as before.
    await on.store.read(
      'delete from points where device_id = $1 and recorded_at = to_timestamp($2::float8 / 1000)',
      [device.id, NOON_MS],
    )
    await addPoints(on.store.read, device.id, session, [{ ms: NOON_MS + 3_000, lat: 53, lng: 13 }])
    expect(await figures()).toEqual(right(33, 90))
  })

  test('counts points from shortly before the start, as a device may name them', async () => {
    const device = await addDevice(on.store.read)
    const session = await addSession(on.store.read, device, NOON_MS, NOON_MS + 10_000)
    await addPoints(on.store.read, device.id, session, [
      { ms: NOON_MS - EARLY_MS, lat: 1, lng: 1 },
      { ms: NOON_MS, lat: 1, lng: 2 },
    ])
    expect((await history(on.store.read).findSession(session, null))!.pointCount).toBe(2)
  })

  test('lists the sessions that were under way in a span, newest first', async () => {
    const device = await addDevice(on.store.read)
    const hour = 3_600_000
    const ids: number[] = []
    for (let i = 0; i < 4; i++)
      ids.push(await addSession(on.store.read, device, NOON_MS + i * hour, NOON_MS + i * hour + hour / 2))
    ids.push(await addSession(on.store.read, device, NOON_MS + 4 * hour))
    const [a, b, c, d, e] = ids
    const list = async (wanted: object) =>
      (
        await history(on.store.read).listSessions(
          {
            deviceId: device.id,
            fromMs: null,
            toMs: null,
            beforeMs: null,
            countMax: 10,
            ...wanted,
          },
          hasLeft,
        )
      ).map(({ id }) => id)
    expect(await list({})).toEqual([e, d, c, b, a])
    expect(await list({ countMax: 2 })).toEqual([e, d])
    expect(await list({ beforeMs: NOON_MS + 3 * hour })).toEqual([c, b, a])
    expect(await list({ fromMs: NOON_MS + hour / 2, toMs: NOON_MS + hour })).toEqual([b, a])
    expect(await list({ fromMs: NOON_MS + hour / 2 + 1, toMs: NOON_MS + hour - 1 })).toEqual([])
    expect(await list({ fromMs: NOON_MS + 100 * hour })).toEqual([e])
  })

  test('still has the history of a device that is deleted', async () => {
    const device = await addDevice(on.store.read)
    await on.store.read('update devices set deleted_at = now() where id = $1', [device.id])
    expect(await history(on.store.read).findDevice(device.id)).toEqual({
      id: device.id,
      userId: device.userId,
      name: 'van',
    })
    expect(await history(on.store.read).findDevice(2_000_000_000)).toBeNull()
  })
})

function history(run: Run, limits = LIMITS) {
  return createHistory(run, limits, () => {})
}

async function read(run: Run, wanted: Partial<PointsWanted> & { deviceId: number }, limits = LIMITS) {
  const points: TrackPoint[] = []
  for await (const page of history(run, limits).points({ ...ALL, ...wanted }, hasLeft)) {
    expect(page.length).toBeGreaterThan(0)
    expect(page.length).toBeLessThanOrEqual(limits.pagePointsMax)
    points.push(...page)
  }
  return { points }
}

/** A second apart, northwards and a little east. */
function line(count: number, fromMs: number): Sent[] {
  return Array.from({ length: count }, (_, i) => ({
    ms: fromMs + i * 1000,
    lat: 52 + i / 1000,
    lng: 13 + (i * i) / 100_000,
  }))
}

function wrapped(lng: number): number {
  return lng > 180 ? lng - 360 : lng
}

async function addSession(
  run: Run,
  { id, userId }: { id: number; userId: number },
  startedMs: number,
  endedMs: number | null = null,
): Promise<number> {
  const rows = await run(
    `insert into sessions (device_id, user_id, status, started_at, ended_at, updated_at)
     values ($1, $2, $3::session_status, to_timestamp($4::float8 / 1000), to_timestamp($5::float8 / 1000), now()) returning id`,
    [id, userId, endedMs === null ? 'active' : 'ended', startedMs, endedMs],
  )
  return rows[0]!.id as number
}

async function addPoints(
  run: Run,
  deviceId: number,
  sessionId: number,
  sent: readonly Sent[],
): Promise<void> {
  await run(
    `insert into points (device_id, session_id, lat, lng, geom, recorded_at, received_at)
     select $1, $2, lat, lng, st_setsrid(st_makepoint(lng::float8, lat::float8), 4326),
            timestamptz 'epoch' + us * interval '1 microsecond', now()
     from unnest(string_to_array($3, ',')::numeric[], string_to_array($4, ',')::numeric[], string_to_array($5, ',')::float8[]) as u(lat, lng, us)`,
    [
      deviceId,
      sessionId,
      sent.map(({ lat }) => lat).join(),
      sent.map(({ lng }) => lng).join(),
      sent.map(({ ms }) => Math.round(ms * 1000)).join(),
    ],
  )
}

/** As anybody would write it who has time and memory. */
async function lengthOf(run: Run, sessionId: number): Promise<number> {
  const rows = await run(
    'select st_length(st_makeline(geom order by recorded_at)::geography, false) as m from points where session_id = $1',
    [sessionId],
  )
  return rows[0]!.m as number
}
