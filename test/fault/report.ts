/** Begins the report of a run anew, and prints the table when the run is over. */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Line, tableOf } from './result.ts'

const FILE = fileURLToPath(new URL('results.jsonl', import.meta.url))

export function setup(): void {
  rmSync(FILE, { force: true })
}

export function teardown(): void {
  console.info(`\n${tableOf(readResults())}\n`)
}

/** One line of JSON per scenario, in the order in which they ended. */
export function readResults(): Line[] {
  if (!existsSync(FILE)) return []
  const lines = readFileSync(FILE, 'utf8').trimEnd().split('\n')
  return lines.map((line) => JSON.parse(line) as Line)
}
