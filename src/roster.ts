/** Devices as viewers are shown them: as they are in memory, and as the database knows them where they are not. */
import { recordOf } from './core/device.ts'
import type { Fleet } from './core/fleet.ts'
import type { DeviceRecord } from './protocol/encode.ts'

export interface RosterOptions {
  fleet: Fleet
  /** Ids above `after` of the devices of these users (null: of everyone), in order, so many at most. */
  readIds: (userIds: readonly number[] | null, after: number, countMax: number) => Promise<{ id: number }[]>
  readRecords: (ids: readonly number[]) => Promise<DeviceRecord[]>
}

const PAGE_MAX = 5_000

/** Both functions reject when the database is away. */
export function createRoster({ fleet, readIds, readRecords }: RosterOptions) {
  return { find, describe }

  async function find(userIds: readonly number[] | null): Promise<number[]> {
    const ids: number[] = []
    for (;;) {
      const found = await readIds(userIds, ids.at(-1) ?? 0, PAGE_MAX)
      for (const { id } of found) ids.push(id)
      if (found.length < PAGE_MAX) return ids
    }
  }

  /**
   * Reads what is not in memory; the function that it resolves with adds what is, as it is at that moment. Devices
   * that are gone are left out.
   */
  async function describe(ids: readonly number[]): Promise<(wanted: readonly number[]) => DeviceRecord[]> {
    const unheld = ids.filter((id) => fleet.get(id) === undefined)
    const rows = unheld.length === 0 ? [] : await readRecords(unheld)
    const records = new Map(rows.map((record) => [record.deviceId, record]))
    return (wanted) =>
      wanted.flatMap((id) => {
        const device = fleet.get(id)
        if (device !== undefined) return device.isGone ? [] : [recordOf(device)]
        return records.get(id) ?? []
      })
  }
}

export type Roster = ReturnType<typeof createRoster>
