/** Who may connect as a device: the key, the database's word on the device, and a clock that can be believed. */
import { LRUCache } from 'lru-cache'
import type { Device, KnownDevice } from './core/device.ts'
import type { Fleet } from './core/fleet.ts'
import { deviceIdOf, isDeviceKey } from './deviceKey.ts'
import { CLOSE, type Close } from './protocol/closes.ts'

export interface AdmissionOptions {
  fleet: Fleet
  /** Rejects when the database is away. */
  readDevice: (
    id: number,
  ) => Promise<(KnownDevice & { keyHash: string | null; isActive: boolean }) | undefined>
  /** When this build of the hub was made. */
  builtMs: number
  onAway: (error: unknown) => void
  now: () => number
}

/** How far the clock may be behind the newest point that is stored (D8). */
const BEHIND_MS_MAX = 60_000
/** Devices changed during a HELLO that are remembered; a HELLO takes milliseconds. */
const CHANGES_MAX = 10_000

export function createAdmission(options: AdmissionOptions) {
  const { fleet, now } = options
  const changes = new LRUCache<number, number>({ max: CHANGES_MAX })
  let serial = 0
  let newestReceivedMs = Number.NEGATIVE_INFINITY
  return { admit, noteChange, noteReceived }

  async function admit(deviceKey: string): Promise<{ device: Device } | { close: Close }> {
    const nowMs = now()
    if (nowMs < options.builtMs || nowMs < newestReceivedMs - BEHIND_MS_MAX)
      return { close: CLOSE.unavailable }
    const id = deviceIdOf(deviceKey)
    try {
      for (;;) {
        const before = serial
        // A key of no device is looked up and compared all the same: it must cost the same.
        const row = await options.readDevice(id ?? 0)
        const isKey = isDeviceKey(deviceKey, row?.keyHash ?? null)
        if ((changes.get(id ?? 0) ?? 0) > before) continue
        if (row === undefined || !isKey || !row.isActive) return { close: CLOSE.refused }
        return { device: fleet.hold(row, now()) }
      }
    } catch (error) {
      options.onAway(error)
      return { close: CLOSE.unavailable }
    }
  }

  /** The device was changed: what a HELLO under way has read of it does not count. */
  function noteChange(deviceId: number): void {
    serial += 1
    changes.set(deviceId, serial)
  }

  /** A point is stored that was received at that moment of the hub's clock. */
  function noteReceived(receivedMs: number): void {
    if (receivedMs > newestReceivedMs) newestReceivedMs = receivedMs
  }
}

export type Admission = ReturnType<typeof createAdmission>
