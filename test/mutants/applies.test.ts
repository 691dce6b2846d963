/** Every mutant still fits into the code: what it replaces is there, once. Whether it is caught: `npm run test:mutants`. */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { MUTANTS } from './mutants.ts'
import { mutated } from './patch.ts'

const ROOT = new URL('../../', import.meta.url)

test.each(MUTANTS)('a mutant fits: $breaks', (mutant) => {
  const text = readFileSync(fileURLToPath(new URL(`src/${mutant.file}`, ROOT)), 'utf8')
  expect(mutated(text, mutant)).not.toBe(text)
  for (const file of mutant.tests) {
    expect(existsSync(fileURLToPath(new URL(`test/${file}`, ROOT))), file).toBe(true)
  }
})

test('they are many, and each is told apart', () => {
  expect(MUTANTS.length).toBeGreaterThanOrEqual(30)
  expect(new Set(MUTANTS.map(({ breaks }) => breaks)).size).toBe(MUTANTS.length)
})
