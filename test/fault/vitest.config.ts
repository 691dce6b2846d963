/** The long run of the fault suite alone, one scenario at a time, with the report at the end. */
import { mergeConfig } from 'vitest/config'
import usual from '../vitest.config.ts'

export default mergeConfig(usual, {
  test: {
    maxWorkers: 1,
    globalSetup: ['test/fault/report.ts'],
    // FAULT_LONG=0 tries the same with the short forms.
    env: { FAULT_LONG: process.env.FAULT_LONG ?? '1', FAULT_RESULTS: 'test/fault/results.jsonl' },
  },
})
