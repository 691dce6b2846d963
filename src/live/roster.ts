/** Devices as viewers are shown them: as they are in memory, and as the database knows them where they are not. */
import { LRUCache } from 'lru-cache'
import { recordOf } from '../core/device.ts'
import type { Fleet } from '../core/fleet.ts'
import type { DeviceRecord } from '../protocol/encode.ts'

/** Records of these devices as they are now, and the ids among them that nobody has read. */
export type Describe = (deviceIds: readonly number[]) => { records: DeviceRecord[]; unread: number[] }

/** What the database knows of devices. Both reject when it is away. */
export interface RosterRecords {
  /** Ids above `after` of the devices of these users (null: of everyone), active or not, in order, so many at most. */
  readIds: (userIds: readonly number[] | null, after: number, countMax: number) => Promise<Found[]>
  /** As of devices of which nothing was counted yet; the epoch is put right here. */
  readRecords: (ids: readonly number[]) => Promise<DeviceRecord[]>
}

export interface RosterOptions {
  fleet: Fleet
  records: RosterRecords
}

/** A device that is not deleted. */
export interface Found {
  id: number
  /** One that is not is shown to nobody, until it is. */
  isActive: boolean
}

const PAGE_MAX = 5_000
/** Devices deleted during a read that are remembered; a read takes milliseconds. */
const GONE_MAX = 10_000

/** Both functions reject when the database is away. */
export function createRoster({ fleet, records }: RosterOptions) {
  const gone = new LRUCache<number, number>({ max: GONE_MAX })
  let serial = 0
  return { find, describe, noteGone }

  async function find(userIds: readonly number[] | null): Promise<Found[]> {
    const devices: Found[] = []
    for (;;) {
      const page = await records.readIds(userIds, devices.at(-1)?.id ?? 0, PAGE_MAX)
      devices.push(...page)
      if (page.length < PAGE_MAX) return devices
    }
  }

  /**
   * Reads what is not in memory; the function that it resolves with adds what is, as it is at that moment, and says
   * which of the wanted ids were neither. Devices that are gone are left out.
   */
  async function describe(ids: readonly number[]): Promise<Describe> {
    const before = serial
    // Whoever has heard more of a device before it was forgotten would take a lower one for old news (V2).
    const epoch = fleet.epochMin
    const unheld = ids.filter((id) => fleet.get(id) === undefined)
    const rows = unheld.length === 0 ? [] : await records.readRecords(unheld)
    const read = new Map<number, DeviceRecord | null>(unheld.map((id) => [id, null]))
    for (const record of rows) read.set(record.deviceId, { ...record, epoch })
    return (wanted) => {
      const known: DeviceRecord[] = []
      const unread: number[] = []
      for (const id of wanted) {
        const device = fleet.get(id)
        if (device?.isGone || (gone.get(id) ?? 0) > before) continue
        const record = device === undefined ? read.get(id) : recordOf(device)
        if (record === undefined) unread.push(id)
        else if (record !== null) known.push(record)
      }
      return { records: known, unread }
    }
  }

  /** The device was deleted or deactivated: what a read under way has found of it does not count. */
  function noteGone(id: number): void {
    serial += 1
    gone.set(id, serial)
  }
}

export type Roster = ReturnType<typeof createRoster>
