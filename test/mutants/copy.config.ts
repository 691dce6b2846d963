/** How tests run in the copy: on the databases of whoever made the copy, and no longer than the first failure. */
import { defineConfig } from 'vitest/config'
import usual from '../vitest.config.ts'

export default defineConfig({
  ...usual,
  test: { ...usual.test, globalSetup: ['test/mutants/given.ts'], reporters: ['json'], bail: 1 },
})
