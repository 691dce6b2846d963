/**
 * The one PostgreSQL of a test run, as a test file sees it. It is shared by files that run at the same time, so
 * it is never hurt: a test that restarts, kills or freezes a server starts its own with startPostgres.
 */
import { randomBytes } from 'node:crypto'
import { databasesOf, POSTGIS_TEMPLATE, type PostgresFacts, type Row } from './cluster.ts'
import { ask, gearPlace } from './gear.ts'

/** Why there is no PostgreSQL here, or null: `describe.skipIf(postgresMissing)('…')`. */
export const postgresMissing: string | null = gearPlace().postgresMissing

/** How to reach the shared cluster, which runs from now on; rejects where there is none: ask postgresMissing first. */
export function sharedPostgres(): Promise<PostgresFacts> {
  return ask('postgres')
}

export interface Database {
  name: string
  url: string
  query: (text: string, parameters?: (string | number | null)[]) => Promise<Row[]>
  drop: () => Promise<void>
}

/** A database for one test alone, with PostGIS and nothing else in it. */
export async function freshDatabase(): Promise<Database> {
  const databases = databasesOf(await sharedPostgres())
  const name = `test_${randomBytes(6).toString('hex')}`
  await databases.createDatabase(name, POSTGIS_TEMPLATE)
  return {
    name,
    url: databases.url(name),
    query: (text, parameters) => databases.query(name, text, parameters),
    drop: () => databases.dropDatabase(name),
  }
}
