/** The same tests on every kind of database, each with a hub of its own; a kind that is missing is skipped by name. */
import { afterAll, beforeAll, describe } from 'vitest'
import { startHub, type TestHub } from './hub.ts'
import { databaseKinds, type TestDatabase } from './kinds.ts'

export interface HubUnderTest {
  /** The hub that was started last on this database. */
  hub: TestHub
  database: TestDatabase
  /** Ends the hub if it still runs, and starts another one on the same database. */
  restart: (env?: Record<string, string>) => Promise<void>
  /** Rows of the database; ends the hub first where both cannot have it at once. */
  rows: (text: string, parameters?: (string | number | null)[]) => Promise<Record<string, unknown>[]>
}

/** `tests` declares tests that use `on.hub`, which runs from before the first to after the last of them. */
export function describeOnEachDatabase(
  what: string,
  env: Record<string, string>,
  tests: (on: HubUnderTest, kind: string) => void,
): void {
  for (const kind of databaseKinds) {
    const name = kind.missing === null ? `${what} (${kind.name})` : `${what} (${kind.name}: ${kind.missing})`
    describe.skipIf(kind.missing !== null)(name, () => {
      const on = {} as HubUnderTest
      let isRunning = false
      on.restart = async (more = {}) => {
        await end()
        on.hub = await startHub({ database: on.database, env: { ...env, ...more } })
        isRunning = true
      }
      on.rows = async (text, parameters) => {
        if (kind.name === 'embedded') await end()
        return on.database.query(text, parameters)
      }
      beforeAll(async () => {
        on.database = await kind.create()
        await on.restart()
      })
      afterAll(async () => {
        await end()
        await on.database?.drop()
      })
      tests(on, kind.name)

      async function end(): Promise<void> {
        if (!isRunning) return
        isRunning = false
        await on.hub.end()
      }
    })
  }
}
