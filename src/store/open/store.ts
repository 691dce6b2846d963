/**
 * Opens the database, whichever it is, waits for it when it is away, checks and migrates it, and hands out the
 * ways to read and write it. The only place that knows that there are two kinds.
 */
import { type Clock, wait } from '../../clock.ts'
import { blame, codeOf, describeError, retryDelayMs } from '../../core/blame.ts'
import { type Connection, connectDatabase, type Target } from '../line/connection.ts'
import { createGate } from '../line/gate.ts'
import type { Run } from '../line/run.ts'
import { checkServer, ensureExtensions } from './checks.ts'
import { openEmbedded } from './embedded.ts'
import { applyMigrations, type MigrationStatus, migrationStatus, readMigrations } from './migrate.ts'
import { StartError } from './startError.ts'

export interface StoreOptions {
  databaseUrl: string | null
  dataDir: string
  limits: {
    writeTimeoutMs: number
    readTimeoutMs: number
    readConnections: number
    writerLanes: number
  }
  log: {
    info: (facts: object, message: string) => void
    warn: (facts: object, message: string) => void
  }
  clock: Clock
}

export interface Store {
  /** For everything but the writer. */
  read: Run
  /** For the writer: one for each ordinary lane, and before them the one of the side lane. */
  writes: Run[]
  /** Resolves with the reason when the database has ended for good. */
  failed: Promise<Error>
  close: () => Promise<void>
}

/** Migrations may build an index over everything that is there. */
const MIGRATE_TIMEOUT_MS = 3_600_000
const PATIENCE_REPORT_MS = 10_000

/**
 * Resolves when the database is open and up to date; keeps trying while it is away, until `aborted`. Rejects
 * with StartError when only a person can help.
 */
export async function openStore(options: StoreOptions, aborted: AbortSignal): Promise<Store> {
  return options.databaseUrl === null
    ? openEmbeddedStore(options)
    : openServerStore(options, { url: options.databaseUrl }, aborted)
}

/**
 * Brings the database up to date, or with `statusOnly` changes nothing, and tells every migration with the
 * moment it was applied. Rejects when the database is away.
 */
export async function migrateDatabase(
  options: StoreOptions,
  { statusOnly }: { statusOnly: boolean },
): Promise<MigrationStatus[]> {
  const embedded = options.databaseUrl === null ? await openEmbedded(options.dataDir) : null
  const target = embedded ?? { url: options.databaseUrl! }
  try {
    if (!statusOnly) await prepare(target, options, embedded === null ? checkServer : undefined)
    const migrations = await readMigrations()
    return await withConnection(target, options, options.limits.readTimeoutMs, ({ run }) =>
      migrationStatus(run, migrations),
    )
  } finally {
    await embedded?.close()
  }
}

async function openEmbeddedStore(options: StoreOptions): Promise<Store> {
  const { limits, log } = options
  const embedded = await openEmbedded(options.dataDir)
  const target = { socketPath: embedded.socketPath }
  try {
    await prepare(target, options)
  } catch (error) {
    await embedded.close()
    throw error
  }
  log.warn(
    { dataDir: options.dataDir },
    'embedded database: safe when the hub crashes, not when the power fails; set DATABASE_URL for a PostgreSQL server',
  )
  const connection = connectDatabase(target, connectionOptions(options, 1, limits.writeTimeoutMs))
  const gate = createGate(connection.run, 1)
  return {
    read: gate.read,
    writes: [gate.write, gate.write],
    failed: embedded.failed,
    close: async () => {
      await connection.close()
      await embedded.close()
    },
  }
}

async function openServerStore(options: StoreOptions, target: Target, aborted: AbortSignal): Promise<Store> {
  const { limits } = options
  await patiently(options, aborted, () => prepare(target, options, checkServer))
  const reads = connectDatabase(
    target,
    connectionOptions(options, limits.readConnections, limits.readTimeoutMs),
  )
  const writes = Array.from({ length: limits.writerLanes + 1 }, () =>
    connectDatabase(target, connectionOptions(options, 1, limits.writeTimeoutMs)),
  )
  return {
    read: createGate(reads.run, limits.readConnections).read,
    writes: writes.map((connection) => connection.run),
    failed: new Promise(() => {}),
    close: async () => {
      await Promise.all([reads, ...writes].map((connection) => connection.close()))
    },
  }
}

/** Checks and migrates over connections of its own. */
async function prepare(
  target: Target,
  options: StoreOptions,
  checkFirst?: (run: Run) => Promise<void>,
): Promise<void> {
  // A server that does not answer is found out long before a migration would be given up.
  if (checkFirst)
    await withConnection(target, options, options.limits.readTimeoutMs, ({ run }) => checkFirst(run))
  await withConnection(target, options, MIGRATE_TIMEOUT_MS, async (connection) => {
    const missing = await ensureExtensions(connection)
    if (missing !== null) options.log.info({}, `going on without topology: ${missing}`)
    const applied = await applyMigrations(connection, await readMigrations())
    for (const { version, name } of applied) options.log.info({ version, name }, 'migration applied')
  })
}

async function withConnection<T>(
  target: Target,
  options: StoreOptions,
  timeoutMs: number,
  use: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = connectDatabase(target, connectionOptions(options, 1, timeoutMs))
  try {
    return await use(connection)
  } finally {
    await connection.close()
  }
}

/** Tries again as long as the database is merely away, and says so now and then. */
async function patiently(
  options: StoreOptions,
  aborted: AbortSignal,
  step: () => Promise<void>,
): Promise<void> {
  let reportedMs = Number.NEGATIVE_INFINITY
  for (let attempt = 0; ; attempt++) {
    try {
      return await step()
    } catch (error) {
      if (error instanceof StartError) throw error
      const code = codeOf(error)
      if (/^(28|3D)/.test(code ?? '')) {
        throw new StartError(
          `the database refuses the connection of DATABASE_URL: ${(error as Error).message}`,
        )
      }
      if (blame(code) !== 'database') throw error
      if (options.clock.elapsed() - reportedMs > PATIENCE_REPORT_MS) {
        reportedMs = options.clock.elapsed()
        options.log.warn(describeError(error), 'the database is away; trying again until it is there')
      }
      await wait(options.clock, retryDelayMs(attempt, options.clock.random()), aborted)
      aborted.throwIfAborted()
    }
  }
}

function connectionOptions(options: StoreOptions, connections: number, timeoutMs: number) {
  return {
    name: 'alzy',
    connections,
    timeoutMs,
    onNotice: (message: string) => options.log.info({ notice: message }, 'database notice'),
  }
}
