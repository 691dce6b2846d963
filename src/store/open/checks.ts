/** What a database must be before the hub trusts it with points; each refusal says what to do. */
import { blame, codeOf } from '../../core/blame.ts'
import type { Connection } from '../line/connection.ts'
import type { Run } from '../line/run.ts'
import { StartError } from './startError.ts'

const POSTGRES_MIN = 150_000
const POSTGIS_MIN = [3, 3] as const
const DURABILITY = ['fsync', 'full_page_writes', 'synchronous_commit'] as const
const INSUFFICIENT_PRIVILEGE = '42501'

/** Throws StartError on a server that is too old or may lose what it acknowledged. */
export async function checkServer(run: Run): Promise<void> {
  const settings = ['server_version_num', 'server_version', ...DURABILITY]
  const rows = await run(
    settings
      .map((name) => `select '${name}' as name, current_setting('${name}') as value`)
      .join(' union all '),
  )
  const settingOf = (name: string) => rows.find((row) => row.name === name)?.value as string
  if (Number(settingOf('server_version_num')) < POSTGRES_MIN) {
    throw new StartError(`PostgreSQL ${settingOf('server_version')} is too old: alzy needs 15 or newer`)
  }
  const unsafe = DURABILITY.filter((name) => settingOf(name) === 'off')
  if (unsafe.length > 0) {
    throw new StartError(
      `PostgreSQL runs with ${unsafe.map((name) => `${name} = off`).join(', ')}: it could lose points after they were acknowledged; set it to on`,
    )
  }
}

/**
 * Creates the extensions where they are missing. Throws StartError when PostGIS cannot be had; resolves with
 * why topology, which nothing here uses, could not.
 */
export async function ensureExtensions(connection: Connection): Promise<string | null> {
  const rows = await connection.run(
    `select name, installed_version from pg_available_extensions where name in ('postgis', 'postgis_topology')`,
  )
  const postgis = rows.find((row) => row.name === 'postgis')
  if (postgis === undefined) {
    throw new StartError(
      'PostGIS is not installed on the database server: install it there (Debian: postgresql-15-postgis-3) and start again',
    )
  }
  if (postgis.installed_version === null) await create(connection, 'postgis')
  await checkPostgisVersion(connection.run)
  const topology = rows.find((row) => row.name === 'postgis_topology')
  if (topology === undefined || topology.installed_version !== null) return null
  try {
    await create(connection, 'postgis_topology')
    return null
  } catch (error) {
    if (!(error instanceof StartError) && blame(codeOf(error)) === 'database' && !isServerDisk(error))
      throw error
    return (error as Error).message
  }
}

/** A file of the extension is missing on the server: waiting does not bring it. */
function isServerDisk(error: unknown): boolean {
  return codeOf(error)?.startsWith('58') ?? false
}

async function create(connection: Connection, extension: string): Promise<void> {
  try {
    await connection.runScript(`create extension if not exists ${extension};`)
  } catch (error) {
    if (codeOf(error) === INSUFFICIENT_PRIVILEGE) {
      throw new StartError(
        `the database role may not create the extension ${extension}: have a superuser run "create extension ${extension};" in this database`,
      )
    }
    // Another hub creates it at this very moment: then it is there now.
    const rows = await connection.run('select from pg_extension where extname = $1', [extension])
    if (rows.length === 0) throw error
  }
}

async function checkPostgisVersion(run: Run): Promise<void> {
  const rows = await run('select postgis_lib_version() as version')
  const version = rows[0]!.version as string
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  if (major < POSTGIS_MIN[0] || (major === POSTGIS_MIN[0] && minor < POSTGIS_MIN[1])) {
    throw new StartError(`PostGIS ${version} is too old: alzy needs ${POSTGIS_MIN.join('.')} or newer`)
  }
}
