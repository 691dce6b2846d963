/**
 * The devices in memory: those that are connected or have points in the backlog, and the ones that were here
 * last, up to a bound. A device that was forgotten is read from the database again.
 */
import { LRUCache } from 'lru-cache'
import { createDevice, type Device, type DeviceLimits, type KnownDevice } from './device.ts'

export type Fleet = ReturnType<typeof createFleet>

export function createFleet(limits: DeviceLimits & { idleDevicesMax: number }) {
  const busy = new Map<number, Device>()
  const idle = new LRUCache<number, Device>({ max: Math.max(1, limits.idleDevicesMax) })
  return {
    get,
    hold,
    pin,
    release,
    forget,
    all,
    get count() {
      return busy.size + idle.size
    },
  }

  function get(id: number): Device | undefined {
    return busy.get(id) ?? idle.peek(id)
  }

  /** The device in memory, or the one that the database knows; it stays until released. */
  function hold(known: KnownDevice, nowMs: number): Device {
    const device = get(known.id) ?? createDevice(known, nowMs, limits)
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
    if (!device.isGone) idle.set(device.id, device)
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
