/** Which devices stay in memory, and which may be forgotten. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { comeOnline, type Device } from '../../src/core/device.ts'
import { createFleet, type Fleet } from '../../src/core/fleet.ts'
import { HOUR_MS, knownDevice, LIMITS, NOW_MS } from './frames.ts'

const newFleet = (idleDevicesMax = 2) => createFleet({ ...LIMITS, idleDevicesMax })

function hold(fleet: Fleet, id: number): Device {
  return fleet.hold(knownDevice({ id }), NOW_MS)
}

const idsOf = (fleet: Fleet) => [...fleet.all()].map(({ id }) => id).sort()

describe('a device that connects', () => {
  test('is found from then on', () => {
    const fleet = newFleet()
    expect(fleet.get(7)).toBeUndefined()
    const device = hold(fleet, 7)
    expect(fleet.get(7)).toBe(device)
  })

  test('is the one in memory, with its count, and what the database calls it now', () => {
    const fleet = newFleet()
    const device = hold(fleet, 7)
    comeOnline(device, NOW_MS + 5)
    const again = fleet.hold(knownDevice({ id: 7, name: 'bus', color: 'red' }), NOW_MS + 9)
    expect(again).toBe(device)
    expect(again.epoch).toBe(NOW_MS + 5)
    expect(again.profile).toEqual({ name: 'bus', color: 'red', platform: 'android' })
  })

  test('is the one in memory also when it was idle, and is not forgotten then', () => {
    const fleet = newFleet(1)
    const device = hold(fleet, 1)
    fleet.release(device)
    expect(hold(fleet, 1)).toBe(device)
    for (const id of [2, 3, 4]) fleet.release(hold(fleet, id))
    expect(fleet.get(1)).toBe(device)
  })
})

describe('a device stays', () => {
  test('while it is online', () => {
    const fleet = newFleet(1)
    const device = hold(fleet, 1)
    comeOnline(device, NOW_MS)
    fleet.release(device)
    for (const id of [2, 3, 4]) fleet.release(hold(fleet, id))
    expect(fleet.get(1)).toBe(device)
  })

  test('while frames of it are under way', () => {
    const fleet = newFleet(1)
    const device = hold(fleet, 1)
    device.pendingFrames = 1
    fleet.release(device)
    for (const id of [2, 3, 4]) fleet.release(hold(fleet, id))
    expect(fleet.get(1)).toBe(device)
    device.pendingFrames = 0
    fleet.release(device)
    for (const id of [2, 3, 4]) fleet.release(hold(fleet, id))
    expect(fleet.get(1)).toBeUndefined()
  })

  test('while it is pinned', () => {
    const fleet = newFleet(1)
    const device = hold(fleet, 1)
    fleet.release(device)
    fleet.pin(device)
    for (const id of [2, 3, 4]) fleet.release(hold(fleet, id))
    expect(fleet.get(1)).toBe(device)
  })
})

describe('an idle device', () => {
  test('is still found, and gives way to those released after it', () => {
    const fleet = newFleet(2)
    for (const id of [1, 2, 3]) hold(fleet, id)
    for (const id of [2, 1, 3]) fleet.release(fleet.get(id)!)
    expect(idsOf(fleet)).toEqual([1, 3])
    expect(fleet.count).toBe(2)
  })

  test('stays no longer for being looked at', () => {
    const fleet = newFleet(2)
    for (const id of [1, 2]) fleet.release(hold(fleet, id))
    fleet.get(1)
    fleet.release(hold(fleet, 3))
    expect(idsOf(fleet)).toEqual([2, 3])
  })
})

test('a device that was forgotten comes back with a higher epoch, also when the clock has gone back since', () => {
  const fleet = newFleet(1)
  const device = hold(fleet, 1)
  comeOnline(device, NOW_MS)
  device.online = false
  fleet.release(device)
  fleet.release(hold(fleet, 2))
  expect(fleet.get(1)).toBeUndefined()
  const again = fleet.hold(knownDevice({ id: 1 }), NOW_MS - 5_000)
  comeOnline(again, NOW_MS - 5_000)
  expect(again.epoch).toBeGreaterThan(device.epoch)
})

test('a device has a higher epoch also when others with lower ones were forgotten after it', () => {
  const fleet = newFleet(1)
  const [device, ...others] = [1, 2, 3].map((id) => hold(fleet, id))
  comeOnline(device!, NOW_MS + HOUR_MS)
  device!.online = false
  for (const one of [device!, ...others]) fleet.release(one)
  expect(idsOf(fleet)).toEqual([3])
  const again = hold(fleet, 1)
  comeOnline(again, NOW_MS)
  expect(again.epoch).toBeGreaterThan(device!.epoch)
})

test('a device that was deactivated comes back with a higher epoch, also when the clock has gone back since', () => {
  const fleet = newFleet()
  const device = hold(fleet, 1)
  comeOnline(device, NOW_MS + HOUR_MS)
  device.isGone = true
  device.online = false
  fleet.release(device)
  expect(fleet.get(1)).toBeUndefined()
  const again = hold(fleet, 1)
  comeOnline(again, NOW_MS)
  expect(again.epoch).toBeGreaterThan(device.epoch)
})

describe('a deleted device', () => {
  test('is forgotten when it was idle', () => {
    const fleet = newFleet()
    const device = hold(fleet, 1)
    fleet.release(device)
    device.isGone = true
    fleet.forget(device)
    expect(fleet.get(1)).toBeUndefined()
    expect(fleet.count).toBe(0)
  })

  test('stays until its frames are stored and its socket is closed, and no longer', () => {
    const fleet = newFleet()
    const device = hold(fleet, 1)
    comeOnline(device, NOW_MS)
    device.pendingFrames = 1
    device.isGone = true
    fleet.forget(device)
    expect(fleet.get(1)).toBe(device)
    device.online = false
    fleet.release(device)
    expect(fleet.get(1)).toBe(device)
    device.pendingFrames = 0
    fleet.release(device)
    expect(fleet.get(1)).toBeUndefined()
  })
})

test('releasing a device that was forgotten does not touch its successor', () => {
  const fleet = newFleet(1)
  const forgotten = hold(fleet, 1)
  fleet.release(forgotten)
  fleet.release(hold(fleet, 2))
  const successor = hold(fleet, 1)
  expect(successor).not.toBe(forgotten)
  fleet.release(forgotten)
  for (const id of [3, 4]) fleet.release(hold(fleet, id))
  expect(fleet.get(1)).toBe(successor)
})

test('whatever comes and goes, busy devices stay, idle ones have a bound, and each is listed once', () => {
  const deed = fc.record({
    id: fc.integer({ min: 1, max: 8 }),
    do: fc.constantFrom('connect', 'drop', 'offer', 'store'),
  })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(deed, { maxLength: 60 }), (idleMax, deeds) => {
      const fleet = newFleet(idleMax)
      const busy = new Map<number, Device>()
      for (const { id, do: what } of deeds) {
        const device = fleet.get(id) ?? hold(fleet, id)
        fleet.pin(device)
        if (what === 'connect') comeOnline(device, NOW_MS)
        if (what === 'drop') device.online = false
        if (what === 'offer') device.pendingFrames += 1
        if (what === 'store') device.pendingFrames = 0
        if (device.online || device.pendingFrames > 0) busy.set(id, device)
        else busy.delete(id)
        fleet.release(device)
        for (const [busyId, one] of busy) expect(fleet.get(busyId)).toBe(one)
        const ids = idsOf(fleet)
        expect(new Set(ids).size).toBe(ids.length)
        expect(ids).toHaveLength(fleet.count)
        expect(fleet.count - busy.size).toBeLessThanOrEqual(idleMax)
      }
    }),
  )
})
