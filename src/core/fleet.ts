/**
 * The devices in memory: those that are connected or have points in the backlog, and the ones that were here
 * last, up to a bound. A device that was forgotten is read from the database again.
 */
import { LRUCache } from 'lru-cache'
import { type Device, type DeviceLimits, deviceOf, type KnownDevice } from './device.ts'

export type Fleet = ReturnType<typeof createFleet>

export function createFleet(limits: DeviceLimits & { idleDevicesMax: number }) {
  const busy = new Map<number, Device>()
  // Above every epoch of a device that was forgotten: it may come back after the clock has gone back (D10).
  let epochMin = 0
  const idle = new LRUCache<number, Device>({
    max: Math.max(1, limits.idleDevicesMax),
    dispose: ({ epoch }) => {
      epochMin = Math.max(epochMin, epoch + 1)
    },
  })
  return {
    get,
    hold,
    pin,
    release,
    forget,
    all,
    /** No device that is not in memory had a later epoch, and none gets an earlier one. */
    get epochMin() {
      return epochMin
    },
    get count() {
      return busy.size + idle.size
    },
  }

  function get(id: number): Device | undefined {
    return busy.get(id) ?? idle.peek(id)
  }

  /** The device in memory, or the one that the database knows; it stays until released. */
  function hold(known: KnownDevice, nowMs: number): Device {
    const device = get(known.id) ?? deviceOf(known, Math.max(nowMs, epochMin), limits)
    device.profile = { name: known.name, color: known.color, platform: known.platform }
    pin(device)
    return device
  }

  /** Stays in memory until released. */
  function pin(device: Device): void {
    idle.delete(device.id)
    busy.set(device.id, device)
  }

  /** May be forgotten, if nothing of it is under way. */
  function release(device: Device): void {
    if (device.online || device.pendingFrames > 0 || busy.get(device.id) !== device) return
    busy.delete(device.id)
    idle.set(device.id, device)
    if (device.isGone) idle.delete(device.id)
  }

  function forget(device: Device): void {
    idle.delete(device.id)
    release(device)
  }

  function* all(): Iterable<Device> {
    yield* busy.values()
    yield* idle.values()
  }
}
