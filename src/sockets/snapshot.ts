/**
 * The snapshot of one viewer, in parts (V1, V4). It keeps which devices are still to be sent, and packs the next
 * part; when to send it is the viewer socket's business.
 */
import { type DeviceRecord, encodeSnap, encodeSnapDevice, SNAP_HEAD_BYTES_MAX } from '../protocol/encode.ts'

/** More than fit into a part anyway. */
const PART_DEVICES_MAX = 1_000

export type Snapshot = ReturnType<typeof createSnapshot>

/** `changed` is shared with the audience, which adds to it while the snapshot is under way. */
export function createSnapshot(changed: Set<number>, snapBytesMax: number) {
  // Devices that the complete snapshot under way has yet to show.
  let unsent = new Set<number>()
  let part = 0
  return {
    begin,
    next,
    rest,
    pack,
    putBack,
    frame,
    drop,
    /** Whether everything was shown once; what remains is what has changed since. */
    get isComplete() {
      return unsent.size === 0
    },
  }

  /** A complete snapshot of these devices, from part 0. */
  function begin(deviceIds: Iterable<number>): void {
    unsent = new Set(deviceIds)
    part = 0
  }

  /** What the next part is about. They count as sent unless they are put back. */
  function next(): number[] {
    const ids: number[] = []
    const source = unsent.size > 0 ? unsent : changed
    for (const id of source) {
      if (ids.length === PART_DEVICES_MAX) break
      unsent.delete(id)
      changed.delete(id)
      ids.push(id)
    }
    return ids
  }

  /** Everything that has changed since it was shown. */
  function rest(): number[] {
    const ids = [...changed]
    changed.clear()
    return ids
  }

  /** As many records as fit into a part, and the others. */
  function pack(records: readonly DeviceRecord[]): { packed: Uint8Array[]; left: DeviceRecord[] } {
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
  function putBack(records: readonly DeviceRecord[]): void {
    for (const { deviceId } of records) unsent.add(deviceId)
  }

  /** The next part. */
  function frame(packed: readonly Uint8Array[], isLast: boolean): Uint8Array {
    part += 1
    return encodeSnap(part - 1, isLast, packed)
  }

  /** The device is gone. */
  function drop(deviceId: number): void {
    unsent.delete(deviceId)
    changed.delete(deviceId)
  }
}
