/**
 * The database as busy as a hub makes it, without a hub, in a process of its own: rows become due at a steady rate, and
 * one statement after the other takes what is due. So a reference that stores nothing shares the machine with the same
 * work.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { connectDatabase } from '../../src/store/line/connection.ts'
import { serveTasks } from '../children.ts'
import { monotonicMs } from '../clock.ts'
import { createInsertLoop } from '../peers/insertLoop.ts'

export type DatabaseLoadTasks = typeof tasks

const STATEMENT_TIMEOUT_MS = 60_000
/** As many as a hub writes in one statement. */
const BATCH_ROWS_MAX = 2_000

let loop: Awaited<ReturnType<typeof createInsertLoop>> | null = null
let isOn = false
let running: Promise<number> = Promise.resolve(0)

const tasks = { open, start, stop }
serveTasks(tasks)

async function open(input: { url: string; devices: number }): Promise<void> {
  const connection = connectDatabase(
    { url: input.url },
    { name: 'bench', connections: 1, timeoutMs: STATEMENT_TIMEOUT_MS, onNotice: () => {} },
  )
  loop = await createInsertLoop(connection.run, input.devices, 'load@example.org')
}

async function start(input: { rowsPerSecond: number }): Promise<void> {
  isOn = true
  running = insertDue(input.rowsPerSecond)
}

/** Resolves with the rows that were stored. */
async function stop(): Promise<{ rows: number }> {
  isOn = false
  return { rows: await running }
}

async function insertDue(rowsPerSecond: number): Promise<number> {
  const startMs = monotonicMs()
  let rows = 0
  while (isOn) {
    const due = Math.floor(((monotonicMs() - startMs) * rowsPerSecond) / 1000) - rows
    const batch = Math.min(due, BATCH_ROWS_MAX)
    if (batch < 1) await sleep(1)
    else {
      await loop!.insert(batch, batch)
      rows += batch
    }
  }
  return rows
}
