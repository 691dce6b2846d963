/** What a snapshot says of devices that the hub holds no more. */
import { expect, test } from 'vitest'
import { comeOnline } from '../../src/core/device.ts'
import { createFleet } from '../../src/core/fleet.ts'
import { createRoster } from '../../src/live/roster.ts'
import { knownDevice, LIMITS, NOW_MS } from '../core/frames.ts'

const PROFILE = { name: 'Bike', color: 'blue', platform: 'android' } as const

test('a device that was forgotten is shown with a later epoch than viewers have heard of, and none later than its next', async () => {
  const fleet = createFleet({ ...LIMITS, idleDevicesMax: 1 })
  const roster = createRoster({
    fleet,
    records: {
      readIds: async () => [],
      readRecords: async ([deviceId]) => [
        {
          ...PROFILE,
          deviceId: deviceId!,
          userId: 1,
          online: false,
          lastSeenMs: null,
          epoch: 0,
          n: 0,
          last: null,
        },
      ],
    },
  })
  const device = fleet.hold(knownDevice({ id: 7 }), NOW_MS)
  comeOnline(device, NOW_MS)
  device.online = false
  fleet.release(device)
  fleet.release(fleet.hold(knownDevice({ id: 8 }), NOW_MS))
  expect(fleet.get(7)).toBeUndefined()

  const [shown] = (await roster.describe([7]))([7]).records
  expect(shown!.epoch).toBeGreaterThan(device.epoch)
  expect(shown!.n).toBe(0)
  const again = fleet.hold(knownDevice({ id: 7 }), NOW_MS - 5_000)
  comeOnline(again, NOW_MS - 5_000)
  expect(again.epoch).toBeGreaterThanOrEqual(shown!.epoch)
})
