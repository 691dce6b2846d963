/** Who may connect as a device: the key, the database's word on the device, and a clock that can be believed. */
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import type { Device, DeviceAccess, DeviceCredentials } from '../core/device.ts'
import type { Fleet } from '../core/fleet.ts'
import type { Ops } from '../ops/ops.ts'
import { CLOSE, type Close } from '../protocol/closes.ts'
import { deviceIdOf, isKeyHash, keyHashOf } from './deviceKey.ts'

/** A device that may connect, and the hash of the key that it showed. It is pinned, until whoever has it lets go. */
export interface Admitted {
  device: Device
  keyHash: string
}

export interface AdmissionOptions {
  fleet: Fleet
  limits: { keyTrustMs: number }
  /** Both reject when the database is away. */
  readAccess: (id: number) => Promise<DeviceAccess | undefined>
  readDevice: (id: number) => Promise<DeviceCredentials | undefined>
  ops: Pick<Ops, 'counts' | 'faults'>
  /** When this build of the hub was made. */
  builtMs: number
  clock: Pick<Clock, 'now' | 'elapsed'>
}

/** How far the clock may be behind the newest point that is stored (D8). */
const BEHIND_MS_MAX = 60_000
/** Devices changed during a HELLO that are remembered; a HELLO takes milliseconds. */
const CHANGES_MAX = 10_000
/** No device has it. A key of no device is looked up and compared all the same: it must cost the same. */
const NO_DEVICE = 0

/**
 * A key that the database has confirmed is remembered as long as its device is in memory, which the fleet bounds. It
 * lets the device in again without a question, so that a storm of reconnects costs the database next to nothing; the
 * question is asked afterwards, for all open sockets at once (rights.ts). A key that is not remembered costs the same
 * whether or not there is such a device.
 */
export function createAdmission(options: AdmissionOptions) {
  const { fleet, clock } = options
  const changes = new LRUCache<number, number>({ max: CHANGES_MAX })
  const remembered = new WeakMap<Device, string>()
  let serial = 0
  let everyoneChanged = 0
  let answeredMs = Number.NEGATIVE_INFINITY
  let newestReceivedMs = Number.NEGATIVE_INFINITY
  return {
    admit,
    noteAnswer,
    noteChange,
    noteUserChange,
    noteReceived,
    watchChanges,
    /** When the newest point that is stored was received. */
    newestReceivedMs: () => newestReceivedMs,
  }

  async function admit(deviceKey: string): Promise<Admitted | { close: Close }> {
    const nowMs = clock.now()
    if (nowMs < options.builtMs || nowMs < newestReceivedMs - BEHIND_MS_MAX)
      return { close: CLOSE.unavailable }
    const keyHash = keyHashOf(deviceKey)
    try {
      const device = await find(deviceIdOf(deviceKey) ?? NO_DEVICE, keyHash)
      return device === null ? { close: CLOSE.refused } : { device, keyHash }
    } catch (error) {
      options.ops.faults.judge(error)
      return { close: CLOSE.unavailable }
    }
  }

  async function find(id: number, keyHash: string): Promise<Device | null> {
    for (;;) {
      const isChanged = watchChanges()
      const held = fleet.get(id)
      if (held !== undefined && isTrusted(held, keyHash)) return trust(held)
      const access = await options.readAccess(id)
      if (isChanged(id)) continue
      noteAnswer()
      if (!isAllowed(access, keyHash)) return null
      const device = fleet.get(id)
      if (device !== undefined) return welcome(device, access, keyHash)
      const known = await options.readDevice(id)
      if (isChanged(id)) continue
      if (!isAllowed(known, keyHash)) return null
      return welcome(fleet.hold(known, clock.now()), known, keyHash)
    }
  }

  /** Memory is believed only while the database answers, for it must be possible to ask afterwards. */
  function isTrusted(device: Device, keyHash: string): boolean {
    const silentMs = clock.elapsed() - answeredMs
    return silentMs < options.limits.keyTrustMs && isKeyHash(keyHash, remembered.get(device) ?? null)
  }

  function trust(device: Device): Device {
    options.ops.counts.keysTrusted += 1
    fleet.pin(device)
    return device
  }

  function welcome(device: Device, access: DeviceAccess, keyHash: string): Device {
    device.profile = { name: access.name, color: access.color, platform: access.platform }
    remembered.set(device, keyHash)
    fleet.pin(device)
    return device
  }

  /** The database has answered about rights, and what it took back was heard of. */
  function noteAnswer(): void {
    answeredMs = clock.elapsed()
  }

  /** The device was changed: what is remembered of it, or what a HELLO under way has read, does not count. */
  function noteChange(deviceId: number): void {
    serial += 1
    changes.set(deviceId, serial)
    const device = fleet.get(deviceId)
    if (device !== undefined) remembered.delete(device)
  }

  /** The same for all devices of a user who was deactivated. */
  function noteUserChange(userId: number): void {
    serial += 1
    everyoneChanged = serial
    for (const device of fleet.all()) if (device.userId === userId) remembered.delete(device)
  }

  /** Returns whether a device was changed since this was called: what was read of it meanwhile does not count then. */
  function watchChanges(): (deviceId: number) => boolean {
    const before = serial
    return (deviceId) => Math.max(changes.get(deviceId) ?? 0, everyoneChanged) > before
  }

  /** A point is stored that was received at that moment of the hub's clock. */
  function noteReceived(receivedMs: number): void {
    if (receivedMs > newestReceivedMs) newestReceivedMs = receivedMs
  }
}

function isAllowed<A extends DeviceAccess>(access: A | undefined, keyHash: string): access is A {
  // Compared first, and always.
  return isKeyHash(keyHash, access?.keyHash ?? null) && access!.isActive
}

export type Admission = ReturnType<typeof createAdmission>
