/** Recorded tracks through a real hub: what is stored is what the file says, and viewers see it as they should. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { createViewerClient } from '../../src/client/node.ts'
import { readTrack } from '../../src/tracks/read/track.ts'
import { describeOnEachDatabase } from '../rig/eachDatabase.ts'
import { runAlzy } from '../rig/hub.ts'
import { freePort } from '../rig/ports.ts'
import { startProxy } from '../rig/proxy.ts'
import { until } from '../rig/until.ts'

const CARRIED = fileURLToPath(new URL('../../src/demo/tracks/', import.meta.url))
const WALKS = ['cerknicko-jezero.gpx', 'korita-zbevnica.gpx', 'around-visnjan-with-car.gpx']
const BUS = 'liverpool-bus-14.csv'
const GEOLIFE = path.join(process.env.TRACKS_DIR ?? '', 'geolife-001.csv.gz')
/** A hundred thousand fixes, and then the comparison of each. */
const GIVE_UP_MS = 900_000
/** How many times faster than recorded a walk of an hour or two takes some seconds. */
const WALK_IN_SECONDS = '500'
/** What a replay has sent by then is a few dozen of many hundred fixes. */
const MIDDLE_BYTES = 4_000
const isGeolifeMissing = process.env.TRACKS_DIR === undefined || !existsSync(GEOLIFE)
/** Everything is live, however old. */
const NO_LIVE_AGE = { ALZY_LIVE_AGE_MS: String(Number.MAX_SAFE_INTEGER) }

interface Fix {
  lat: number
  lng: number
}

/** The file's distinct fixes in order of time, per value of a column; of two of one time the first counts. */
async function distinctFixes(file: string, column?: string): Promise<Map<string, Map<number, Fix>>> {
  const tracks = new Map<string, Map<number, Fix>>()
  for await (const { recordedMs, lat, lng, columns } of readTrack(file)) {
    if (recordedMs === null) continue
    const name = column === undefined ? '' : columns![column]!
    const track = tracks.get(name) ?? new Map<number, Fix>()
    if (!track.has(recordedMs)) track.set(recordedMs, { lat, lng })
    tracks.set(name, track)
  }
  return tracks
}

const STORED = `
select device_id, (extract(epoch from recorded_at) * 1000)::float8 as ms, lat::float8 as lat, lng::float8 as lng,
       abs(st_x(geom) - lng::float8) + abs(st_y(geom) - lat::float8) as apart
from points where device_id = any(string_to_array($1, ',')::int[]) order by recorded_at`

function expectSame(rows: Record<string, unknown>[], track: Map<number, Fix>): void {
  expect(rows.map(({ ms }) => ms)).toEqual([...track.keys()].sort((a, b) => a - b))
  for (const { ms, lat, lng, apart } of rows) {
    const fix = track.get(ms as number)!
    expect(Math.abs((lat as number) - fix.lat)).toBeLessThanOrEqual(1e-7)
    expect(Math.abs((lng as number) - fix.lng)).toBeLessThanOrEqual(1e-7)
    expect(apart).toBe(0)
  }
}

describe.each([...WALKS.map((file) => [path.join(CARRIED, file)]), ...(isGeolifeMissing ? [] : [[GEOLIFE]])])(
  '%s',
  (file) => {
    describeOnEachDatabase('replayed with the live age lifted', NO_LIVE_AGE, (on) => {
      test('is stored fix by fix, and the viewer sees each once and in order', {
        timeout: GIVE_UP_MS,
      }, async () => {
        const user = await on.hub.addUser()
        const device = await on.hub.addDevice(user)
        const seen: number[] = []
        let isThere = false
        const viewer = createViewerClient({
          url: on.hub.http,
          token: user.token,
          onEvent: (event) => {
            if (event.type === 'snapshot') isThere = true
            if (event.type === 'points') for (const { recordedMs } of event.points) seen.push(recordedMs)
          },
        })
        await until(() => isThere, 'the snapshot')
        const replay = await runAlzy(
          ['replay', file, '--key', device.deviceKey, '--speed', '0', '--json', '--url', on.hub.http],
          {},
        )
        expect(replay.code, replay.stderr).toBe(0)
        const track = (await distinctFixes(file)).get('')!
        const newest = Math.max(...track.keys())
        await until(() => seen.at(-1) === newest, 'the viewer to see the last fix', GIVE_UP_MS)
        expect(seen).toEqual(risingTimes([...track.keys()]))
        viewer.close()
        expectSame(await on.rows(STORED, [device.id]), track)
      })
    })
  },
)

if (isGeolifeMissing) {
  test.skip('GeoLife is replayed where TRACKS_DIR names a folder with geolife-001.csv.gz', () => {})
}

describeOnEachDatabase('an old walk replayed as it is', {}, (on) => {
  test('shows the last position at once and BACKFILLED for the rest', async () => {
    const user = await on.hub.addUser()
    const device = await on.hub.addDevice(user)
    const file = path.join(CARRIED, WALKS[0]!)
    const times = [...(await distinctFixes(file)).get('')!.keys()]
    const spans: [number, number][] = []
    let newestMs = 0
    let isThere = false
    const viewer = createViewerClient({
      url: on.hub.http,
      token: user.token,
      onEvent: (event) => {
        if (event.type === 'snapshot') isThere = true
        if (event.type === 'backfilled') spans.push([event.fromMs, event.toMs])
        if (event.type === 'points')
          newestMs = Math.max(newestMs, ...event.points.map(({ recordedMs }) => recordedMs))
      },
    })
    await until(() => isThere, 'the snapshot')
    await runAlzy(['replay', file, '--key', device.deviceKey, '--speed', '0', '--url', on.hub.http], {})
    await until(() => newestMs === Math.max(...times), 'the last position')
    await until(
      () => spans.some(([fromMs]) => fromMs === Math.min(...times)),
      'BACKFILLED from the first fix on',
    )
    viewer.close()
  })
})

describeOnEachDatabase('a walk whose hub is killed in the middle of the replay', {}, (on) => {
  test('is stored fix by fix all the same, each once', { timeout: GIVE_UP_MS }, async () => {
    // A port that is asked for: one that the kernel picked cannot be had again at once.
    const onPort = { ALZY_PORT: String(await freePort()) }
    await on.restart(onPort)
    const device = await on.hub.addDevice(await on.hub.addUser())
    const file = path.join(CARRIED, WALKS[0]!)
    const track = (await distinctFixes(file)).get('')!
    const proxy = await startProxy({ host: '127.0.0.1', port: on.hub.port })
    // In the middle, however slow the hub is or this test: no more arrives than this.
    proxy.hook((way, _, { arrived }) => (way === 'up' && arrived.up > MIDDLE_BYTES ? 'hold-up' : undefined))
    const replay = runAlzy(
      [
        'replay',
        file,
        '--key',
        device.deviceKey,
        '--speed',
        WALK_IN_SECONDS,
        '--url',
        `http://127.0.0.1:${proxy.port}`,
      ],
      {},
    )
    const { hub } = on
    await until(() => proxy.counts.frozen > 0, 'the middle of the walk')
    await until(async () => (await hub.metric('alzy_points_stored_total')) >= 20, 'some of it to be stored')
    expect(await hub.end('SIGKILL')).toBe('SIGKILL')
    proxy.hook(null)
    proxy.cut('rst')
    const left = await on.rows(STORED, [device.id])
    expect(left.length).toBeGreaterThanOrEqual(20)
    expect(left.length).toBeLessThan(track.size)
    await on.restart(onPort)
    const { code, stderr } = await replay
    await proxy.close()
    expect(code, stderr).toBe(0)
    expectSame(await on.rows(STORED, [device.id]), track)
  })
})

describeOnEachDatabase('the bus line', NO_LIVE_AGE, (on) => {
  test('is stored per vehicle, by a device for each', async () => {
    const user = await on.hub.addUser()
    const file = path.join(CARRIED, BUS)
    const token = on.database.env.ALZY_SECRET
      ? { ALZY_SECRET: on.database.env.ALZY_SECRET }
      : { ALZY_DATA_DIR: on.database.env.ALZY_DATA_DIR! }
    const args = ['replay', file, '--split-by', 'vehicle_id', '--email', user.email, '--speed', '0']
    const replay = await runAlzy([...args, '--url', on.hub.http], { ...token, ALZY_URL: on.hub.http })
    expect(replay.code, replay.stderr).toBe(0)
    const vehicles = await distinctFixes(file, 'vehicle_id')
    const { json } = await on.hub.request('GET', '/v1/devices', undefined, user.token)
    const devices = json.devices as { id: number; name: string }[]
    expect(devices.map(({ name }) => name).sort()).toEqual([...vehicles.keys()].sort())
    const rows = await on.rows(STORED, [devices.map(({ id }) => id).join()])
    for (const { id, name } of devices) {
      expectSame(
        rows.filter(({ device_id }) => device_id === id),
        vehicles.get(name)!,
      )
    }
  })
})

/** Each time that is newer than every one before it: what may be shown live, in the order of the file. */
function risingTimes(times: readonly number[]): number[] {
  let newest = Number.NEGATIVE_INFINITY
  return times.filter((ms) => {
    if (ms <= newest) return false
    newest = ms
    return true
  })
}
