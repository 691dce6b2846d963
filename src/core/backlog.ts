/**
 * Kept frames on their way to the writer, in lanes. A device stays in one lane while anything of it is there,
 * so its frames are stored in the order they came and "everything up to seq N" is simply the last one taken.
 * Its bound is the credit that was granted (credit.ts): a frame within a window is always taken.
 */
import type { Device, Kept } from './device.ts'
import type { Session } from './sessions.ts'

export interface BacklogEntry<Owner> {
  device: Device
  /** Whom to acknowledge to, or null when the hub itself made the entry. */
  owner: Owner | null
  seq: number
  /** Points of the frame as they count in the window; 1 for a SESSION frame, 0 without an owner. */
  cost: number
  receivedMs: number
  kept: Kept
}

/** Entries that are finished: everything in them is committed, or listed as rejected. */
export interface Stored<Owner> {
  entries: BacklogEntry<Owner>[]
  /** Sessions that were written before the points. */
  sessions: Session[]
  rows: number
  /** Rows that were new; the rest were there already or refused. */
  inserted: number
  /** Rows that the database refused, by device. */
  refused: Map<number, number>
  tookMs: number
}

export type Backlog<Owner> = ReturnType<typeof createBacklog<Owner>>

/** A device whose points the database refuses shares this extra lane with its like. */
export const SIDE_LANE = 0

export function createBacklog<Owner>(lanes: number) {
  const waiting: BacklogEntry<Owner>[][] = Array.from({ length: lanes + 1 }, () => [])
  const wakers: (() => void)[] = []
  const laneOf = new Map<number, number>()
  const suspects = new Set<number>()
  let points = 0
  let frames = 0
  return {
    offer,
    take,
    done,
    onOffer,
    suspect,
    oldestMs,
    laneCount: lanes + 1,
    /** Points offered and not yet done. */
    get points() {
      return points
    },
    get frames() {
      return frames
    },
  }

  function offer(entry: BacklogEntry<Owner>): void {
    const { device } = entry
    let lane = laneOf.get(device.id)
    if (lane === undefined) {
      lane = suspects.has(device.id) ? SIDE_LANE : 1 + (device.id % lanes)
      laneOf.set(device.id, lane)
    }
    device.pendingFrames += 1
    device.pendingPoints += entry.cost
    frames += 1
    points += entry.cost
    waiting[lane]!.push(entry)
    wakers[lane]?.()
  }

  /**
   * The oldest entries of a lane, whole frames, up to `rowsMax` rows (or a single larger frame). A frame without points
   * counts as one: it has a session to write.
   */
  function take(lane: number, rowsMax: number): BacklogEntry<Owner>[] {
    const queue = waiting[lane]!
    let rows = 0
    let count = 0
    while (count < queue.length) {
      rows += Math.max(1, queue[count]!.kept.count)
      if (count > 0 && rows > rowsMax) break
      count += 1
    }
    if (count === queue.length) {
      waiting[lane] = []
      return queue
    }
    return queue.splice(0, count)
  }

  /** An entry is committed, or listed as rejected. */
  function done(entry: BacklogEntry<Owner>): void {
    const { device } = entry
    device.pendingFrames -= 1
    device.pendingPoints -= entry.cost
    frames -= 1
    points -= entry.cost
    if (device.pendingFrames === 0) laneOf.delete(device.id)
  }

  function onOffer(lane: number, wake: () => void): void {
    wakers[lane] = wake
  }

  /** From its next idle moment on the device uses the side lane, or the ordinary ones again. */
  function suspect(deviceId: number, isSuspect: boolean): void {
    if (isSuspect) suspects.add(deviceId)
    else suspects.delete(deviceId)
  }

  /** When the oldest entry of a lane that nobody has taken was received; null where none waits. */
  function oldestMs(lane: number): number | null {
    return waiting[lane]![0]?.receivedMs ?? null
  }
}
