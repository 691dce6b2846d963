/**
 * Retention: what is older than the limit goes, device by device, a few rows at a time and with rests between, so
 * that the writer never notices. How rows are deleted it does not know.
 */
import { type Clock, wait } from '../clock.ts'
import { forgetOld } from '../core/device.ts'
import type { Fleet } from '../core/fleet.ts'

/** Deletes so many rows of a device at most; resolves with how many there were. */
type Delete = (deviceId: number, oldestMs: number, rowsMax: number) => Promise<number>

/** What the database has that is old, and how it goes. All reject when it is away. */
export interface RetentionRecords {
  findOld: (
    after: number,
    countMax: number,
    oldestMs: number,
  ) => Promise<{ deviceId: number; hasPoints: boolean; hasSessions: boolean; hasRejected: boolean }[]>
  deletePoints: Delete
  deleteSessions: Delete
  deleteRejected: Delete
}

export interface RetentionOptions {
  retentionMs: number
  limits: { retentionRowsMax: number }
  fleet: Pick<Fleet, 'all'>
  counts: { pointsExpired: number; sessionsExpired: number; rejectedPointsExpired: number }
  records: RetentionRecords
  /** The writer is behind: nothing else should ask anything of the database. */
  isWriterBehind: () => boolean
  clock: Clock
}

const DEVICES_PER_LOOK = 100
/** Rests are so many times as long as the statement before. */
const REST_FACTOR = 3
const BEHIND_PAUSE_MS = 500

export function createRetention(options: RetentionOptions) {
  const { retentionMs, limits, fleet, counts, records, clock } = options
  let isRunning = false
  let isStopped = false
  let devicesSeen = 0
  let finishedMs = 0
  return {
    run,
    stop: () => {
      isStopped = true
    },
    gauges: () => ({ retentionDevices: devicesSeen, retentionFinishedMs: finishedMs }),
  }

  /** Looks at every device once. Rejects when the database is away; the next run begins anew. */
  async function run(): Promise<void> {
    if (isRunning) return
    isRunning = true
    try {
      const oldestMs = clock.now() - retentionMs
      await visit(oldestMs)
      // What is gone from the database must not be shown from memory.
      for (const device of fleet.all()) forgetOld(device, oldestMs)
      if (!isStopped) finishedMs = clock.now()
    } finally {
      isRunning = false
      devicesSeen = 0
    }
  }

  async function visit(oldestMs: number): Promise<void> {
    for (let after = 0; !isStopped; ) {
      const found = await gently(() => records.findOld(after, DEVICES_PER_LOOK, oldestMs))
      for (const { deviceId, hasPoints, hasSessions, hasRejected } of found) {
        if (hasPoints) counts.pointsExpired += await deleteAll(records.deletePoints, deviceId, oldestMs)
        if (hasSessions) counts.sessionsExpired += await deleteAll(records.deleteSessions, deviceId, oldestMs)
        if (hasRejected) {
          counts.rejectedPointsExpired += await deleteAll(records.deleteRejected, deviceId, oldestMs)
        }
        devicesSeen += 1
        after = deviceId
      }
      if (found.length < DEVICES_PER_LOOK) return
    }
  }

  async function deleteAll(remove: Delete, deviceId: number, oldestMs: number): Promise<number> {
    const rowsMax = limits.retentionRowsMax
    let rows = 0
    while (!isStopped) {
      const count = await gently(() => remove(deviceId, oldestMs, rowsMax))
      rows += count
      if (count < rowsMax) break
    }
    return rows
  }

  /** One statement, and a rest after it. */
  async function gently<Result>(statement: () => Promise<Result>): Promise<Result> {
    while (options.isWriterBehind() && !isStopped) await wait(clock, BEHIND_PAUSE_MS)
    const startedMs = clock.elapsed()
    const result = await statement()
    await wait(clock, Math.max(1, clock.elapsed() - startedMs) * REST_FACTOR)
    return result
  }
}

export type Retention = ReturnType<typeof createRetention>
