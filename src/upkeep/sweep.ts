/** Ends sessions that have been idle for too long, of devices in memory and of those that are not. */
import type { Clock } from '../clock.ts'
import type { Backlog } from '../core/backlog.ts'
import { type Device, endIdleSessions, type KnownDevice } from '../core/device.ts'
import type { Fleet } from '../core/fleet.ts'
import type { Session } from '../core/sessions.ts'

/** What the database knows of sessions that go on. All reject when it is away. */
export interface SweepRecords {
  /** Devices that may have idle sessions, as the database sees it: by id, after `after`, so many at most. */
  findIdle: (nowMs: number, countMax: number, after: number) => Promise<number[]>
  /** Looks for the last points of sessions, and tells them. */
  findLastPoints: (sessions: readonly Session[]) => Promise<void>
  readDevice: (id: number) => Promise<(KnownDevice & { isGone: boolean }) | undefined>
}

export interface SweepOptions<Owner> {
  fleet: Fleet
  backlog: Backlog<Owner>
  records: SweepRecords
  /** Returns whether a device was changed since this was called. */
  watchChanges: () => (deviceId: number) => boolean
  clock: Pick<Clock, 'now'>
}

const DEVICES_PER_SWEEP_MAX = 500

export function createSweep<Owner>(options: SweepOptions<Owner>) {
  const { fleet, backlog, records, clock } = options
  let isSweeping = false
  let after = 0
  return sweep

  /** Rejects when the database is away; the next one makes up for it. One at a time: nothing where one is under way. */
  async function sweep(): Promise<void> {
    if (isSweeping) return
    isSweeping = true
    try {
      for (const device of [...fleet.all()]) endIdle(device)
      for (const device of [...fleet.all()]) await look(device)
      await sweepOthers()
    } finally {
      isSweeping = false
    }
  }

  /** Devices that are not in memory, where the device's own clockwork above has decided already. */
  async function sweepOthers(): Promise<void> {
    const ids = await records.findIdle(clock.now(), DEVICES_PER_SWEEP_MAX, after)
    after = ids.length < DEVICES_PER_SWEEP_MAX ? 0 : ids.at(-1)!
    for (const id of ids) {
      if (fleet.get(id) !== undefined) continue
      const isChanged = options.watchChanges()
      const known = await records.readDevice(id)
      // Deleted, or active again, while it was read: the next sweep finds it as it is.
      if (known === undefined || isChanged(id)) continue
      const device = fleet.hold(known, clock.now())
      // Its sessions end, but nothing of it goes live (D13).
      if (known.isGone) device.isGone = true
      try {
        endIdle(device)
        await look(device)
      } finally {
        fleet.release(device)
      }
    }
  }

  /** Looks for what has to be known before sessions of the device may end, and ends them. */
  async function look(device: Device): Promise<void> {
    const unknown = device.book.sessions.filter(
      ({ id, status, isLastKnown }) => id !== 0 && status !== 'ended' && !isLastKnown,
    )
    if (unknown.length === 0) return
    await records.findLastPoints(unknown)
    // It may have been forgotten meanwhile, and read again.
    if (fleet.get(device.id) === device) endIdle(device)
  }

  function endIdle(device: Device): void {
    const nowMs = clock.now()
    const kept = endIdleSessions(device, nowMs)
    if (kept === null) return
    fleet.pin(device)
    backlog.offer({ device, owner: null, seq: 0, cost: 0, receivedMs: nowMs, kept })
  }
}
