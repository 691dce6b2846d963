/**
 * What a viewer shows: the devices it may see, kept up to date by counted frames and snapshots
 * (PROTOCOL.md V1 to V3). It decides what a frame changes and where one is missing; asking the hub again is
 * left to viewer.ts.
 */
import {
  AT,
  type DeviceColor,
  type DevicePlatform,
  POINT_STRIDE,
  type SessionStatus,
  TYPE,
} from '../protocol/messages.ts'
import type { CountedFrame, SnapDevice } from './frames.ts'
import { fromWire, type SeenPoint } from './points.ts'

/** A device as the viewer knows it now. The object lives as long as the device is shown, and changes. */
export interface DeviceView {
  readonly deviceId: number
  userId: number
  name: string
  color: DeviceColor
  platform: DevicePlatform
  online: boolean
  lastSeenMs: number | null
  /** The newest session heard of. `startedMs` of one that the hub made itself is provisional. */
  session: { startedMs: number; status: SessionStatus } | null
  /** The newest point. */
  last: SeenPoint | null
}

/** What became different by one frame. */
export type Change =
  | { type: 'points'; device: DeviceView; session: number; points: SeenPoint[] }
  | { type: 'presence'; device: DeviceView }
  | {
      type: 'session'
      device: DeviceView
      sessionId: number
      session: number
      status: SessionStatus
      endedMs: number | null
    }
  /** Older points of this span are now in the history. */
  | { type: 'backfilled'; device: DeviceView; fromMs: number; toMs: number }
  /** New, or renamed, recoloured, paired again. */
  | { type: 'device'; device: DeviceView }
  | { type: 'gone'; deviceId: number }
  /** One frame of a snapshot brought these up to date; points in between are not seen one by one. */
  | { type: 'updated'; devices: DeviceView[] }
  /** A complete snapshot is applied: these are all devices. */
  | { type: 'snapshot'; devices: DeviceView[] }

/**
 * One closure, for each frame moves the devices, their counts, the holes and the snapshot under way together: none of the
 * four may be seen without the others.
 */
export function createPicture() {
  const devices = new Map<number, DeviceView>()
  /** Where each device's count stands on this connection. */
  const positions = new Map<number, { epoch: number; n: number }>()
  /** The `sessionId` of the session shown of a device, once a SESSION has said it: its start may still move. */
  const sessionIds = new Map<number, number>()
  /** Devices with a frame missing, until a snapshot covers it. */
  const holes = new Set<number>()
  /** A complete snapshot on its way: its next part, and the devices it has shown. */
  let snapshot: { nextPart: number; seen: Set<number> } | null = null

  return {
    devices: devices as ReadonlyMap<number, DeviceView>,
    begin,
    counted,
    snap,
    device,
    gone,
    get hasHole() {
      return holes.size > 0
    },
  }

  /** A new connection: another hub may answer, so only its snapshot says where the counts stand. */
  function begin(): void {
    positions.clear()
    holes.clear()
    snapshot = null
  }

  function counted(frame: CountedFrame): Change | null {
    const { deviceId, epoch, n } = frame
    const held = positions.get(deviceId)
    const view = devices.get(deviceId)
    if (!held || !view) {
      holes.add(deviceId)
      return null
    }
    if (epoch < held.epoch || (epoch === held.epoch && n <= held.n)) return null
    // What comes after a hole is still news. Only what was missed has to be fetched.
    if (n !== (epoch === held.epoch ? held.n + 1 : 1)) holes.add(deviceId)
    held.epoch = epoch
    held.n = n
    return apply(view, frame)
  }

  function apply(view: DeviceView, frame: CountedFrame): Change | null {
    switch (frame.type) {
      case TYPE.live:
        return live(view, frame.session, frame.values)
      case TYPE.presence:
        view.online = frame.online
        view.lastSeenMs = frame.lastSeenMs
        return { type: 'presence', device: view }
      case TYPE.sessionChange: {
        const { sessionId, session, status, endedMs } = frame
        // An older session may still be ended while a newer one is shown.
        const isShown = sessionId === sessionIds.get(frame.deviceId)
        if (isShown || !view.session || session >= view.session.startedMs) {
          view.session = { startedMs: session, status }
          sessionIds.set(frame.deviceId, sessionId)
        }
        return { type: 'session', device: view, sessionId, session, status, endedMs }
      }
      case TYPE.backfilled:
        return { type: 'backfilled', device: view, fromMs: frame.fromMs, toMs: frame.toMs }
    }
  }

  function live(view: DeviceView, session: number, values: Float64Array): Change | null {
    const points: SeenPoint[] = []
    for (let offset = 0; offset < values.length; offset += POINT_STRIDE) {
      if (view.last && values[offset + AT.recordedMs]! <= view.last.recordedMs) continue
      view.last = fromWire(values, offset, session)
      points.push(view.last)
    }
    if (points.length === 0) return null
    if (view.session?.startedMs !== session) {
      view.session = { startedMs: session, status: 'active' }
      sessionIds.delete(view.deviceId)
    }
    return { type: 'points', device: view, session, points }
  }

  /**
   * Part 0 begins a complete snapshot, which ends with `last`; what it does not show is gone. Any other
   * part only updates.
   */
  function snap(part: number, last: boolean, records: readonly SnapDevice[]): Change[] {
    if (part === 0) snapshot = { nextPart: 0, seen: new Set() }
    if (snapshot && part !== snapshot.nextPart) snapshot = null
    const updated: DeviceView[] = []
    for (const record of records) {
      snapshot?.seen.add(record.deviceId)
      if (replace(record)) updated.push(devices.get(record.deviceId)!)
    }
    const changes: Change[] = updated.length > 0 ? [{ type: 'updated', devices: updated }] : []
    if (!snapshot) return changes
    snapshot.nextPart += 1
    return last ? [...changes, ...finish(snapshot.seen)] : changes
  }

  function finish(seen: ReadonlySet<number>): Change[] {
    snapshot = null
    const changes: Change[] = []
    for (const deviceId of devices.keys()) {
      if (!seen.has(deviceId)) changes.push(...gone(deviceId))
    }
    // Frames of a device that the snapshot does not show were not for this viewer.
    for (const deviceId of holes) if (!seen.has(deviceId)) holes.delete(deviceId)
    changes.push({ type: 'snapshot', devices: [...devices.values()] })
    return changes
  }

  /** Takes over a record unless frames that are newer were already applied. */
  function replace(record: SnapDevice): boolean {
    const { deviceId, epoch, n } = record
    const held = positions.get(deviceId)
    if (held && (epoch < held.epoch || (epoch === held.epoch && n < held.n))) return false
    positions.set(deviceId, { epoch, n })
    holes.delete(deviceId)
    const view = viewOf(record)
    describe(view, record)
    const shownMs = view.session?.startedMs
    view.online = record.online
    view.lastSeenMs = record.lastSeenMs
    if (record.last === null) {
      view.last = null
      view.session = null
    } else if (!view.last || record.last.values[AT.recordedMs]! >= view.last.recordedMs) {
      view.last = fromWire(record.last.values, 0, record.last.session)
      view.session = { startedMs: record.last.session, status: record.last.status }
    }
    if (view.session?.startedMs !== shownMs) sessionIds.delete(deviceId)
    return true
  }

  function device(record: SnapDevice): Change {
    const known = devices.get(record.deviceId)
    snapshot?.seen.add(record.deviceId)
    // Not part of the count: of a known device it only says what the device is.
    if (known) describe(known, record)
    else replace(record)
    return { type: 'device', device: devices.get(record.deviceId)! }
  }

  function gone(deviceId: number): Change[] {
    positions.delete(deviceId)
    sessionIds.delete(deviceId)
    holes.delete(deviceId)
    snapshot?.seen.delete(deviceId)
    return devices.delete(deviceId) ? [{ type: 'gone', deviceId }] : []
  }

  function viewOf({ deviceId, userId, name, color, platform, online, lastSeenMs }: SnapDevice): DeviceView {
    let view = devices.get(deviceId)
    if (!view) {
      view = { deviceId, userId, name, color, platform, online, lastSeenMs, session: null, last: null }
      devices.set(deviceId, view)
    }
    return view
  }
}

function describe(view: DeviceView, { userId, name, color, platform }: SnapDevice): void {
  view.userId = userId
  view.name = name
  view.color = color
  view.platform = platform
}
