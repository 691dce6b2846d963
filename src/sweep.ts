/** Ends sessions that have been idle for too long, of devices in memory and of those that are not. */
import type { Backlog } from './core/backlog.ts'
import { type Device, endIdleSessions, type KnownDevice } from './core/device.ts'
import type { Fleet } from './core/fleet.ts'

export interface SweepOptions<Owner> {
  fleet: Fleet
  backlog: Backlog<Owner>
  /** Devices with idle sessions, as the database sees it, so many at most. */
  findIdle: (nowMs: number, countMax: number) => Promise<number[]>
  readDevice: (id: number) => Promise<(KnownDevice & { isActive: boolean }) | undefined>
  now: () => number
}

const DEVICES_PER_SWEEP_MAX = 500

export function createSweep<Owner>({ fleet, backlog, findIdle, readDevice, now }: SweepOptions<Owner>) {
  return sweep

  /** Rejects when the database is away; the next one makes up for it. */
  async function sweep(): Promise<void> {
    for (const device of [...fleet.all()]) endIdle(device)
    for (const id of await findIdle(now(), DEVICES_PER_SWEEP_MAX)) {
      // In memory the device's own clockwork above has decided already.
      if (fleet.get(id) !== undefined) continue
      const known = await readDevice(id)
      if (known === undefined) continue
      const device = fleet.hold(known, now())
      // Its sessions end, but nothing of it goes live (D13).
      if (!known.isActive) device.isGone = true
      endIdle(device)
      fleet.release(device)
    }
  }

  function endIdle(device: Device): void {
    const nowMs = now()
    const kept = endIdleSessions(device, nowMs)
    if (kept === null) return
    fleet.pin(device)
    backlog.offer({ device, owner: null, seq: 0, cost: 0, receivedMs: nowMs, kept })
  }
}
