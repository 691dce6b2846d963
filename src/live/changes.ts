/**
 * What a change means for sockets, for viewers, and for a HELLO under way, be it made over the API or found in the
 * database.
 */
import type { Access } from '../access/access.ts'
import type { Device } from '../core/device.ts'
import type { ShareRow } from '../core/directory.ts'
import type { Fleet } from '../core/fleet.ts'
import type { Withdrawal } from '../core/grant.ts'
import type { Ops } from '../ops/ops.ts'
import { CLOSE, type Close } from '../protocol/closes.ts'
import { encodeDeviceRecord, encodeGone } from '../protocol/encode.ts'
import type { DeviceJson, UserJson } from '../protocol/http.ts'
import type { Audience } from './audience.ts'
import type { Roster } from './roster.ts'
import type { Subscriptions } from './subscription.ts'

/** What is needed of whoever has the connections of devices. */
export interface Devices {
  /** `isMeant` looks at the hash of the key that the device came with. */
  closeDevice: (deviceId: number, reason: Close, isMeant?: (keyHash: string) => boolean) => void
  /** RATE, for each device that gained its first viewer or lost its last one. */
  tellRates: () => void
}

export interface ChangesOptions extends Pick<Devices, 'closeDevice'> {
  ops: Pick<Ops, 'faults'>
  access: Pick<Access, 'admission' | 'rights'>
  fleet: Fleet
  roster: Roster
  audience: Audience
  subscriptions: Pick<Subscriptions, 'forgetDevice'>
}

export type Changes = ReturnType<typeof createChanges>

export function createChanges(options: ChangesOptions) {
  const { ops, access, fleet, roster, audience, subscriptions, closeDevice } = options
  const { admission, rights } = access
  /** The latest change of each device whose record is being read, by a number that grows. */
  const reading = new Map<number, number>()
  let changes = 0
  return { onDevice, onDeviceKey, onDeviceGone, onDeviceWithdrawn, onUser, onShareEnded }

  /** The device is new, or was renamed, recoloured or paired. */
  function onDevice(row: DeviceJson): void {
    admission.noteChange(row.id)
    const device = fleet.get(row.id)
    if (device !== undefined) {
      device.profile = { name: row.name, color: row.color, platform: row.platform }
      device.isGone = false
    }
    tell(row).catch(ops.faults.judge)
  }

  /** Reads may be answered in another order than they were asked: what an older change has read must not be the last word. */
  async function tell({ id, userId }: DeviceJson): Promise<void> {
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
  function onDeviceKey(row: DeviceJson, keyHash: string): void {
    admission.noteChange(row.id)
    // A device that repeats its pairing may be connected with this very key.
    closeDevice(row.id, CLOSE.refused, (shown) => shown !== keyHash)
    if (row.isActive) onDevice(row)
  }

  /** The device was deleted or deactivated (D13). */
  function onDeviceGone(row: Pick<DeviceJson, 'id' | 'userId'>): void {
    admission.noteChange(row.id)
    roster.noteGone(row.id)
    const gone = encodeGone(row.id)
    audience.publish(row.userId, row.id, gone)
    audience.tellLagging(row.userId, row.id, gone)
    subscriptions.forgetDevice(row.id)
    const device = fleet.get(row.id)
    if (device === undefined) return
    device.isGone = true
    closeDevice(row.id, CLOSE.refused)
    fleet.forget(device)
  }

  /** The database's word on a device that is connected is for viewers as well. */
  function onDeviceWithdrawn(device: Device, keyHash: string, why: Withdrawal): void {
    if (why === 'gone') return onDeviceGone(device)
    admission.noteChange(device.id)
    closeDevice(device.id, CLOSE.refused, (shown) => shown === keyHash)
  }

  /** The user may be deactivated, active again, or no admin any more. */
  function onUser(user: UserJson): void {
    rights.userChanged(user)
    admission.noteUserChange(user.id)
  }

  function onShareEnded(share: ShareRow): void {
    rights.shareEnded(share)
  }
}
