/**
 * Begins the report of a run anew, closes it with what the run was, and prints the table. The results of a whole run are
 * kept until the one after it is over, so that test/README.md can tell of two in a row; those of any other are not.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { TestProject } from 'vitest/node'
import { addClosing, closingOf, type Line, sentenceOf, tableOf } from './result.ts'

export const RESULTS = fileURLToPath(new URL('results.jsonl', import.meta.url))
export const RESULTS_BEFORE = fileURLToPath(new URL('results-before.jsonl', import.meta.url))
/** The report itself is no change of what is tested. */
const BUT_RESULTS = ['.', ':!test/fault/results.jsonl', ':!test/fault/results-before.jsonl']
const MINUTE_MS = 60_000

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const startedMs = performance.now()
  const tree = treeNow()
  rmSync(RESULTS_BEFORE, { force: true })
  if (closingOf(readResults(RESULTS))?.isComplete) renameSync(RESULTS, RESULTS_BEFORE)
  rmSync(RESULTS, { force: true })
  return async () => {
    const after = treeNow()
    addClosing(RESULTS, {
      isComplete: await isComplete(project),
      commit: tree.commit,
      isDirty: tree.isDirty || after.isDirty || after.commit !== tree.commit,
      seed: Number(project.config.env.FAULT_SEED),
      minutes: Math.round((performance.now() - startedMs) / MINUTE_MS),
    })
    const [lines, before] = [readResults(RESULTS), readResults(RESULTS_BEFORE)]
    console.info(`\n${tableOf(lines)}\n\n${sentenceOf(lines, before)}\n`)
  }
}

/** One line of JSON per row, in the order in which they ended; none without a file. */
export function readResults(file: string): Line[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  return lines.map((line) => JSON.parse(line) as Line)
}

async function isComplete({ vitest, config }: TestProject): Promise<boolean> {
  const files = await vitest.globTestSpecifications()
  const states = new Map(vitest.state.getTestModules().map((module) => [module.moduleId, module.state()]))
  return (
    config.env.FAULT_LONG === '1' &&
    config.testNamePattern === undefined &&
    vitest.state.getUnhandledErrors().length === 0 &&
    // What lacks a PostgreSQL is skipped, and has rows that say so.
    files.every(({ moduleId }) => ['passed', 'skipped'].includes(states.get(moduleId) ?? 'not run'))
  )
}

function treeNow(): { commit: string; isDirty: boolean } {
  const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim()
  return {
    commit: git('rev-parse', '--short=10', 'HEAD'),
    isDirty: git('status', '--porcelain', '--', ...BUT_RESULTS) !== '',
  }
}
