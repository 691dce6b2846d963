/** What a sweep leaves behind of devices that nobody is connected with. */
import { expect, test } from 'vitest'
import { createBacklog } from '../../src/core/backlog.ts'
import { createFleet } from '../../src/core/fleet.ts'
import { createSweep } from '../../src/upkeep/sweep.ts'
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
    records: {
      findIdle: async () => [7],
      findLastPoints: async () => {},
      readDevice: async (id) => ({
        ...knownDevice({ id, sessions: [storedSession({ startedMs: NOW_MS })] }),
        isGone,
      }),
    },
    watchChanges: () => () => false,
    clock: { now: () => NOW_MS + 100 * HOUR_MS },
  })
  await sweep()
  expect(backlog.frames).toBe(1)
  expect(fleet.get(7)?.isGone).toBe(isGone)
})

test('a device that is changed while it is read is left to the next sweep', async () => {
  const fleet = createFleet({ ...LIMITS, idleDevicesMax: 1 })
  const backlog = createBacklog<never>(1)
  let changes = 0
  const sweep = createSweep({
    fleet,
    backlog,
    records: {
      findIdle: async () => [7],
      findLastPoints: async () => {},
      readDevice: async (id) => {
        const isFirst = changes === 0
        if (isFirst) changes += 1 // It is deleted now, and this read does not know yet.
        return { ...knownDevice({ id, sessions: [storedSession({ startedMs: NOW_MS })] }), isGone: !isFirst }
      },
    },
    watchChanges: () => {
      const before = changes
      return () => changes > before
    },
    clock: { now: () => NOW_MS + 100 * HOUR_MS },
  })
  await sweep()
  expect([backlog.frames, fleet.get(7)]).toEqual([0, undefined])
  await sweep()
  expect([backlog.frames, fleet.get(7)?.isGone]).toEqual([1, true])
})
