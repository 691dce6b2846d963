/** Starts one PostgreSQL before the first test file and ends it after the last, however the run ends. */
import type { TestProject } from 'vitest/node'
import { type Postgres, startPostgres } from './postgres.ts'

let cluster: Postgres | null = null

export async function setup(project: TestProject): Promise<void> {
  const started = await startPostgres()
  if ('missing' in started) {
    console.warn(`Tests that need PostgreSQL are skipped: ${started.missing}.`)
    project.provide('postgres', started)
    return
  }
  cluster = started
  try {
    await started.createPostgisTemplate()
  } catch (fault) {
    await teardown()
    throw fault
  }
  project.provide('postgres', started.facts)
}

export async function teardown(): Promise<void> {
  await cluster?.stop()
  cluster = null
}
