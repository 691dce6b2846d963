/** Opening a store on a server: it waits for one that is away, and refuses one that only a person can put right. */
import { randomBytes } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { StartError } from '../../../src/store/open/startError.ts'
import { migrateDatabase, openStore, type Store } from '../../../src/store/open/store.ts'
import { databasesOf } from '../../rig/cluster.ts'
import { type FaultProxy, startProxy } from '../../rig/proxy.ts'
import { sharedPostgres } from '../../rig/sharedPostgres.ts'
import { until } from '../../rig/until.ts'
import { describeOnPostgres, killHub, serverOptions, urlAt } from '../onPostgres.ts'

/** The advisory lock under which migrations are applied. */
const MIGRATION_LOCK = 4_197_322_066

describeOnPostgres('a store', (on) => {
  const stores: Store[] = []
  const proxies: FaultProxy[] = []

  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close()
    for (const proxy of proxies.splice(0)) await proxy.close()
  })

  async function behindProxy(): Promise<{ proxy: FaultProxy; url: string }> {
    const proxy = await startProxy({ host: '127.0.0.1', port: (await sharedPostgres()).port })
    proxies.push(proxy)
    return { proxy, url: urlAt(on.database.url, proxy.port) }
  }

  async function open(url: string, limits = {}, aborted = new AbortController().signal) {
    const { lines, options } = serverOptions(url, limits)
    const opening = openStore(options, aborted).then((store) => {
      stores.push(store)
      return store
    })
    // A test looks at it when it is ready to.
    opening.catch(() => {})
    return { lines, opening }
  }

  async function refusal(promise: Promise<unknown>): Promise<string> {
    const fault = await promise.then(() => null).catch((error) => error)
    expect(fault).toBeInstanceOf(StartError)
    expect(fault.message).not.toContain('\n')
    return fault.message
  }

  describe('whose server is away', () => {
    test('opens when somebody listens, and says meanwhile why it does not', async () => {
      const { proxy, url } = await behindProxy()
      await proxy.refuse()
      const { lines, opening } = await open(url)
      const said = () => lines.filter(({ message }) => message.startsWith('the database is away'))
      await until(() => said().length > 0, 'it says so')
      expect(said()).toMatchObject([{ facts: { code: 'ECONNREFUSED' } }])
      await proxy.accept()
      expect(await (await opening).read('select 7 as x')).toEqual([{ x: 7 }])
      expect(said()).toHaveLength(1)
    })

    test('opens when it answers again', async () => {
      const { proxy, url } = await behindProxy()
      proxy.freeze()
      const { lines, opening } = await open(url, { readTimeoutMs: 500 })
      await until(() => lines.length > 0, 'it says so')
      expect(lines).toMatchObject([{ facts: { code: 'WATCHDOG' } }])
      expect(proxy.counts.heldBytes).toBeGreaterThan(0)
      proxy.thaw()
      expect(await (await opening).read('select 7 as x')).toEqual([{ x: 7 }])
    })

    test('is given up when nobody wants it any more', async () => {
      const { proxy, url } = await behindProxy()
      await proxy.refuse()
      const aborted = new AbortController()
      const { lines, opening } = await open(url, {}, aborted.signal)
      await until(() => lines.length > 0, 'it says so')
      aborted.abort()
      await expect(opening).rejects.toMatchObject({ name: 'AbortError' })
    })

    test('opens although its connection is lost while it migrates', async () => {
      await on.outsider.run('select pg_advisory_lock($1::bigint)', [MIGRATION_LOCK])
      const { lines, opening } = await open(on.database.url)
      const waiting = `select from pg_locks where locktype = 'advisory' and not granted
        and database = (select oid from pg_database where datname = current_database())`
      await until(async () => (await on.outsider.run(waiting)).length > 0, 'it waits for its turn')
      expect(await killHub(on)).toBeGreaterThan(0)
      await until(() => lines.some(({ message }) => message.startsWith('the database is away')), 'it says so')
      await on.outsider.run('select pg_advisory_unlock($1::bigint)', [MIGRATION_LOCK])
      expect(await (await opening).read('select 7 as x')).toEqual([{ x: 7 }])
    })
  })

  describe('is refused, in one line,', () => {
    test('by a server that has no such database', async () => {
      const url = on.database.url.replace(/[^/]+$/, 'nowhere')
      const message = await refusal((await open(url)).opening)
      expect(message).toMatch(/^the database refuses the connection of DATABASE_URL: .*nowhere/)
    })

    test('by a server that does not know its user, without telling the password', async () => {
      const url = on.database.url.replace(/\/\/[^@]+@/, '//stranger:open-sesame@')
      const message = await refusal((await open(url)).opening)
      expect(message).toMatch(/^the database refuses the connection of DATABASE_URL: .*stranger/)
      expect(message).not.toContain('open-sesame')
    })

    test('when commits would not be durable', async () => {
      await on.outsider.run(`alter database "${on.database.name}" set synchronous_commit = off`)
      const message = await refusal((await open(on.database.url)).opening)
      await on.outsider.run(`alter database "${on.database.name}" reset synchronous_commit`)
      expect(message).toMatch(/synchronous_commit = off: it could lose points .*set it to on/)
      await (await open(on.database.url)).opening
    })

    test('when it may not create PostGIS and nobody else has', async () => {
      const databases = databasesOf(await sharedPostgres())
      const name = `test_${randomBytes(6).toString('hex')}`
      await databases.query('postgres', `create role ${name} login`)
      await databases.query('postgres', `create database ${name} owner ${name}`)
      try {
        const url = databases.url(name).replace(/\/\/[^@]+@/, `//${name}@`)
        const message = await refusal((await open(url)).opening)
        expect(message).toContain('have a superuser run "create extension postgis;" in this database')
        await databases.query(name, 'create extension postgis')
        const { lines, opening } = await open(url)
        // Nothing of ours uses topology.
        await opening
        expect(lines.map(({ message }) => message).join()).toMatch(/going on without topology/)
        await stores.pop()!.close()
      } finally {
        await databases.dropDatabase(name)
        await databases.query('postgres', `drop role ${name}`)
      }
    })

    test('when its database is newer than it is', async () => {
      await (await open(on.database.url)).opening
      await on.outsider.run(
        `insert into schema_migrations (version, name, checksum) values (9999, 'later', 'x')`,
      )
      const message = await refusal((await open(on.database.url)).opening)
      expect(message).toMatch(/migration 9999 \(later\).*run a newer alzy/)
      await refusal(migrateDatabase(serverOptions(on.database.url).options, { statusOnly: true }))
      await on.outsider.run('delete from schema_migrations where version = 9999')
    })
  })

  test('has a connection for each lane and for the one aside, and reads over others', async () => {
    const store = await (await open(on.database.url, { writerLanes: 3, readConnections: 2 })).opening
    expect(store.writes).toHaveLength(4)
    const pid = 'select pg_backend_pid() as pid'
    const pids = await Promise.all([...store.writes, store.read].map(async (run) => (await run(pid))[0]!.pid))
    expect(new Set(pids).size).toBe(5)
    await stores.pop()!.close()
    const left = `select from pg_stat_activity where datname = current_database() and application_name = 'alzy'`
    await until(async () => (await on.outsider.run(left)).length === 0, 'all connections are closed')
  })
})
