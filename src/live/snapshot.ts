/**
 * The snapshot of one viewer, in parts (V1, V4). It keeps which devices are still to be sent, and packs the next
 * part; when to send it is the pump's business.
 */
import { type DeviceRecord, encodeSnap, encodeSnapDevice, SNAP_HEAD_BYTES_MAX } from '../protocol/encode.ts'

export interface Snapshot {
  /** Devices that the complete snapshot under way has yet to show; null: none. */
  unsent: Set<number> | null
  /** Devices that changed since they were shown. The audience adds to them while the viewer is not live. */
  readonly changed: Set<number>
  /** The number of the next part. */
  part: number
}

/** More than fit into a part anyway. */
const PART_DEVICES_MAX = 1_000

export function createSnapshot(changed: Set<number>): Snapshot {
  return { unsent: null, changed, part: 0 }
}

/** Whether everything was shown once; what remains is what has changed since. */
export function isComplete({ unsent }: Snapshot): boolean {
  return unsent === null
}

/** A complete snapshot of these devices, from part 0. */
export function begin(snapshot: Snapshot, deviceIds: readonly number[]): void {
  snapshot.unsent = deviceIds.length === 0 ? null : new Set(deviceIds)
  snapshot.part = 0
}

/** What the next part is about. They count as sent unless they are put back. */
export function next(snapshot: Snapshot): number[] {
  const { unsent, changed } = snapshot
  const ids: number[] = []
  for (const id of unsent ?? changed) {
    if (ids.length === PART_DEVICES_MAX) break
    changed.delete(id)
    ids.push(id)
  }
  for (const id of ids) noteSent(snapshot, id)
  return ids
}

/** Everything that has changed since it was shown. */
export function rest({ changed }: Snapshot): number[] {
  const ids = [...changed]
  changed.clear()
  return ids
}

/** As many records as fit into a part of so many bytes, and the others. */
export function fit(
  records: readonly DeviceRecord[],
  snapBytesMax: number,
): { packed: Uint8Array[]; left: DeviceRecord[] } {
  const packed: Uint8Array[] = []
  let bytes = SNAP_HEAD_BYTES_MAX
  while (packed.length < records.length) {
    const record = encodeSnapDevice(records[packed.length]!)
    bytes += record.length
    if (bytes > snapBytesMax && packed.length > 0) break
    packed.push(record)
  }
  return { packed, left: records.slice(packed.length) }
}

/** What did not fit comes with the next part. */
export function putBack(snapshot: Snapshot, records: readonly DeviceRecord[]): void {
  if (records.length > 0) snapshot.unsent ??= new Set()
  for (const { deviceId } of records) snapshot.unsent!.add(deviceId)
}

/** The next part. */
export function nextPart(snapshot: Snapshot, packed: readonly Uint8Array[], isLast: boolean): Uint8Array {
  snapshot.part += 1
  return encodeSnap(snapshot.part - 1, isLast, packed)
}

/** The device is gone. */
export function drop(snapshot: Snapshot, deviceId: number): void {
  noteSent(snapshot, deviceId)
  snapshot.changed.delete(deviceId)
}

function noteSent(snapshot: Snapshot, deviceId: number): void {
  snapshot.unsent?.delete(deviceId)
  if (snapshot.unsent?.size === 0) snapshot.unsent = null
}
