/** What a change made over the API means for sockets, for viewers, and for a HELLO under way. */
import type { Admission } from '../access/admission.ts'
import type { Rights } from '../access/rights.ts'
import type { DeviceRow, ShareRow, UserRow } from '../core/directory.ts'
import type { Fleet } from '../core/fleet.ts'
import { CLOSE } from '../protocol/closes.ts'
import { encodeDeviceRecord, encodeGone } from '../protocol/encode.ts'
import type { DeviceSocket } from '../sockets/device.ts'
import type { ViewerSocket } from '../sockets/viewer.ts'
import type { Audience } from './audience.ts'
import type { Roster } from './roster.ts'

export interface ChangesOptions {
  fleet: Fleet
  roster: Roster
  admission: Admission
  audience: Audience
  devices: DeviceSocket
  viewers: ViewerSocket
  rights: Rights
  onAway: (error: unknown) => void
}

export function createChanges(options: ChangesOptions) {
  const { fleet, roster, admission, audience, devices, viewers, rights } = options
  /** The latest change of each device whose record is being read, by a number that grows. */
  const reading = new Map<number, number>()
  let changes = 0
  return { onDevice, onDeviceKey, onDeviceGone, onUser, onShareEnded }

  /** The device is new, or was renamed, recoloured or paired. */
  function onDevice(row: DeviceRow): void {
    admission.noteChange(row.id)
    const device = fleet.get(row.id)
    if (device !== undefined) {
      device.profile = { name: row.name, color: row.color, platform: row.platform }
      device.isGone = false
    }
    tell(row).catch(options.onAway)
  }

  /** Reads may be answered in another order than they were asked: what an older change has read must not be the last word. */
  async function tell({ id, userId }: DeviceRow): Promise<void> {
    changes += 1
    const own = changes
    reading.set(id, own)
    try {
      const describe = await roster.describe([id])
      const [record] = describe([id]).records
      if (record && reading.get(id) === own) audience.publish(userId, id, encodeDeviceRecord(record))
    } finally {
      if (reading.get(id) === own) reading.delete(id)
    }
  }

  /** The key with this hash is the only one of the device from now on. */
  function onDeviceKey(row: DeviceRow, keyHash: string): void {
    admission.noteChange(row.id)
    // A device that repeats its pairing may be connected with this very key.
    devices.closeDevice(row.id, CLOSE.refused, (shown) => shown !== keyHash)
    if (row.isActive) onDevice(row)
  }

  /** The device was deleted or deactivated (D13). */
  function onDeviceGone(row: Pick<DeviceRow, 'id' | 'userId'>): void {
    admission.noteChange(row.id)
    roster.noteGone(row.id)
    const gone = encodeGone(row.id)
    audience.publish(row.userId, row.id, gone)
    audience.tellLagging(row.userId, row.id, gone)
    viewers.forgetDevice(row.id)
    const device = fleet.get(row.id)
    if (device === undefined) return
    device.isGone = true
    devices.closeDevice(row.id, CLOSE.refused)
    fleet.forget(device)
  }

  /** The user may be deactivated, active again, or no admin any more. */
  function onUser(user: UserRow): void {
    rights.userChanged(user)
    admission.noteUserChange(user.id)
  }

  function onShareEnded(share: ShareRow): void {
    rights.shareEnded(share)
  }
}
