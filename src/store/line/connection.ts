/** Runs statements on as many lines to PostgreSQL as were asked for. */
import type { Sql } from 'postgres'
import { codeOf } from '../../core/blame.ts'
import { type Line, type LineOptions, openLine, type Target } from './line.ts'
import { endOrphans } from './orphans.ts'
import type { Parameter, Result, Run } from './run.ts'

export type { Target }

interface ConnectionOptions extends LineOptions {
  /** Statements that may run at the same time. */
  connections: number
}

export interface Connection {
  run: Run
  /** Several statements in one text, without parameters, as one implicit transaction. */
  runScript: (text: string) => Promise<void>
  close: () => Promise<void>
}

const READ_ONLY = '25006'
const LOCKED = '55P03'

export function connectDatabase(target: Target, options: ConnectionOptions): Connection {
  // Not a pool of the driver's: what one of them loses is nothing to the others.
  const lines = Array.from({ length: options.connections }, () => openLine(target, options))
  return { run, runScript, close }

  async function run(text: string, parameters: readonly Parameter[] = []): Promise<Result> {
    const line = freest()
    let used: Sql | undefined
    try {
      return await line.send((sql) => {
        used = sql
        return execute(sql, text, parameters)
      })
    } catch (error) {
      // A session that began on a read-only database stays read-only when the database no longer is.
      if (codeOf(error) === READ_ONLY) line.renew(used)
      if (codeOf(error) === LOCKED) await unlock(line)
      throw error
    }
  }

  /** Who holds the lock may be a statement of our own that nobody hears of any more; when it is tried again, it is gone. */
  async function unlock(line: Line): Promise<void> {
    try {
      const ended = await endOrphans(
        (text, parameters = []) => line.send((sql) => execute(sql, text, parameters)),
        options.timeoutMs,
      )
      if (ended > 0) options.onNotice(`ended ${ended} abandoned connections of ours`)
    } catch {
      // The lock is what has to be told, and this is tried again with the next one that is waited for in vain.
    }
  }

  async function runScript(text: string): Promise<void> {
    await freest().send((sql) => sql.unsafe(text).simple() as Promise<unknown>)
  }

  async function close(): Promise<void> {
    await Promise.all(lines.map((line) => line.close()))
  }

  function freest(): Line {
    return lines.reduce((best, line) => (line.waiting < best.waiting ? line : best))
  }
}

async function execute(sql: Sql, text: string, parameters: readonly Parameter[]): Promise<Result> {
  const query = sql.unsafe(text, [...parameters], { prepare: true })
  let result: Result
  try {
    result = (await query) as unknown as Result
  } finally {
    release(query)
  }
  // postgres 3.4.9 goes on counting rows where a statement that failed had stopped: the front can be holes.
  if (result.length === 0 || 0 in result) return result
  return Object.assign(
    result.filter(() => true),
    { count: result.count },
  )
}

/**
 * Takes from the driver's query what it no longer needs. postgres 3.4.9 assigns two arrow functions to each query, and V8
 * makes a function that is assigned to a property old at birth, as if it were a method for good. The two keep the query,
 * so that without this the parameters of each batch are copied by two young collections and left to a full one.
 */
function release(query: object): void {
  Object.assign(query, { args: null, parameters: null })
}
