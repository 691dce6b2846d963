/** Tests that hurt connections, locks or settings, which only a PostgreSQL server has; skipped by name without one. */
import { afterAll, beforeAll, describe } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { type Connection, connectDatabase } from '../../src/store/line/connection.ts'
import type { StoreOptions } from '../../src/store/open/store.ts'
import { type Database, freshDatabase, postgresMissing } from '../rig/sharedPostgres.ts'
import { STORE_LIMITS } from './eachStore.ts'

export interface Postgres {
  /** With PostGIS and nothing else in it, until a store is opened on it. */
  database: Database
  /** A session that is not the hub's, with one connection that stays. */
  outsider: Connection
}

export function describeOnPostgres(what: string, tests: (on: Postgres) => void): void {
  const name = postgresMissing === null ? what : `${what} (${postgresMissing})`
  describe.skipIf(postgresMissing !== null)(name, () => {
    const on = {} as Postgres
    beforeAll(async () => {
      on.database = await freshDatabase()
      on.outsider = connectDatabase(
        { url: on.database.url },
        { name: 'outsider', connections: 1, timeoutMs: 60_000, onNotice: () => {} },
      )
    })
    afterAll(async () => {
      await on.outsider?.close()
      await on.database?.drop()
    })
    tests(on)
  })
}

export interface Log {
  lines: { message: string; facts: Record<string, unknown> }[]
  options: StoreOptions
}

/** Options to open a store on a server with, and what it says meanwhile. */
export function serverOptions(databaseUrl: string, limits: Partial<StoreOptions['limits']> = {}): Log {
  const lines: Log['lines'] = []
  const say = (facts: object, message: string) => {
    lines.push({ message, facts: facts as Record<string, unknown> })
  }
  return {
    lines,
    options: {
      databaseUrl,
      dataDir: '/nonexistent',
      limits: { ...STORE_LIMITS, ...limits },
      log: { info: say, warn: say },
      clock: { ...systemClock, random: () => 0 },
    },
  }
}

/** The same database behind another port, such as a proxy's. */
export function urlAt(url: string, port: number): string {
  const changed = new URL(url)
  changed.port = String(port)
  return changed.href
}

/** Kills the hub's connections to the database and waits for their end; returns how many there were. */
export async function killHub(on: Postgres): Promise<number> {
  const rows = await on.outsider.run(
    `select pg_terminate_backend(pid, 5000) from pg_stat_activity
     where datname = current_database() and application_name = 'alzy'`,
  )
  return rows.length
}

/** What the hub's connections are doing just now. */
export async function hubActivity(
  on: Postgres,
): Promise<{ state: string; waitsFor: string | null; query: string }[]> {
  const rows = await on.outsider.run(
    `select state, wait_event_type as "waitsFor", query from pg_stat_activity
     where datname = current_database() and application_name = 'alzy'`,
  )
  return rows as unknown as { state: string; waitsFor: string | null; query: string }[]
}
