/**
 * Whether the suite notices what it is there for: each mutant is built into a copy of the tree, and one of its tests has
 * to fail as the mutant says, since a machine that is too busy fails tests as well, and so does a file that is broken.
 * Without a mutant all of them pass, or that would prove nothing.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SOURCES } from '../rig/dist.ts'
import { gearPlace } from '../rig/gear.ts'
import { outsideOf } from '../rig/outside.ts'
import { MUTANTS, type Mutant } from './mutants.ts'
import { plant } from './patch.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PARTS = ['src', 'test', 'sql', 'dist', 'package.json', 'tsconfig.json']
let copy = ''

beforeAll(() => {
  copy = mkdtempSync(path.join(os.tmpdir(), 'alzy-mutants-'))
  for (const part of PARTS) cpSync(path.join(ROOT, part), path.join(copy, part), { recursive: true })
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'))
})
afterAll(() => rmSync(copy, { recursive: true, force: true }))

test.each(MUTANTS)('$breaks', (mutant) => {
  const remove = plant(copy, mutant)
  try {
    build()
    const { failed } = testsOf(mutant.tests, [mutant])
    expect(failed, `it survives ${mutant.tests.join(', ')}`).not.toEqual([])
    expect(
      failed.filter((one) => mutant.by.test(one)),
      `not by ${mutant.by} but by ${failed}`,
    ).not.toEqual([])
    process.stdout.write(`caught: ${mutant.breaks}\n  by ${failed.join('\n  by ')}\n`)
  } finally {
    remove()
  }
})

// Last, so that the copy is built as it was.
describe('without a mutant', () => {
  beforeAll(build)

  test.each([...new Set(MUTANTS.flatMap(({ tests }) => tests))])('%s passes', (file) => {
    const mutants = MUTANTS.filter(({ tests }) => tests.includes(file))
    const { failed, passed } = testsOf([file], mutants)
    expect(failed).toEqual([])
    for (const { breaks, named } of mutants) {
      expect(passed.filter((name) => new RegExp(named ?? '').test(name)).length, breaks).toBeGreaterThan(0)
    }
  })
})

function build(): void {
  // As the whole build begins, or the tests would refuse what follows.
  const list = path.join(copy, SOURCES)
  writeFileSync(list, readFileSync(list))
  const built = npx('node_modules/typescript/bin/tsc', ['-p', 'src'])
  expect(built.stdout, 'what does not build counts for nothing').toBe('')
  expect(built.status).toBe(0)
}

/** The full names of the tests of these mutants in `files`; of what failed, a file as a whole among it, with the reason. */
function testsOf(
  files: readonly string[],
  mutants: readonly Mutant[],
): { failed: string[]; passed: string[] } {
  const isAll = mutants.some(({ named }) => named === undefined)
  const named = isAll ? [] : ['-t', mutants.map((mutant) => `(${mutant.named})`).join('|')]
  const paths = files.map((file) => `test/${file}`)
  const report = path.join(copy, 'report.json')
  rmSync(report, { force: true })
  const config = ['--config', 'test/mutants/copy.config.ts', '--outputFile', report]
  const ran = npx('node_modules/vitest/vitest.mjs', ['run', ...config, ...named, ...paths])
  const { testResults } = JSON.parse(readReport(report, ran.stderr)) as Report
  const results = testResults.flatMap(({ assertionResults }) => assertionResults)
  const withStatus = (status: string) => results.filter((one) => one.status === status)
  const broken = testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed'),
  )
  const failed = [
    ...withStatus('failed').map((one) => `${one.fullName}: ${firstLine(one.failureMessages[0])}`),
    ...broken.map(({ name, message }) => `${name}: ${firstLine(message)}`),
  ]
  // Of tests that run together the report may lack the one whose failure ended them all: only some mutants say so.
  if (failed.length === 0 && ran.status !== 0) failed.push(`a run that ended with ${ran.status}`)
  return { passed: withStatus('passed').map((one) => one.fullName), failed }
}

function firstLine(text = ''): string {
  return text.split('\n')[0]!
}

interface Report {
  testResults: {
    name: string
    status: string
    message: string
    assertionResults: { fullName: string; status: string; failureMessages: string[] }[]
  }[]
}

function readReport(file: string, stderr: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    throw new Error(`the tests did not run: ${stderr}`)
  }
}

/** A program of the copy, behind everything else that wants the processor. */
function npx(program: string, args: readonly string[]) {
  const env = { ...outsideOf(process.env), MUTANTS_GEAR: JSON.stringify(gearPlace()) }
  return spawnSync('nice', [process.execPath, program, ...args], { cwd: copy, encoding: 'utf8', env })
}
