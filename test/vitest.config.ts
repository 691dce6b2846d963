/** How all tests run: each file in a process of its own, two at a time, and what they ask for is started once for all. */
import { randomInt } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

// One for the whole run, so that what the fault suite chose can be chosen again.
const { FAULT_SEED = String(randomInt(2 ** 31)) } = process.env
console.info(`FAULT_SEED=${FAULT_SEED}`)

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/rig/onDemand.ts'],
    pool: 'forks',
    maxWorkers: 2,
    env: { FAULT_SEED },
    // Only what hangs meets these: whatever a test waits for has a deadline of its own, and names it.
    testTimeout: 240_000,
    hookTimeout: 300_000,
  },
})
