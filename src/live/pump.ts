/**
 * Sends a viewer its snapshot in parts, each after the TICK behind the one before is answered, and then lets it into the
 * live stream (V1, V4). Which devices it is of, it is told.
 */
import * as lanes from '../core/lane.ts'
import type { Ops } from '../ops/ops.ts'
import type { DeviceRecord } from '../protocol/encode.ts'
import type { Audience, Listener } from './audience.ts'
import type { Roster } from './roster.ts'
import * as snapshots from './snapshot.ts'
import type { Ticks } from './ticks.ts'

/** A viewer as the pump sees it: plain data, for there are thousands. */
export interface Pumped extends Listener {
  lane: lanes.Lane
  snapshot: snapshots.Snapshot
  /** Grows with every SUB and RESYNC, so that an answer to an older one is dropped. */
  request: number
  /** The devices of the snapshot are still being looked up. */
  isPreparing: boolean
  isPumping: boolean
  hasLostFrames: boolean
}

export interface PumpOptions {
  limits: { snapBytesMax: number }
  ops: Pick<Ops, 'counts' | 'faults'>
  audience: Audience
  roster: Pick<Roster, 'describe'>
  ticks: Ticks
}

export type Pump = ReturnType<typeof createPump>

export function createPump({ limits, ops, audience, roster, ticks }: PumpOptions) {
  const { counts, faults } = ops
  return { pump, sendTick, demote }

  /** Sends the next part; rejects when the database is away. Nothing where the viewer is not ready for one. */
  async function pump(viewer: Pumped): Promise<void> {
    if (viewer.isPreparing || viewer.isPumping || viewer.lane.isLive || !lanes.isClear(viewer.lane)) return
    viewer.isPumping = true
    const { request, snapshot } = viewer
    try {
      const wasComplete = snapshots.isComplete(snapshot)
      const ids = snapshots.next(snapshot)
      const describe = await roster.describe(ids)
      if (viewer.request !== request || !viewer.peer.isOpen) return
      // From here to the end nothing waits, so no change can slip between the records and the live stream.
      const wanted = describe(ids)
      const { packed, left } = snapshots.fit(wanted.records, limits.snapBytesMax)
      const isShown = wasComplete || (snapshots.isComplete(snapshot) && left.length === 0)
      // What changed meanwhile, and was not read: it has to be before the viewer goes live. The same with what was in
      // memory before the read, and is not any more.
      const { records, unread } = describe(snapshots.rest(snapshot))
      unread.push(...wanted.unread)
      if (isShown && lanes.mayReturn(viewer.lane) && unread.length === 0) {
        finish(viewer, packed, [...left, ...records])
      } else {
        for (const { deviceId } of records) viewer.changed.add(deviceId)
        for (const deviceId of unread) viewer.changed.add(deviceId)
        snapshots.putBack(snapshot, left)
        if (packed.length > 0) sendPart(viewer, packed, false)
      }
      sendTick(viewer)
    } finally {
      viewer.isPumping = false
      // The subscription changed while its predecessor was being read.
      if (viewer.request !== request) faults.guard(pump(viewer), viewer.peer)
    }
  }

  /** The last parts all at once: what has changed meanwhile, which with moving devices would never be nothing. */
  function finish(viewer: Pumped, packed: Uint8Array[], records: DeviceRecord[]): void {
    let rest = { packed, left: records }
    while (rest.left.length > 0) {
      sendPart(viewer, rest.packed, false)
      rest = snapshots.fit(rest.left, limits.snapBytesMax)
    }
    sendPart(viewer, rest.packed, true)
    if (viewer.lane.isDemoted) counts.viewersReturned += 1
    lanes.goLive(viewer.lane)
    audience.goLive(viewer)
  }

  function sendPart(viewer: Pumped, packed: Uint8Array[], isLast: boolean): void {
    counts.snapshotsSent += 1
    if (!viewer.peer.send(snapshots.nextPart(viewer.snapshot, packed, isLast))) viewer.hasLostFrames = true
  }

  function sendTick(viewer: Pumped): void {
    if (!ticks.send(viewer)) viewer.hasLostFrames = true
  }

  /** Out of the live stream, until it keeps up again. */
  function demote(viewer: Pumped): void {
    counts.viewersDemoted += 1
    lanes.demote(viewer.lane, ticks.attendedMs())
    audience.leaveLive(viewer)
  }
}
