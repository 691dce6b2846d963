/**
 * The README says of the faults what the report of the suite says, and nothing else. `npm run test:fault:readme` puts the
 * table there: the README is its own snapshot.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { readResults } from './report.ts'
import { tableOf } from './result.ts'

const README = fileURLToPath(new URL('../../README.md', import.meta.url))
const [BEGIN, END] = ['<!-- faults: made by npm run test:fault:readme -->', '<!-- /faults -->']

test('the table in the README is that of the results', async () => {
  const readme = readFileSync(README, 'utf8')
  const [begin, end] = [readme.indexOf(BEGIN), readme.indexOf(END)]
  expect(begin, 'where the table begins').toBeGreaterThan(0)
  expect(end, 'where it ends').toBeGreaterThan(begin)
  const results = readResults()
  // Of a long run, of one, and of one that passed.
  expect(results.filter(({ isLong }) => !isLong)).toEqual([])
  expect(results.filter((line) => 'failed' in line)).toEqual([])
  expect(new Set(results.flatMap((line) => ('seed' in line ? [line.seed] : []))).size).toBeLessThan(2)
  const table = `${BEGIN}\n${tableOf(results)}\n`
  await expect(readme.slice(0, begin) + table + readme.slice(end)).toMatchFileSnapshot(README)
})
