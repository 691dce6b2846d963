/** What a sweep leaves behind of devices that nobody is connected with. */
import { expect, test } from 'vitest'
import { createBacklog } from '../../src/core/backlog.ts'
import { createFleet } from '../../src/core/fleet.ts'
import { createSweep } from '../../src/sweep.ts'
import { HOUR_MS, knownDevice, LIMITS, NOW_MS, storedSession } from '../core/frames.ts'

/** Until its last words are stored it stays in memory, and may come back before that. */
test.each([
  { of: 'a device that is gone', isGone: true },
  { of: 'a device whose user is deactivated', isGone: false },
])('the end of a session of $of is stored, and only what is gone counts as gone', async ({ isGone }) => {
  const fleet = createFleet({ ...LIMITS, idleDevicesMax: 1 })
  const backlog = createBacklog<never>(1)
  const sweep = createSweep({
    fleet,
    backlog,
    findIdle: async () => [7],
    findLastPoints: async () => {},
    readDevice: async (id) => ({
      ...knownDevice({ id, sessions: [storedSession({ startedMs: NOW_MS })] }),
      isGone,
    }),
    now: () => NOW_MS + 100 * HOUR_MS,
  })
  await sweep()
  expect(backlog.frames).toBe(1)
  expect(fleet.get(7)?.isGone).toBe(isGone)
})
