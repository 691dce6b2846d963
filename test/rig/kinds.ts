/**
 * The two kinds of database that the hub runs on, as one list: every test of the store and the hub runs on each. A
 * kind that cannot be had here is skipped by name, never passed.
 */
import { cp, mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { connectDatabase } from '../../src/store/line/connection.ts'
import { openEmbedded } from '../../src/store/open/embedded.ts'
import { ask, built } from './gear.ts'
import { freshDatabase, postgresMissing } from './sharedPostgres.ts'

export interface TestDatabase {
  /** What a hub needs to run on it. */
  env: Record<string, string>
  /** Reads it; the embedded one only while no hub has it. */
  query: (text: string, parameters?: (string | number | null)[]) => Promise<Record<string, unknown>[]>
  /** Removes it; no hub may run on it any more. */
  drop: () => Promise<void>
}

export interface DatabaseKind {
  name: 'embedded' | 'postgresql'
  /** Why it cannot be had here, or null. */
  missing: string | null
  create: () => Promise<TestDatabase>
}

const SECRET = 'a secret of the tests, thirty-two bytes or more'

export const databaseKinds: readonly DatabaseKind[] = [
  { name: 'embedded', missing: null, create: createEmbedded },
  { name: 'postgresql', missing: postgresMissing, create: createPostgres },
]

/** For tests to which it is all one: PostgreSQL, where there is one. */
export const quickestKind: DatabaseKind =
  databaseKinds.find(({ name, missing }) => name === 'postgresql' && missing === null) ?? databaseKinds[0]!

/** Copies a directory that was made once for all tests, since making one takes much longer. */
export async function createEmbedded(): Promise<TestDatabase> {
  // It is dist/ that makes it.
  await built('main.js')
  const dataDir = await mkdtemp(path.join(os.tmpdir(), 'alzy-data-'))
  await cp(await ask('embedded'), dataDir, { recursive: true })
  return {
    env: { ALZY_DATA_DIR: dataDir },
    query: async (text, parameters) => {
      const embedded = await openEmbedded(dataDir)
      const options = { name: 'test', connections: 1, timeoutMs: 60_000, onNotice: () => {} }
      const connection = connectDatabase({ socketPath: embedded.socketPath }, options)
      try {
        return await connection.run(text, parameters)
      } finally {
        await connection.close()
        await embedded.close()
      }
    },
    drop: () => rm(dataDir, { recursive: true, force: true }),
  }
}

export async function createPostgres(): Promise<TestDatabase> {
  const { url, query, drop } = await freshDatabase()
  const dataDir = await mkdtemp(path.join(os.tmpdir(), 'alzy-data-'))
  return {
    env: { DATABASE_URL: url, ALZY_SECRET: SECRET, ALZY_DATA_DIR: dataDir },
    query,
    drop: async () => {
      await drop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
