/** The optional steps for large installations, run as their headers say, with psql, under a hub that goes on. */
import { execFile, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Device } from '../../../src/core/device.ts'
import { readCredentials } from '../../../src/store/live/credentials.ts'
import { readRecords } from '../../../src/store/live/records.ts'
import { applyMigrations, readMigrations } from '../../../src/store/open/migrate.ts'
import { migrateDatabase, openStore, type Store } from '../../../src/store/open/store.ts'
import { readIdleDevices } from '../../../src/store/points/lastPoints.ts'
import { readNewestReceivedMs } from '../../../src/store/points/newest.ts'
import { GAP_MS, HOUR_MS, IDLE_MS, NOW_MS } from '../../core/frames.ts'
import { until } from '../../rig/until.ts'
import { addDevice, forgotten, lettersOf, pointsOf, sessionsOf, timesOf } from '../eachStore.ts'
import { describeOnPostgres, type Postgres, serverOptions } from '../onPostgres.ts'
import { startWriting } from '../writing.ts'

const DAY_MS = 24 * HOUR_MS
const T = NOW_MS - 6 * HOUR_MS
const keysOfPoints = `select conname as name from pg_constraint
  where contype = 'f' and conrelid = 'points'::regclass order by conname`
/** Before a point's session had to be of its own device. */
const OLDER_VERSION = 2
const psqlMissing = findPsql() ? '' : ' (psql was not found)'

function findPsql(): boolean {
  try {
    execFileSync('psql', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Runs one of the steps; resolves with what psql said on stderr, null when all went well. */
function runStep(on: Postgres, step: string): Promise<string | null> {
  const file = fileURLToPath(new URL(`../../../sql/scale/${step}.sql`, import.meta.url))
  const args = [on.database.url, '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', file]
  return new Promise((resolve) => {
    execFile('psql', args, (fault, _stdout, stderr) =>
      resolve(fault === null && stderr === '' ? null : stderr),
    )
  })
}

describe.skipIf(psqlMissing !== '')(`the optional step${psqlMissing}`, () => {
  describeOnPostgres('that partitions points', (on) => {
    let store: Store
    const devices: Device[] = []
    const owner = `owner_${randomBytes(6).toString('hex')}`

    beforeAll(async () => {
      store = await openStore(serverOptions(on.database.url).options, new AbortController().signal)
      const writing = startWriting({ runs: store.writes })
      for (let i = 0; i < 4; i++) {
        const device = await addDevice(store.read)
        devices.push(device)
        writing.send(device, [T, T + 1, T + DAY_MS / 24])
        await writing.send(device, [T + 2], T + 2).stored
      }
      await writing.writer.stop(10_000)
      await on.outsider.runScript(`create role ${owner}; alter database "${on.database.name}" owner to ${owner};
        alter table points owner to ${owner}; grant references on devices, sessions to ${owner}`)
    })

    afterAll(async () => {
      await store?.close()
      await on.outsider?.runScript(`reassign owned by ${owner} to current_user; drop owned by ${owner};
        drop role ${owner}`)
    })

    /** Everything that the hub asks about devices. */
    async function answers() {
      const ids = devices.map(({ id }) => id)
      const limits = { sessionGapMs: GAP_MS, sessionIdleMs: IDLE_MS }
      return {
        credentials: (await readCredentials(store.read, ids)).sort((a, b) => a.id - b.id),
        records: (await readRecords(store.read, ids)).sort((a, b) => a.deviceId - b.deviceId),
        received: await readNewestReceivedMs(store.read),
        idle: (await readIdleDevices(store.read, NOW_MS + DAY_MS, limits, 100)).sort(),
        points: await Promise.all(devices.map((device) => pointsOf(store.read, device))),
        sessions: await Promise.all(devices.map((device) => sessionsOf(store.read, device))),
      }
    }

    /** Where the rows and indexes of a table lie on disk, under whatever names. */
    async function filesOf(table: string): Promise<unknown[]> {
      const rows = await store.read(
        `select pg_relation_filenode($1::regclass) as file union all
         select pg_relation_filenode(indexrelid) from pg_index where indrelid = $1::regclass order by file`,
        [table],
      )
      return rows.map(({ file }) => file)
    }

    async function rulesOf(table: string): Promise<unknown[]> {
      const rows = await store.read(
        `select contype::text || ' ' || conname || ' ' || pg_get_constraintdef(oid) as rule from pg_constraint
         where conrelid = $1::regclass and contype <> 'n' and contype <> 'p' order by rule`,
        [table],
      )
      return rows.map(({ rule }) => rule)
    }

    /** The tables of points, with the month each begins with. */
    async function partitions(): Promise<Map<string, string>> {
      const rows = await on.outsider.run(
        `select oid::regclass::text as name, pg_get_expr(relpartbound, oid) as bound from pg_class
         where oid in (select inhrelid from pg_inherits where inhparent = 'points'::regclass) order by bound`,
      )
      return new Map(rows.map(({ name, bound }) => [name as string, bound as string]))
    }

    async function tableOf(device: Device, recordedMs: number): Promise<unknown> {
      const [row] = await store.read(
        `select tableoid::regclass::text as name from points
         where device_id = $1::int and recorded_at = to_timestamp($2::float8 / 1000)`,
        [device.id, recordedMs],
      )
      return row?.name
    }

    async function endOfFirst(): Promise<number> {
      const bound = (await partitions()).get('points_first')!
      return Date.parse(/TO \('(.*)'\)/.exec(bound)![1]!.replace('+00', 'Z').replace(' ', 'T'))
    }

    test('gives up when something is in its way, and the hub goes on', async () => {
      await on.outsider.runScript('begin; lock table points in access share mode')
      const said = await runStep(on, 'partition_points')
      await on.outsider.runScript('commit')
      expect(said).toMatch(/canceling statement due to lock timeout/)
      const writing = startWriting({ runs: store.writes })
      await writing.send(devices[0]!, [T + 3], T + 2).stored
      expect(await writing.writer.stop(10_000)).toBe(true)
      expect(await store.read(`select relkind from pg_class where oid = 'points'::regclass`)).toEqual([
        { relkind: 'r' },
      ])
    })

    test('neither copies nor loses anything, while the hub goes on writing', async () => {
      const before = await answers()
      const [files, rules] = [await filesOf('points'), await rulesOf('points')]
      const writing = startWriting({ runs: store.writes })
      const busy = await addDevice(store.read)
      let isDone = false
      let frames = 0
      const said = runStep(on, 'partition_points').finally(() => {
        isDone = true
      })
      // From before the step to after it.
      for (let after = 0; after < 20; frames++) {
        const { stored, kept } = writing.send(busy, [T + frames], T)
        await stored
        expect(kept.rejected).toEqual([])
        if (isDone) after += 1
      }
      expect(await said).toBeNull()
      expect(await writing.writer.stop(10_000)).toBe(true)
      expect(writing.broken).toEqual([])
      const points = await pointsOf(store.read, busy)
      expect(points.map(({ recordedMs }) => recordedMs)).toEqual(
        Array.from({ length: frames }, (_, i) => T + i),
      )
      // Later points have greater ids, before and after.
      const ids = points.map(({ id }) => Number(id))
      expect(ids).toEqual([...ids].sort((a, b) => a - b))

      expect(await answers()).toEqual({ ...before, idle: expect.arrayContaining(before.idle) })
      expect([...(await partitions()).keys()]).toContain('points_first')
      expect(await rulesOf('points')).toEqual(rules)
      // The index of the old primary key is gone, the one of the new had been made beside it.
      const kept = (await filesOf('points_first')).filter((file) => files.includes(file))
      expect(kept).toHaveLength(files.length - 1)
      const tables = await store.read(
        `select distinct tableowner from pg_tables where tablename like 'points%' and schemaname = 'public'`,
      )
      expect(tables).toEqual([{ tableowner: owner }])
    })

    test('leaves a table for each of the coming months, without a gap', async () => {
      const bounds = [...(await partitions()).entries()].filter(([name]) => name !== 'points_default')
      const ends = bounds.map(([, bound]) => /FROM \((.*)\) TO \((.*)\)/.exec(bound)!.slice(1, 3))
      const starts = new Map(ends.map(([from, to]) => [from!, to!]))
      let at = 'MINVALUE'
      let months = 0
      for (; starts.has(at); months++) at = starts.get(at)!
      expect(months).toBe(bounds.length)
      expect(new Date(at.slice(1, 11)).getTime()).toBeGreaterThan(Date.now() + 80 * DAY_MS)
    })

    test('stores each point once, in the table of its month', async () => {
      const end = await endOfFirst()
      const writing = startWriting({ runs: store.writes })
      const device = await addDevice(store.read)
      const times = [end - 1, end, end + 40 * DAY_MS, end + 400 * DAY_MS]
      for (let i = 0; i < 3; i++) {
        const from = i === 2 ? forgotten(device) : device
        for (const at of times) await writing.send(from, [at, at], end - DAY_MS, at).stored
      }
      await writing.writer.stop(10_000)
      expect(writing.batches.reduce((sum, { inserted }) => sum + inserted, 0)).toBe(4)
      expect(await timesOf(store.read, device)).toEqual(times)
      const month = (ms: number) => `points_${new Date(ms).toISOString().slice(0, 7).replace('-', '_')}`
      const tables = await Promise.all(times.map((at) => tableOf(device, at)))
      expect(tables).toEqual(['points_first', month(end), month(end + 40 * DAY_MS), 'points_default'])
      const ids = (await pointsOf(store.read, device)).map(({ id }) => BigInt(id))
      const others = (await Promise.all(devices.map((one) => pointsOf(store.read, one)))).flat()
      for (const id of ids) for (const other of others) expect(id).toBeGreaterThan(BigInt(other.id))
      expect(await readNewestReceivedMs(store.read)).toBe(end + 400 * DAY_MS)
    })

    test('moves points of forgotten months to tables of their own, and can be run at any time', async () => {
      const before = await partitions()
      const [row] = await store.read(
        'select device_id as id, (extract(epoch from recorded_at) * 1000)::float8 as at from points_default',
      )
      const device = { id: row!.id } as Device
      const points = await pointsOf(store.read, device)
      for (let i = 0; i < 2; i++) {
        expect(await runStep(on, 'add_point_months')).toBeNull()
        expect(await pointsOf(store.read, device)).toEqual(points)
        expect(await tableOf(device, row!.at as number)).toMatch(/^points_\d{4}_\d\d$/)
        expect((await partitions()).size).toBe(before.size + 1)
      }
      expect(await store.read('select count(*)::int as left from points_default')).toEqual([{ left: 0 }])
    })

    test('goes on refusing what was refused, and creates lost sessions again', async () => {
      const writing = startWriting({ runs: store.writes })
      const device = await addDevice(store.read)
      await writing.send(device, [T], T).stored
      await store.read('delete from points where device_id = $1::int', [device.id])
      await store.read('delete from sessions where device_id = $1::int', [device.id])
      await writing.send(device, [T + 1], T).stored
      expect(await sessionsOf(store.read, device)).toMatchObject([{ startedMs: T, firstMs: T + 1 }])

      await on.outsider.run('alter table points add constraint poison check (lat <> 13.0000007)')
      const sent = writing.send(device, [T + 2, { recordedMs: T + 3, lat: 130_000_007 }, T + 4], T)
      const { seq } = await sent.stored
      expect(sent.kept.rejected).toEqual([[seq, 1, 5]])
      expect(await lettersOf(store.read, device)).toMatchObject([{ recordedMs: T + 3, sqlstate: '23514' }])
      expect(await timesOf(store.read, device)).toEqual([T + 1, T + 2, T + 4])
      await on.outsider.run('alter table points drop constraint poison')
      await writing.writer.stop(10_000)
    })

    test('leaves migrations as they were, and lets later ones change points', async () => {
      const { options } = serverOptions(on.database.url)
      const status = await migrateDatabase(options, { statusOnly: false })
      expect(status.every(({ appliedAt }) => appliedAt !== null)).toBe(true)
      const known = await readMigrations()
      const sql = 'alter table points add column note varchar; create index points_note on points (note)'
      const later = { version: known.length + 1, name: 'note', checksum: 'x', sql }
      expect(await applyMigrations(on.outsider, [...known, later])).toEqual([later])
      const writing = startWriting({ runs: store.writes })
      await writing.send(devices[0]!, [T + 4], T + 2).stored
      await writing.writer.stop(10_000)
      const [row] = await store.read('select note from points_first limit 1')
      expect(row).toEqual({ note: null })
    })

    test('lets go of an old month in two statements, and does not make it again', async () => {
      const before = await partitions()
      await on.outsider.run('alter table points detach partition points_first')
      await on.outsider.run('drop table points_first')
      expect(await runStep(on, 'add_point_months')).toBeNull()
      before.delete('points_first')
      // This month was among what is gone, and is wanted still.
      for (const name of before.keys()) expect((await partitions()).has(name)).toBe(true)
      const writing = startWriting({ runs: store.writes })
      await writing.send(devices[1]!, [T], T).stored
      expect(await tableOf(devices[1]!, T)).toBe('points_default')
      await writing.writer.stop(10_000)
    })

    test('refuses to be run twice, and changes nothing', async () => {
      const before = [...(await partitions()).keys()]
      expect(await runStep(on, 'partition_points')).toMatch(/points/)
      expect([...(await partitions()).keys()]).toEqual(before)
    })
  })

  describeOnPostgres('that drops the foreign keys of points', (on) => {
    test.each(['points as they are', 'partitioned points'])('lets the hub go on with %s', async (kind) => {
      if (kind === 'partitioned points') expect(await runStep(on, 'partition_points')).toBeNull()
      const store = await openStore(serverOptions(on.database.url).options, new AbortController().signal)
      const writing = startWriting({ runs: store.writes })
      const device = await addDevice(store.read)
      await writing.send(device, [T], T).stored
      const keys = () => store.read(keysOfPoints)
      if (kind === 'points as they are') expect(await keys()).toHaveLength(2)
      expect(await runStep(on, 'drop_point_foreign_keys')).toBeNull()
      expect(await keys()).toEqual([])
      for (const again of [device, forgotten(device)]) await writing.send(again, [T, T + 1], T).stored
      expect(await timesOf(store.read, device)).toEqual([T, T + 1])
      expect(await sessionsOf(store.read, device)).toMatchObject([{ startedMs: T, lastMs: T + 1 }])
      await until(() => writing.backlog.frames === 0, 'everything is stored')
      await writing.writer.stop(10_000)
      await store.close()
    })

    test('can be taken back as its header says', async () => {
      await on.outsider.runScript(`
        alter table points add foreign key (device_id) references devices (id);
        alter table points add foreign key (session_id, device_id) references sessions (id, device_id)`)
      expect(await runStep(on, 'drop_point_foreign_keys')).toBeNull()
      expect(await on.outsider.run(keysOfPoints)).toEqual([])
    })
  })

  describe.each(['partition_points', 'drop_point_foreign_keys'])('%s, run by an older alzy', (step) => {
    describeOnPostgres('leaves points', (on) => {
      test('that a newer one keeps in sessions of their own devices, or as free as they are', async () => {
        const known = (await readMigrations()).filter(({ version }) => version <= OLDER_VERSION)
        await applyMigrations(on.outsider, known)
        expect(await runStep(on, step)).toBeNull()
        const store = await openStore(serverOptions(on.database.url).options, new AbortController().signal)
        expect((await store.read(keysOfPoints)).map(({ name }) => name)).toEqual(
          step === 'partition_points' ? ['points_device_id_fkey', 'points_session_id_device_id_fkey'] : [],
        )
        const writing = startWriting({ runs: store.writes })
        const device = await addDevice(store.read)
        await writing.send(device, [T, T + 1], T).stored
        await writing.writer.stop(10_000)
        expect(await timesOf(store.read, device)).toEqual([T, T + 1])
        await store.close()
      })
    })
  })
})
