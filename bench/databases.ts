/**
 * The databases of one run: one for the hub and one for the reference, both with the schema and both of the same
 * kind: on a PostgreSQL cluster that lives only for the run, or embedded.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { cp, mkdtemp } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { type Connection, connectDatabase, type Target } from '../src/store/line/connection.ts'
import { openEmbedded } from '../src/store/open/embedded.ts'
import { startPostgres } from '../test/rig/postgres.ts'
import { HUB_MAIN } from './paths.ts'
import { familyCpuMs } from './processes.ts'

const run = promisify(execFile)
const STATEMENT_TIMEOUT_MS = 60_000
/** In one statement of `fill`. */
const FILL_POINTS = 500_000

export interface Databases {
  kind: 'postgresql' | 'embedded'
  /** Settings of a hub that uses this run's database. */
  hubEnv: Record<string, string>
  /** The other database, by the hub's own code, over one connection or several; embedded, it is always one. */
  openReference: (connections?: number) => Promise<Connection>
  /** Where the other database is; null where nobody but one process can reach it. */
  referenceUrl: string | null
  /** Gives the hub's database so many points at least, of devices that have sent something, all in the past. */
  fill: (points: number) => Promise<void>
  /** Forgets all points and flushes what was written, so that every round finds the same. Embedded: does nothing. */
  empty: () => Promise<void>
  /** Processor time that the server has used; embedded it has none of its own, and what it takes is the hub's. */
  cpuMs: () => number
  close: () => Promise<void>
}

/** Rejects where there is no PostgreSQL to start. */
export async function openDatabases(isEmbedded: boolean): Promise<Databases> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'alzy-bench-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  return isEmbedded ? openEmbeddedPair(folder) : openServerPair(folder)
}

async function openServerPair(folder: string): Promise<Databases> {
  const cluster = await startPostgres()
  if ('missing' in cluster) throw new Error(`no PostgreSQL to measure with: ${cluster.missing}`)
  const names = ['hub', 'reference'] as const
  for (const name of names) {
    await cluster.createDatabase(name)
    await migrate({ DATABASE_URL: cluster.url(name), ALZY_DATA_DIR: folder })
  }
  return {
    kind: 'postgresql',
    hubEnv: { DATABASE_URL: cluster.url('hub'), ALZY_DATA_DIR: folder },
    openReference: async (connections) => connect({ url: cluster.url('reference') }, connections),
    referenceUrl: cluster.url('reference'),
    fill: async (points) => {
      const [row] = await cluster.query('hub', 'select count(*)::int as stored from points')
      for (let stored = Number(row!.stored); stored < points; stored += FILL_POINTS) {
        await cluster.query('hub', fillStatement(stored, Math.min(FILL_POINTS, points - stored)))
      }
      await cluster.query('postgres', 'checkpoint')
    },
    empty: async () => {
      for (const name of names) await cluster.query(name, 'truncate points')
      await cluster.query('postgres', 'checkpoint')
    },
    cpuMs: () => familyCpuMs(cluster.pid),
    close: () => cluster.stop(),
  }
}

/** Nobody but its hub reaches an embedded database, so its points stay, and the reference's as well. */
async function openEmbeddedPair(folder: string): Promise<Databases> {
  const [hubDirectory, referenceDirectory] = [path.join(folder, 'hub'), path.join(folder, 'reference')]
  await migrate({ ALZY_DATA_DIR: referenceDirectory })
  // Creating a database takes much longer than copying one.
  await cp(referenceDirectory, hubDirectory, { recursive: true })
  let closeReference = async () => {}
  return {
    kind: 'embedded',
    hubEnv: { ALZY_DATA_DIR: hubDirectory },
    openReference: async () => {
      const embedded = await openEmbedded(referenceDirectory)
      closeReference = embedded.close
      return connect({ socketPath: embedded.socketPath })
    },
    referenceUrl: null,
    fill: () => Promise.reject(new Error('nobody but its hub can fill an embedded database')),
    empty: async () => {},
    cpuMs: () => 0,
    close: () => closeReference(),
  }
}

/** Spread over the sessions that are there, a second apart, before anything that a benchmark sends. */
function fillStatement(first: number, count: number): string {
  return `
    with lines as (select id, device_id, row_number() over (order by id) - 1 as place from sessions order by id limit 1000),
         size as (select count(*) as lines from lines)
    insert into points (device_id, session_id, lat, lng, geom, recorded_at, received_at)
    select l.device_id, l.id, 45 + (i % 10000) / 1e5, 13 + (i % 7000) / 1e5,
           st_setsrid(st_makepoint(13 + (i % 7000) / 1e5, 45 + (i % 10000) / 1e5), 4326), moment, moment
    from size, generate_series(${first}, ${first + count - 1}) as i
    join lines l on l.place = i % (select lines from size),
    lateral (select timestamptz '2020-01-01' + i / (select lines from size) * interval '1 second' as moment) m`
}

async function migrate(env: Record<string, string>): Promise<void> {
  const secret = randomBytes(32).toString('hex')
  await run(process.execPath, [HUB_MAIN, 'migrate'], {
    env: { PATH: process.env.PATH, ALZY_SECRET: secret, ...env },
  })
}

function connect(target: Target, connections = 1): Connection {
  return connectDatabase(target, {
    name: 'bench',
    connections,
    timeoutMs: STATEMENT_TIMEOUT_MS,
    onNotice: () => {},
  })
}

/** PostgreSQL and PostGIS as they call themselves. */
export async function versionOf({ run: query }: Connection): Promise<string> {
  const [row] = await query(
    `select current_setting('server_version') as server, postgis_lib_version() as postgis`,
  )
  return `PostgreSQL ${row!.server}, PostGIS ${row!.postgis}`
}
