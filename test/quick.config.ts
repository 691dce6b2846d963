/** `npm run test:quick`: what needs no server, no build, no database and no browser, in a few processes for all of it. */
import { defineConfig } from 'vitest/config'
import { quickTests } from './rig/quick.ts'
import usual from './vitest.config.ts'

const { globalSetup: _, ...test } = usual.test!

export default defineConfig({
  ...usual,
  test: {
    ...test,
    include: quickTests(),
    // A process for each file costs more than all that is in them.
    isolate: false,
    env: { ...test.env, TEST_QUICK: '1' },
  },
})
