/** Migrations: each applied once, whole or not at all, however many hubs start, and never another one instead. */
import { createHash } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { blame, codeOf } from '../../../src/core/blame.ts'
import { type Connection, connectDatabase } from '../../../src/store/line/connection.ts'
import {
  applyMigrations,
  type Migration,
  migrationStatus,
  readMigrations,
  SQL_DIRECTORY,
} from '../../../src/store/open/migrate.ts'
import { StartError } from '../../../src/store/open/startError.ts'
import { migrateDatabase, openStore } from '../../../src/store/open/store.ts'
import { databasesOf } from '../../rig/cluster.ts'
import { startProxy } from '../../rig/proxy.ts'
import { type Database, freshDatabase, postgresMissing, sharedPostgres } from '../../rig/sharedPostgres.ts'
import { until } from '../../rig/until.ts'
import { serverOptions, urlAt } from '../onPostgres.ts'

const name = postgresMissing === null ? 'migrations' : `migrations (${postgresMissing})`

describe.skipIf(postgresMissing !== null)(name, () => {
  let database: Database
  const opened: Connection[] = []

  beforeEach(async () => {
    database = await freshDatabase()
  })

  afterEach(async () => {
    for (const connection of opened.splice(0)) await connection.close()
    await database.drop()
  })

  function connect(url = database.url, timeoutMs = 60_000): Connection {
    const options = { name: 'migrating', connections: 1, timeoutMs, onNotice: () => {} }
    const connection = connectDatabase({ url }, options)
    opened.push(connection)
    return connection
  }

  function migration(version: number, sql: string): Migration {
    const checksum = createHash('sha256').update(sql).digest('hex')
    return { version, name: `step_${version}`, checksum, sql }
  }

  const steps = [
    migration(1, 'create table log (line varchar); insert into log values (1)'),
    migration(2, `-- A comment at its end needs no line of its own\ninsert into log values (2) -- like this`),
    migration(3, 'insert into log values (3);'),
  ]

  async function logged(): Promise<string[]> {
    return (await database.query('select line from log order by line')).map(({ line }) => line as string)
  }

  async function refusal(promise: Promise<unknown>): Promise<string> {
    const fault = await promise.then(() => null).catch((error) => error)
    expect(fault).toBeInstanceOf(StartError)
    expect(fault.message).not.toContain('\n')
    return fault.message
  }

  test('are applied in order and once', async () => {
    const connection = connect()
    expect(await applyMigrations(connection, steps.slice(0, 2))).toEqual(steps.slice(0, 2))
    expect(await applyMigrations(connection, steps)).toEqual(steps.slice(2))
    expect(await applyMigrations(connection, steps)).toEqual([])
    expect(await logged()).toEqual(['1', '2', '3'])
  })

  test('have a status before, between and afterwards', async () => {
    const connection = connect()
    const status = async () =>
      (await migrationStatus(connection.run, steps)).map(({ version, name, appliedAt }) => {
        if (appliedAt !== null) expect(new Date(appliedAt).toISOString()).toBe(appliedAt)
        return [version, name, appliedAt !== null]
      })
    const expected = (done: number) => steps.map(({ version, name }, i) => [version, name, i < done])
    expect(await status()).toEqual(expected(0))
    // Asking changes nothing.
    expect(await database.query(`select to_regclass('schema_migrations') as found`)).toEqual([
      { found: null },
    ])
    await applyMigrations(connection, steps.slice(0, 1))
    expect(await status()).toEqual(expected(1))
    await applyMigrations(connection, steps)
    expect(await status()).toEqual(expected(3))
  })

  test.each([2, 5])(
    'are applied once when %i hubs start on an empty database at the same moment',
    async (hubs) => {
      const { options } = serverOptions(database.url)
      const databases = databasesOf(await sharedPostgres())
      await databases.dropDatabase(database.name)
      // Not even PostGIS is there.
      await databases.createDatabase(database.name)
      const started = await Promise.all(
        Array.from({ length: hubs }, () => migrateDatabase(options, { statusOnly: false })),
      )
      const known = await readMigrations()
      for (const status of started) {
        expect(status.map(({ version }) => version)).toEqual(known.map(({ version }) => version))
        expect(status.every(({ appliedAt }) => appliedAt !== null)).toBe(true)
        expect(status).toEqual(started[0])
      }
      const rows = await database.query('select version from schema_migrations order by version')
      expect(rows.map(({ version }) => version)).toEqual(known.map(({ version }) => version))
      const stores = await Promise.all(
        Array.from({ length: hubs }, () => openStore(options, new AbortController().signal)),
      )
      for (const store of stores) await store.close()
    },
  )

  test('are each applied by one of many hubs, and never twice', async () => {
    const many = Array.from({ length: 6 }, (_, i) =>
      migration(i + 1, i === 0 ? steps[0]!.sql : `insert into log values (${i + 1})`),
    )
    const applied = await Promise.all(Array.from({ length: 4 }, () => applyMigrations(connect(), many)))
    const versions = applied.flat().map(({ version }) => version)
    expect(versions.sort()).toEqual([1, 2, 3, 4, 5, 6])
    expect(await logged()).toEqual(['1', '2', '3', '4', '5', '6'])
  })

  test('wait for those of another hub that are on their way', async () => {
    const slow = connect()
    await slow.runScript(`begin; select pg_advisory_xact_lock(4197322066)`)
    const migrating = applyMigrations(connect(), steps)
    const waiting = `select from pg_locks where locktype = 'advisory' and not granted
      and database = (select oid from pg_database where datname = current_database())`
    await until(async () => (await slow.run(waiting)).length > 0, 'the second one waits')
    expect(await slow.run(`select to_regclass('schema_migrations') as found`)).toEqual([{ found: null }])
    await slow.runScript('commit')
    expect(await migrating).toEqual(steps)
  })

  describe('are refused', () => {
    test('when one that was applied has changed', async () => {
      await applyMigrations(connect(), steps)
      const changed = [steps[0]!, migration(2, 'insert into log values (22)'), steps[2]!]
      const message = await refusal(applyMigrations(connect(), changed))
      expect(message).toMatch(/^migration 2 \(step_2\) is not the one that was applied .* restore the file/)
      expect(await refusal(migrationStatus(connect().run, changed))).toBe(message)
      expect(await logged()).toEqual(['1', '2', '3'])
    })

    test('when one was applied that nobody here knows', async () => {
      await applyMigrations(connect(), steps)
      const older = steps.slice(0, 2)
      const message = await refusal(applyMigrations(connect(), older))
      expect(message).toBe(
        'the database has migration 3 (step_3), which this alzy does not know: run a newer alzy',
      )
      expect(await refusal(migrationStatus(connect().run, older))).toBe(message)
    })
  })

  test('that fail leave nothing behind, and can be mended', async () => {
    const connection = connect()
    const bad = migration(
      2,
      'create table half (x int); insert into log values (2); insert into nowhere values (1)',
    )
    const message = await refusal(applyMigrations(connection, [steps[0]!, bad, steps[2]!]))
    expect(message).toMatch(/^migration 2 \(step_2\) failed: .*nowhere.* \[42P01\]$/)
    expect(await logged()).toEqual(['1'])
    expect(await database.query(`select to_regclass('half') as half`)).toEqual([{ half: null }])
    expect(await database.query('select version from schema_migrations')).toEqual([{ version: 1 }])
    // The same connection is of use afterwards.
    expect(await applyMigrations(connection, steps)).toEqual(steps.slice(1))
    expect(await logged()).toEqual(['1', '2', '3'])
  })

  test.each(['kill', 'fin', 'rst'] as const)(
    'that are cut off by a %s leave nothing behind, and are the fault of the environment',
    async (fault) => {
      const proxy = await startProxy({ host: '127.0.0.1', port: (await sharedPostgres()).port })
      const slow = migration(2, 'insert into log values (2); select pg_sleep(60)')
      const failing = applyMigrations(connect(urlAt(database.url, proxy.port), 10_000), [
        steps[0]!,
        slow,
      ]).catch((error) => error)
      const sleeping = `select pid from pg_stat_activity
        where datname = current_database() and application_name = 'migrating' and wait_event = 'PgSleep'`
      const [{ pid }] = await until(async () => {
        const rows = await database.query(sleeping)
        return rows.length > 0 ? (rows as [{ pid: number }]) : null
      }, 'it is half done')
      if (fault !== 'kill') expect(proxy.cut(fault)).toBe(1)
      // A server does not notice that nobody listens while it is asleep.
      await database.query('select pg_terminate_backend($1::int)', [pid])
      const thrown = await failing
      await proxy.close()
      expect(await logged()).toEqual(['1'])
      expect(await applyMigrations(connect(), steps)).toEqual(steps.slice(1))
      // Nobody has to do anything but wait: this is no reason not to start.
      expect(thrown).not.toBeInstanceOf(StartError)
      expect(blame(codeOf(thrown))).toBe('database')
      // It was told at once, and has no need of the watchdog, which is patient with migrations.
      expect(codeOf(thrown)).not.toBe('WATCHDOG')
    },
  )

  describe('in files', () => {
    const directories: string[] = []

    afterAll(async () => {
      for (const directory of directories) await rm(directory, { recursive: true, force: true })
    })

    test.each(['plain', 'with spaces', 'with # and %20 and ?'])(
      'are read from a directory whose name is %s',
      async (place) => {
        const parent = await mkdtemp(path.join(os.tmpdir(), 'alzy-sql-'))
        directories.push(parent)
        const directory = path.join(parent, place, '/')
        await mkdir(directory)
        const files = (await readdir(SQL_DIRECTORY)).filter((file) => file.endsWith('.sql'))
        for (const file of files) await copyFile(path.join(SQL_DIRECTORY, file), path.join(directory, file))
        expect(await readMigrations(directory)).toEqual(await readMigrations())
      },
    )

    test('are numbered from one without a gap, and the optional steps are not among them', async () => {
      const known = await readMigrations()
      expect(known.length).toBeGreaterThan(1)
      expect(known.map(({ version }) => version)).toEqual(known.map((_, i) => i + 1))
      expect(known[0]).toMatchObject({
        version: 1,
        name: 'schema',
        checksum: expect.stringMatching(/^[0-9a-f]{64}$/),
      })
    })
  })
})
