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
    all,
    pack,
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

  /** What the next part is about. They count as sent until `pack` puts back what did not fit. */
  function next(): number[] {
    const ids: number[] = []
    for (const set of [unsent, changed]) {
      for (const id of set) {
        if (ids.length === PART_DEVICES_MAX) return ids
        set.delete(id)
        changed.delete(id)
        ids.push(id)
      }
    }
    return ids
  }

  /** Everything that is left to say. */
  function all(): number[] {
    const ids = [...new Set([...unsent, ...changed])]
    unsent.clear()
    changed.clear()
    return ids
  }

  /** One part of the records; the ones that did not fit are to be sent later. */
  function pack(
    records: readonly DeviceRecord[],
    isFinal: boolean,
  ): { frame: Uint8Array; left: DeviceRecord[] } {
    const packed: Uint8Array[] = []
    let bytes = SNAP_HEAD_BYTES_MAX
    let count = 0
    while (count < records.length) {
      const record = encodeSnapDevice(records[count]!)
      bytes += record.length
      if (bytes > snapBytesMax && count > 0) break
      packed.push(record)
      count += 1
    }
    const left = records.slice(count)
    if (!isFinal) for (const { deviceId } of left) unsent.add(deviceId)
    const frame = encodeSnap(part, isFinal && left.length === 0, packed)
    part += 1
    return { frame, left }
  }

  /** The device is gone. */
  function drop(deviceId: number): void {
    unsent.delete(deviceId)
    changed.delete(deviceId)
  }
}
