/**
 * test/README.md says of the faults what the report of the suite says, and nothing else. `npm run test:fault:readme` puts
 * the table there: the page is its own snapshot.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test, vi } from 'vitest'
import { RESULTS, RESULTS_BEFORE, readResults } from './report.ts'
import {
  type Closing,
  type Line,
  objections,
  type Result,
  ROWS_APART,
  sentenceOf,
  tableOf,
} from './result.ts'

const README = fileURLToPath(new URL('../README.md', import.meta.url))
const [BEGIN, END] = ['<!-- faults: made by npm run test:fault:readme -->', '<!-- /faults -->']

const declared: string[] = Object.values(ROWS_APART)
vi.mock('./scenario.ts', () => ({
  IS_LONG: true,
  SEED: 0,
  scenario: ({ fault }: { fault: string }) => declared.push(fault),
}))
const HERE = new URL('.', import.meta.url)
const files = readdirSync(HERE).filter((name) => name.endsWith('.test.ts') && name !== 'readme.test.ts')
for (const file of [...files, '../hostile/sockets.test.ts']) await import(fileURLToPath(new URL(file, HERE)))

test('the table in test/README.md is that of the results', async () => {
  const readme = readFileSync(README, 'utf8')
  const [begin, end] = [readme.indexOf(BEGIN), readme.indexOf(END)]
  expect(begin, 'where the table begins').toBeGreaterThan(0)
  expect(end, 'where it ends').toBeGreaterThan(begin)
  const [lines, before] = [readResults(RESULTS), readResults(RESULTS_BEFORE)]
  expect(objections(lines, declared)).toEqual([])
  if (before.length > 0) expect(objections(before, declared), 'the run before').toEqual([])
  const said = [tableOf(lines), sentenceOf(lines, before)].filter((text) => text !== '').join('\n\n')
  await expect(`${readme.slice(0, begin)}${BEGIN}\n${said}\n${readme.slice(end)}`).toMatchFileSnapshot(README)
})

const row = (fault: string): Result => ({
  ...{ fault, tries: 3, seed: 7, isLong: true, acknowledged: 9, recoveryMs: null },
  ...{ lost: 0, doubled: 0, altered: 0, missing: 0 },
})
const closing: Closing = { isComplete: true, commit: 'abc', isDirty: false, seed: 7, minutes: 115 }

test('a whole run is told, and so is the one before it', () => {
  const lines = [row('a'), row('b'), closing]
  expect(objections(lines, ['b', 'a'])).toEqual([])
  expect(tableOf(lines).split('\n').slice(2)).toEqual([
    '| a | 3 | 9 | 0 | 0 | 0 | 0 | – | 7 |',
    '| b | 3 | 9 | 0 | 0 | 0 | 0 | – | 7 |',
  ])
  expect(sentenceOf(lines, [])).toBe('That is one whole run: commit abc, seed 7, 115 minutes.')
  expect(sentenceOf(lines, [{ ...closing, commit: 'aba', isDirty: true, seed: 6 }])).toBe(
    'That is the second of two whole runs in a row: commit abc, seed 7, 115 minutes. ' +
      'The one before passed as well: commit aba with changes of its own, seed 6, 115 minutes.',
  )
})

const partial: [string, Line[], string][] = [
  ['that was killed', [row('a'), row('b')], 'the run was not through, not of all files, or did not pass'],
  [
    'that failed elsewhere',
    [row('a'), row('b'), { ...closing, isComplete: false }],
    'the run was not through, not of all files, or did not pass',
  ],
  ['of some scenarios', [row('a'), closing], 'without a row: b'],
  ['of another suite', [row('a'), row('b'), row('c'), closing], 'not of the suite: c'],
  ['that is two', [row('a'), row('a'), row('b'), closing], 'twice: a'],
  ['of the short forms', [row('a'), { ...row('b'), isLong: false }, closing], 'of the short form: b'],
  ['with a failure', [row('a'), { fault: 'b', isLong: true, failed: 'seed 7' }, closing], 'failed: b'],
  ['put together', [row('a'), { ...row('b'), seed: 8 }, closing], 'of several runs: 7, 8'],
]
test.each(partial)('no table is made from a run %s', (_, lines, objection) => {
  expect(objections(lines, ['a', 'b'])).toEqual([objection])
})
