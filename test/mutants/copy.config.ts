/** How tests run in the copy: with what the run outside has started, and no longer than the first failure. */
import { defineConfig } from 'vitest/config'
import usual from '../vitest.config.ts'

export default defineConfig({
  ...usual,
  test: { ...usual.test, globalSetup: ['test/mutants/given.ts'], reporters: ['json'], bail: 1 },
})
