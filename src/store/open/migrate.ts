/**
 * Brings the database up to date with the files of sql/: in order, under a lock, each in one transaction with its
 * row in schema_migrations, so that two hubs may start at once and a crash leaves nothing half done.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { blame, codeOf } from '../../core/blame.ts'
import type { Connection } from '../line/connection.ts'
import type { Run } from '../line/run.ts'
import { StartError } from './startError.ts'

export interface Migration {
  version: number
  name: string
  checksum: string
  sql: string
}

export interface MigrationStatus {
  version: number
  name: string
  /** When it was applied, ISO 8601; null when it is pending. */
  appliedAt: string | null
}

export const SQL_DIRECTORY = fileURLToPath(new URL('../../../sql/', import.meta.url))

/** Any number that nobody else uses for an advisory lock of this database. */
const LOCK = 4_197_322_066
const BOOKKEEPING = `
create table if not exists schema_migrations (
  version    integer primary key,
  name       varchar not null,
  checksum   varchar not null,
  applied_at timestamptz not null default now()
);`
const UNIQUE_VIOLATION = '23505'

/** The migrations that this version of alzy knows, in order. */
export async function readMigrations(directory: string = SQL_DIRECTORY): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => /^\d{4}_\w+\.sql$/.test(name)).sort()
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(path.join(directory, name), 'utf8')
      const checksum = createHash('sha256').update(sql).digest('hex')
      return { version: Number(name.slice(0, 4)), name: name.slice(5, -4), checksum, sql }
    }),
  )
}

/** Applies what is pending; returns it. Throws StartError when the database and these files do not agree. */
export async function applyMigrations(
  connection: Connection,
  migrations: readonly Migration[],
): Promise<Migration[]> {
  await connection.runScript(
    `begin; set local client_min_messages = warning; ${lock()} ${BOOKKEEPING} commit;`,
  )
  const applied: Migration[] = []
  for (;;) {
    const pending = await findPending(connection.run, migrations)
    const next = pending[0]
    if (next === undefined) return applied
    if (await apply(connection, next)) applied.push(next)
  }
}

/** Every migration with the moment it was applied. Throws StartError as `migrate` does. */
export async function migrationStatus(
  run: Run,
  migrations: readonly Migration[],
): Promise<MigrationStatus[]> {
  const table = await run(`select to_regclass('schema_migrations') is not null as found`)
  const applied = table[0]!.found === true ? await readApplied(run) : []
  check(applied, migrations)
  return migrations.map(({ version, name }) => {
    const appliedAt = applied.find((row) => row.version === version)?.appliedAt
    return { version, name, appliedAt: appliedAt?.toISOString() ?? null }
  })
}

/** False when another hub was faster. */
async function apply(connection: Connection, migration: Migration): Promise<boolean> {
  const { version, name, checksum, sql } = migration
  // The bookkeeping row comes first: a second hub that waited for the lock fails on it and changes nothing.
  const book = `insert into schema_migrations (version, name, checksum) values (${version}, '${name}', '${checksum}');`
  try {
    await connection.runScript(`begin; ${lock()} ${book}\n${sql}\n; commit;`)
    return true
  } catch (error) {
    // A database that went away comes back without the transaction.
    if (blame(codeOf(error)) === 'database') throw error
    await connection.runScript('rollback;')
    const { code, table_name } = error as { code?: string; table_name?: string }
    if (code === UNIQUE_VIOLATION && table_name === 'schema_migrations') return false
    throw new StartError(
      `migration ${version} (${name}) failed: ${(error as Error).message} [${codeOf(error)}]`,
    )
  }
}

async function findPending(run: Run, migrations: readonly Migration[]): Promise<Migration[]> {
  const applied = await readApplied(run)
  check(applied, migrations)
  return migrations.filter((migration) => !applied.some((row) => row.version === migration.version))
}

interface Applied {
  version: number
  name: string
  checksum: string
  appliedAt: Date
}

async function readApplied(run: Run): Promise<Applied[]> {
  const rows = await run('select version, name, checksum, applied_at from schema_migrations order by version')
  return rows.map((row) => ({
    version: row.version as number,
    name: row.name as string,
    checksum: row.checksum as string,
    appliedAt: row.applied_at as Date,
  }))
}

function check(applied: readonly Applied[], migrations: readonly Migration[]): void {
  for (const row of applied) {
    const known = migrations.find((migration) => migration.version === row.version)
    if (known === undefined) {
      throw new StartError(
        `the database has migration ${row.version} (${row.name}), which this alzy does not know: run a newer alzy`,
      )
    }
    if (known.checksum !== row.checksum) {
      throw new StartError(
        `migration ${row.version} (${row.name}) is not the one that was applied to this database: restore the file, add a new one instead`,
      )
    }
  }
}

function lock(): string {
  return `select pg_advisory_xact_lock(${LOCK});`
}
