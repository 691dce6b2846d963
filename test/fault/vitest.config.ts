/** The long run of the fault suite alone, one scenario at a time, with the report at the end. */
import { defineConfig } from 'vitest/config'
import usual from '../vitest.config.ts'

export default defineConfig({
  ...usual,
  test: {
    ...usual.test,
    include: ['test/fault/*.test.ts', 'test/hostile/*.test.ts', 'test/simulation/*.test.ts'],
    // It compares the table of faults with the report, which is under way.
    exclude: ['test/fault/readme.test.ts'],
    globalSetup: ['test/rig/onDemand.ts', 'test/fault/report.ts'],
    maxWorkers: 1,
    env: {
      ...usual.test?.env,
      // FAULT_LONG=0 makes the report of the short forms.
      FAULT_LONG: process.env.FAULT_LONG ?? '1',
      FAULT_RESULTS: 'test/fault/results.jsonl',
    },
  },
})
