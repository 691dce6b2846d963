/** Mutants, one at a time: each is built into a copy of the tree, and its tests have to fail there. */
import { defineConfig } from 'vitest/config'
import usual from '../vitest.config.ts'

export default defineConfig({
  ...usual,
  test: {
    ...usual.test,
    include: ['test/mutants/caught.ts'],
    maxWorkers: 1,
    reporters: ['verbose'],
    // What a mutant was caught by stands beside it, bare.
    disableConsoleIntercept: true,
    // Longer than the patience of any test in the copy, on a machine that does something else as well.
    testTimeout: 1_800_000,
    hookTimeout: 600_000,
  },
})
