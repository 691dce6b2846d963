/** The databases of a PostgreSQL cluster that runs already: makes, drops and asks them. */
import postgres from 'postgres'

/** How to reach a cluster; plain data, so that it can be handed from one process to another. */
export interface PostgresFacts {
  host: string
  port: number
  /** The folder of the Unix socket. */
  socketDirectory: string
  user: string
  /** The server process, when the facts were taken. */
  pid: number
  version: string
}

/** A database with PostGIS in it, to make others from: `createDatabase(name, POSTGIS_TEMPLATE)`. */
export const POSTGIS_TEMPLATE = 'with_postgis'

export type Databases = ReturnType<typeof databasesOf>
export type Row = Record<string, unknown>

export function databasesOf(facts: Pick<PostgresFacts, 'host' | 'port' | 'user'>) {
  return { url, createDatabase, dropDatabase, createPostgisTemplate, query }

  function url(database: string): string {
    return `postgres://${facts.user}@${facts.host}:${facts.port}/${database}`
  }

  /** Without a template the new database is empty. */
  async function createDatabase(name: string, template = 'template1'): Promise<void> {
    await query('postgres', `create database "${name}" template "${template}"`)
  }

  /** Ends the connections to the database, if there are any. */
  async function dropDatabase(name: string): Promise<void> {
    await query('postgres', `drop database if exists "${name}" with (force)`)
  }

  /** An extension takes a second to create, and a database that has it a tenth of that to copy. */
  async function createPostgisTemplate(): Promise<void> {
    await createDatabase(POSTGIS_TEMPLATE)
    await query(POSTGIS_TEMPLATE, 'create extension postgis; create extension postgis_topology')
  }

  /** Runs one statement, or without parameters several, over a connection of its own. */
  async function query(
    database: string,
    text: string,
    parameters: (string | number | null)[] = [],
  ): Promise<Row[]> {
    const sql = postgres(url(database), { max: 1, fetch_types: false, connect_timeout: 10, onnotice() {} })
    let patienceS = 0
    try {
      const rows = await sql.unsafe(text, parameters)
      patienceS = 5
      return rows
    } finally {
      // After a failure there may be nobody to say goodbye to.
      await sql.end({ timeout: patienceS })
    }
  }
}
