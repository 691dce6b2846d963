/**
 * The one PostgreSQL of a test run, as a test file sees it. It is shared by files that run at the same time, so
 * it is never hurt: a test that restarts, kills or freezes a server starts its own with startPostgres.
 */
import { randomBytes } from 'node:crypto'
import { inject } from 'vitest'
import { databasesOf, POSTGIS_TEMPLATE, type PostgresFacts, type Row } from './cluster.ts'
import type { Missing } from './postgres.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    postgres: PostgresFacts | Missing
  }
}

/** Why there is no PostgreSQL here, or null: `describe.skipIf(postgresMissing)('…')`. */
export const postgresMissing: string | null = reason(inject('postgres'))

/** How to reach the shared cluster; throws where there is none, so ask postgresMissing first. */
export function sharedPostgres(): PostgresFacts {
  const facts = inject('postgres')
  if ('missing' in facts) throw new Error(`no PostgreSQL: ${facts.missing}`)
  return facts
}

export interface Database {
  name: string
  url: string
  query: (text: string, parameters?: (string | number | null)[]) => Promise<Row[]>
  drop: () => Promise<void>
}

/** A database for one test alone, with PostGIS and nothing else in it. */
export async function freshDatabase(): Promise<Database> {
  const databases = databasesOf(sharedPostgres())
  const name = `test_${randomBytes(6).toString('hex')}`
  await databases.createDatabase(name, POSTGIS_TEMPLATE)
  return {
    name,
    url: databases.url(name),
    query: (text, parameters) => databases.query(name, text, parameters),
    drop: () => databases.dropDatabase(name),
  }
}

function reason(provided: PostgresFacts | Missing): string | null {
  return 'missing' in provided ? provided.missing : null
}
