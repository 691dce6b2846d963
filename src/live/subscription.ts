/**
 * What each viewer watches: one subscription, a filter of what was granted (V5), with a snapshot of it and then the live
 * stream; a viewer that answers TICK late is served snapshots until it keeps up again. It knows no socket.
 */
import type { ViewerGrant } from '../core/grant.ts'
import * as lanes from '../core/lane.ts'
import type { Ops } from '../ops/ops.ts'
import { CLOSE } from '../protocol/closes.ts'
import { encodeError } from '../protocol/encode.ts'
import { type Audience, deviceTopic, EVERYONE, type Topic, userTopic } from './audience.ts'
import type { Pump, Pumped } from './pump.ts'
import type { Found, Roster } from './roster.ts'
import * as snapshots from './snapshot.ts'
import type { Ticks } from './ticks.ts'

export interface Subscriber extends Pumped {
  subscription: Subscription | null
}

/** null: everyone's. `deviceIds` narrows it. */
interface Subscription {
  userIds: readonly number[] | null
  deviceIds: readonly number[] | null
}

export interface SubscriptionsOptions {
  limits: lanes.LaneLimits
  ops: Pick<Ops, 'counts' | 'faults'>
  audience: Audience
  roster: Pick<Roster, 'find'>
  pump: Pump
  ticks: Ticks
  /** A device may have gained its first viewer or lost its last one. */
  onWatch: () => void
}

export type Subscriptions = ReturnType<typeof createSubscriptions>

/** A closure over 150 lines: every way in which a subscription begins anew meets in `snap`. */
export function createSubscriptions(options: SubscriptionsOptions) {
  const { limits, ops, audience, roster, pump, ticks, onWatch } = options
  const { counts, faults } = ops
  /** Viewers that have asked for something. */
  const subscribers = new Set<Subscriber>()
  return {
    subscribe,
    resync,
    seen,
    tend,
    lost,
    forgetDevice,
    close,
    /** Of them in the live stream. */
    get liveCount() {
      let live = 0
      for (const { lane } of subscribers) if (lane.isLive) live += 1
      return live
    },
  }

  /** What a viewer asks for is a filter, never a grant (V5). */
  function subscribe(
    viewer: Subscriber,
    grant: ViewerGrant,
    userIds: number[] | null,
    deviceIds: number[] | null,
  ): void {
    const isOwn = userIds === null || (userIds.length === 1 && userIds[0] === grant.userId)
    if (grant.role === 'share' ? userIds !== null : !isOwn && grant.role !== 'admin') {
      const text = grant.role === 'share' ? 'a share has no users' : 'only admins may watch other users'
      viewer.peer.send(encodeError(NOT_ALLOWED, text, null))
      return
    }
    const ofUsers = isOwn ? [grant.userId] : userIds.length === 0 ? null : [...new Set(userIds)].filter(isId)
    viewer.subscription = { userIds: ofUsers, deviceIds: narrowed(grant, deviceIds) }
    subscribers.add(viewer)
    faults.guard(snap(viewer), viewer.peer)
  }

  /** The viewer noticed a hole: the whole snapshot again (V2). */
  function resync(viewer: Subscriber): void {
    if (viewer.subscription !== null) faults.guard(snap(viewer), viewer.peer)
  }

  /** Leaves the live stream and begins a complete snapshot of the subscription. */
  async function snap(viewer: Subscriber): Promise<void> {
    viewer.request += 1
    // Whoever asks again and again has one look at the database under way, not many.
    if (viewer.isPreparing) return
    viewer.isPreparing = true
    try {
      while (!(await prepare(viewer)) && viewer.peer.isOpen);
    } finally {
      viewer.isPreparing = false
    }
    await pump.pump(viewer)
  }

  /** False when the viewer has asked for something else meanwhile. */
  async function prepare(viewer: Subscriber): Promise<boolean> {
    const { request } = viewer
    const subscription = viewer.subscription!
    const { userIds, deviceIds } = subscription
    audience.leave(viewer)
    lanes.restart(viewer.lane)
    viewer.changed.clear()
    // Narrowed, it needs to know first which of the devices the viewer may see; else the audience must hear of
    // changes before the database is asked, or one in between would be lost.
    if (deviceIds === null) enter(viewer, userIds === null ? [EVERYONE] : userIds.map(userTopic))
    let found = await find(subscription)
    if (viewer.request !== request || !viewer.peer.isOpen) return false
    if (deviceIds !== null) {
      // Inactive ones as well: it is told when they are activated.
      const topics = found.map(({ id }) => deviceTopic(id))
      enter(viewer, topics)
      // They may have been, before it was there to be told.
      if (found.some(({ isActive }) => !isActive)) found = await find(subscription)
      if (viewer.request !== request || !viewer.peer.isOpen) return false
    }
    snapshots.begin(
      viewer.snapshot,
      found.filter(({ isActive }) => isActive).map(({ id }) => id),
    )
    return true
  }

  async function find({ userIds, deviceIds }: Subscription): Promise<Found[]> {
    const visible = await roster.find(userIds)
    const wanted = deviceIds && new Set(deviceIds)
    return wanted === null ? visible : visible.filter(({ id }) => wanted.has(id))
  }

  function enter(viewer: Subscriber, topics: Topic[]): void {
    viewer.topics = topics
    audience.enter(viewer)
    onWatch()
  }

  function seen(viewer: Subscriber, number: number): void {
    if (!lanes.seen(viewer.lane, number, ticks.attendedMs(), limits) || viewer.lane.isLive) return
    // Nobody who has asked for nothing is shown a snapshot of nothing, or stands in the live stream.
    if (viewer.subscription === null) return
    // A demoted viewer with nothing left over waits for the next tick.
    if (!snapshots.isComplete(viewer.snapshot) || lanes.mayReturn(viewer.lane)) pumpOn(viewer)
  }

  /** To be called several times a second: a tick that is due, an answer that is late. */
  function tend(viewer: Subscriber, attendedMs: number): void {
    const { lane } = viewer
    const verdict = lanes.judge(lane, attendedMs, limits)
    if (verdict === 'lost') {
      counts.viewersTooSlow += 1
      return viewer.peer.end(CLOSE.slow)
    }
    if (verdict === 'late' && lane.isLive) pump.demote(viewer)
    if (!lanes.isTickDue(lane, attendedMs, limits)) return
    if (viewer.hasLostFrames && viewer.subscription !== null) recover(viewer)
    else if (lane.isLive || viewer.subscription === null) pump.sendTick(viewer)
    else pumpOn(viewer)
  }

  /** Frames were lost for want of room: only a complete snapshot makes up for them. */
  function recover(viewer: Subscriber): void {
    viewer.hasLostFrames = false
    if (viewer.lane.isLive) pump.demote(viewer)
    faults.guard(snap(viewer), viewer.peer)
  }

  function pumpOn(viewer: Subscriber): void {
    faults.guard(pump.pump(viewer), viewer.peer)
  }

  /** Published frames did not fit. Not here: the server is in the middle of its subscribers. */
  function lost(viewer: Subscriber): void {
    counts.publishDrops += 1
    viewer.hasLostFrames = true
  }

  /** The device is gone: no snapshot shows it any more. */
  function forgetDevice(deviceId: number): void {
    for (const { snapshot } of subscribers) snapshots.drop(snapshot, deviceId)
  }

  function close(viewer: Subscriber): void {
    subscribers.delete(viewer)
    audience.leave(viewer)
    onWatch()
  }
}

/** A share is of named devices; whatever is asked for narrows them. */
function narrowed(grant: ViewerGrant, deviceIds: readonly number[] | null): readonly number[] | null {
  if (grant.role !== 'share') return deviceIds
  return deviceIds === null ? grant.deviceIds : grant.deviceIds.filter((id) => deviceIds.includes(id))
}

const ID_MAX = 2 ** 31 - 1

/** What cannot be an id is nobody's, and is left out silently like everything that may not be seen. */
function isId(id: number): boolean {
  return id >= 1 && id <= ID_MAX
}

/** ERROR code of V5; the socket stays open. */
const NOT_ALLOWED = 4403
