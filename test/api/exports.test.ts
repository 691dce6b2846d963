/** Long answers: what they cost the hub, and what becomes of them when the reader or the database stops. */
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { askAndLeave, startDownload } from '../rig/download.ts'
import { describeOnEachDatabase } from '../rig/eachDatabase.ts'
import { startHub, type TestDevice, type TestHub, type TestUser } from '../rig/hub.ts'
import { createPostgres, type TestDatabase } from '../rig/kinds.ts'
import { startProxy } from '../rig/proxy.ts'
import { postgresMissing } from '../rig/sharedPostgres.ts'
import { until } from '../rig/until.ts'

const MB = 1024 * 1024
const GIVE_UP_MS = 900_000
/** The server library leaves a reader alone for so long, if nobody keeps it from it. */
const LIBRARY_PATIENCE_MS = 16_000
const POINTS = { postgresql: 1_000_000, embedded: 100_000 } as const

/** One session of so many points, a second apart. */
const INSERT = `
with s as (
  insert into sessions (device_id, user_id, status, started_at, ended_at, updated_at)
  select id, user_id, 'ended', '2025-01-01Z', timestamptz '2025-01-01Z' + $2::int * interval '1 second', now()
  from devices where id = $1::int returning id
)
insert into points (device_id, session_id, lat, lng, geom, accuracy, speed, recorded_at, received_at)
select $1::int, s.id, lat, lng, st_setsrid(st_makepoint(lng::float8, lat::float8), 4326), 5, 12.5,
       timestamptz '2025-01-01Z' + i * interval '1 second', now()
from s, generate_series(1, $2::int) as i,
     lateral (select (50 + (i % 99991) * 0.0000101)::numeric(9,7) as lat, (10 + (i % 9973) * 0.0001013)::numeric(10,7) as lng) as place`

/** The same at the other end of the world. */
const SOUTH = INSERT.replace('(50 +', '(-50 +')
const FRUITLESS_POINTS = 100_000

describeOnEachDatabase('a long export', { ALZY_EXPORTS_MAX: '3' }, (on, kind) => {
  const count = POINTS[kind as keyof typeof POINTS]
  const pages = count / 1_000
  let user: TestUser
  let device: TestDevice
  const place = () => `/v1/devices/${device.id}/points?format=csv`

  test('costs the hub the same memory however long it is, and waits for a reader who takes a rest', {
    timeout: GIVE_UP_MS,
  }, async () => {
    user = await on.hub.addUser()
    device = await on.hub.addDevice(user)
    await on.rows(INSERT, [device.id, count])
    await on.restart()
    await warmUp(on.hub, device, user)
    const residentBytes = () => on.hub.metric('process_resident_memory_bytes')
    const before = await residentBytes()
    let most = before

    const track = await startDownload(on.hub.port, `/v1/devices/${device.id}/points?format=gpx`, user.token)
    expect(track.status).toBe(200)
    await standsStill(on.hub)
    const restedMs = performance.now()
    // What has left fills the buffers of the system, and no more is read.
    const read = await on.hub.metric('alzy_point_pages_total')
    expect(read).toBeLessThan(pages * 0.9)
    await until(() => performance.now() - restedMs > LIBRARY_PATIENCE_MS, 'the rest is over', GIVE_UP_MS)
    expect(track.isClosed).toBe(false)
    while (!track.isComplete && !track.isClosed) {
      await track.read(4 * MB)
      most = Math.max(most, await residentBytes())
    }
    expect(track.isComplete).toBe(true)
    expect(track.bytes).toBeGreaterThan(count * 200)
    expect(await on.hub.metric('alzy_point_pages_total')).toBeGreaterThanOrEqual(read + pages * 0.1)
    // Everything at once would be some 400 bytes a point.
    expect((most - before) / MB).toBeLessThan(kind === 'postgresql' ? 100 : 60)
    track.leave()
  })

  test('has every point', { timeout: GIVE_UP_MS }, async () => {
    const answer = await fetch(on.hub.http + place(), { headers: { authorization: `Bearer ${user.token}` } })
    let rows = -1
    let lastMs = 0
    let rest = ''
    for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split('\r\n')
      rest = lines.pop()!
      for (const line of lines) {
        rows += 1
        const ms = Date.parse(line.slice(0, line.indexOf(',')))
        if (rows === 0) continue
        if (lastMs !== 0 && ms !== lastMs + 1000)
          throw new Error(`${line} after ${new Date(lastMs).toISOString()}`)
        lastMs = ms
      }
    }
    expect([rows, rest]).toEqual([count, ''])
  })

  test('that is left by its reader is not read any further', { timeout: GIVE_UP_MS }, async () => {
    const [left, before] = [
      await on.hub.metric('alzy_exports_left_total'),
      await on.hub.metric('alzy_point_pages_total'),
    ]
    const track = await startDownload(on.hub.port, place(), user.token)
    expect(await on.hub.metric('alzy_exports_open')).toBe(1)
    track.leave()
    await until(async () => (await on.hub.metric('alzy_exports_left_total')) === left + 1, 'the hub notices')
    expect(await on.hub.metric('alzy_exports_open')).toBe(0)
    const read = (await on.hub.metric('alzy_point_pages_total')) - before
    expect(read).toBeGreaterThan(0)
    expect(read).toBeLessThan(pages * 0.9)
    await standsStill(on.hub)
    expect((await on.hub.metric('alzy_point_pages_total')) - before).toBe(read)
  })

  test('ends when its reader may not have it any more, and so does no other', {
    timeout: GIVE_UP_MS,
  }, async () => {
    const admin = await on.hub.addUser({ role: 'admin' })
    const change = (of: TestUser, body: object) => on.hub.request('PATCH', `/v1/users/${of.id}`, body)
    const withdrawn = async (count: number) =>
      until(async () => (await on.hub.metric('alzy_exports_withdrawn_total')) === count, 'it is ended')
    const [own, theirs] = [
      await startDownload(on.hub.port, place(), user.token),
      await startDownload(on.hub.port, place(), admin.token),
    ]
    await standsStill(on.hub)
    await change(admin, { role: 'user' })
    await withdrawn(1)
    expect(await on.hub.metric('alzy_exports_open')).toBe(1)
    await theirs.toEnd()
    expect([theirs.isComplete, theirs.isClosed]).toEqual([false, true])
    await own.read(MB)
    expect(own.isClosed).toBe(false)
    await change(user, { isActive: false })
    await withdrawn(2)
    await own.toEnd()
    expect([own.isComplete, own.isClosed]).toEqual([false, true])
    await change(user, { isActive: true })
    expect(await on.hub.metric('alzy_exports_open')).toBe(0)
    expect(await on.hub.metric('alzy_exports_left_total')).toBe(1)
    expect(await on.hub.metric('alzy_handler_faults_total')).toBe(0)
  })

  test('whose reader has left before it began harms nobody', { timeout: GIVE_UP_MS }, async () => {
    const before = await on.hub.metric('alzy_http_requests_total')
    const asked = 40
    await Promise.all(Array.from({ length: asked }, () => askAndLeave(on.hub.port, place(), user.token)))
    // Whoever is let in now was behind them.
    const { status } = await on.hub.request('GET', `/v1/devices/${device.id}`, undefined, user.token)
    expect(status).toBe(200)
    expect(await on.hub.metric('alzy_http_requests_total')).toBeGreaterThan(before + asked / 2)
    await until(async () => (await on.hub.metric('alzy_exports_open')) === 0, 'they are over')
    await standsStill(on.hub)
    expect(await on.hub.metric('alzy_handler_faults_total')).toBe(0)
    expect(on.hub.log.filter(({ level }) => level === 'error')).toEqual([])
  })

  test('is one of so many at most; the next one is told to come again', { timeout: GIVE_UP_MS }, async () => {
    // Of those who left early some may have been refused before.
    const before = await on.hub.metric('alzy_exports_refused_total')
    const tracks = await Promise.all([1, 2, 3].map(() => startDownload(on.hub.port, place(), user.token)))
    const refused = await on.hub.request('GET', place(), undefined, user.token)
    expect([refused.status, refused.json.title]).toEqual([503, 'Service Unavailable'])
    expect(await on.hub.metric('alzy_exports_refused_total')).toBe(before + 1)
    for (const track of tracks) track.leave()
    await until(async () => (await on.hub.metric('alzy_exports_open')) === 0, 'they are over')
    const next = await on.hub.request('GET', `/v1/devices/${device.id}/points?limit=1`, undefined, user.token)
    expect(next.status).toBe(200)
  })

  test('of one address leaves room for those of others', { timeout: GIVE_UP_MS }, async () => {
    await on.restart({ ALZY_EXPORTS_PER_ADDRESS_MAX: '2', ALZY_TRUSTED_PROXIES: '127.0.0.1' })
    const from = (address: string) => ({ 'x-forwarded-for': address })
    const tracks = await Promise.all(
      [1, 2].map(() => startDownload(on.hub.port, place(), user.token, from('192.0.2.1'))),
    )
    const ask = (address: string) =>
      fetch(`${on.hub.http}/v1/devices/${device.id}/points?limit=1`, {
        headers: { authorization: `Bearer ${user.token}`, ...from(address) },
      })
    // One after the other: the second is the last that the hub has room for.
    const same = await ask('192.0.2.1')
    const other = await ask('192.0.2.2')
    expect([same.status, same.headers.get('retry-after'), other.status]).toEqual([429, '10', 200])
    for (const track of tracks) track.leave()
    await until(async () => (await on.hub.metric('alzy_exports_open')) === 0, 'they are over')
    const track = await startDownload(on.hub.port, place(), user.token, from('192.0.2.1'))
    expect(track.status).toBe(200)
    track.leave()
    await on.restart()
  })

  test('that nobody reads is ended, and cannot be taken for complete', { timeout: GIVE_UP_MS }, async () => {
    await on.restart({ ALZY_EXPORT_STALL_MS: '500' })
    const track = await startDownload(on.hub.port, place(), user.token)
    await until(
      async () => (await on.hub.metric('alzy_exports_stalled_total')) === 1,
      'the hub gives up',
      30_000,
    )
    expect(await on.hub.metric('alzy_exports_open')).toBe(0)
    await track.toEnd()
    expect([track.isComplete, track.isClosed]).toEqual([false, true])
    expect(track.bytes).toBeGreaterThan(MB)
  })

  test('and the figures of its session are right', { timeout: GIVE_UP_MS }, async () => {
    const { json } = await on.hub.request('GET', `/v1/devices/${device.id}/sessions`, undefined, user.token)
    expect(json.sessions).toMatchObject([{ pointCount: count, durationS: count }])
    const [row] = await on.rows(
      'select st_length(st_makeline(geom order by recorded_at)::geography, false) as m from points where device_id = $1',
      [device.id],
    )
    expect(json.sessions[0].distanceM / (row!.m as number)).toBeCloseTo(1, 9)
  })
})

// Statements that look at few points each, so that there are many of them.
describeOnEachDatabase(
  'an export that finds nothing',
  { ALZY_SCAN_POINTS_MAX: '10', ALZY_PAGE_POINTS_MAX: '10' },
  (on) => {
    test('looks no further once its reader has left', { timeout: GIVE_UP_MS }, async () => {
      const user = await on.hub.addUser()
      const [device, other] = [await on.hub.addDevice(user), await on.hub.addDevice(user)]
      await on.rows(INSERT, [device.id, FRUITLESS_POINTS])
      await on.rows(SOUTH, [other.id, 100])
      await on.restart()
      // Where only the other one has been, too often for the index of places.
      const place = `/v1/devices/${device.id}/points?format=csv&bbox=9,-52,12,-48`
      const pages = () => on.hub.metric('alzy_point_pages_total')
      const socket = connect(on.hub.port, '127.0.0.1')
      socket.write(`GET ${place} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer ${user.token}\r\n\r\n`)
      await until(async () => (await pages()) > 2, 'it to look')
      expect(await on.hub.metric('alzy_exports_open')).toBe(1)
      socket.destroy()
      await until(async () => (await on.hub.metric('alzy_exports_left_total')) === 1, 'the hub to notice')
      const read = await pages()
      expect(read).toBeLessThan(FRUITLESS_POINTS / 10)
      await standsStill(on.hub)
      expect([await pages(), await on.hub.metric('alzy_exports_open')]).toEqual([read, 0])
    })
  },
)

describe.skipIf(postgresMissing !== null)('a long export whose database goes away', () => {
  test('is broken off, and the hub goes on', { timeout: GIVE_UP_MS }, async () => {
    const database = await createPostgres()
    const { hub, proxy } = await startBehindProxy(database)
    try {
      const user = await hub.addUser()
      const device = await hub.addDevice(user)
      await database.query(INSERT, [device.id, 200_000])
      const place = `/v1/devices/${device.id}/points?format=csv`
      const track = await startDownload(hub.port, place, user.token)
      await standsStill(hub)
      await proxy.refuse()
      expect(proxy.cut('rst')).toBeGreaterThan(0)
      await track.toEnd()
      expect([track.isComplete, track.isClosed]).toEqual([false, true])
      expect(await hub.metric('alzy_exports_broken_total')).toBe(1)
      expect(await hub.metric('alzy_exports_open')).toBe(0)
      // What has not begun is a problem, as ever.
      const refused = await hub.request('GET', place, undefined, user.token)
      expect([refused.status, refused.json.detail]).toEqual([503, 'the database is away; try again'])
      await proxy.accept()
      const again = await until(async () => {
        const found = await startDownload(hub.port, place, user.token)
        if (found.status === 200) return found
        found.leave()
      }, 'the database is back')
      await again.toEnd()
      expect(again.isComplete).toBe(true)
    } finally {
      await hub.end()
      await proxy.close()
      await database.drop()
    }
  })
})

async function startBehindProxy(database: TestDatabase) {
  const url = new URL(database.env.DATABASE_URL!)
  const proxy = await startProxy({ host: url.hostname, port: Number(url.port) })
  url.port = String(proxy.port)
  const hub = await startHub({ database: { ...database, env: { ...database.env, DATABASE_URL: url.href } } })
  return { hub, proxy }
}

/** A first export makes the process grow to its working size. */
async function warmUp(hub: TestHub, device: TestDevice, user: TestUser): Promise<void> {
  for (let i = 0; i < 3; i++) {
    await hub.request('GET', `/v1/devices/${device.id}/points?limit=10000`, undefined, user.token)
  }
}

/** No page has been read for a while of many questions. */
async function standsStill(hub: TestHub): Promise<void> {
  const ASKED = 20
  let [last, same] = [-1, 0]
  await until(
    async () => {
      const pages = await hub.metric('alzy_point_pages_total')
      same = pages === last ? same + 1 : 0
      last = pages
      return same >= ASKED
    },
    'no more pages are read',
    60_000,
  )
}
