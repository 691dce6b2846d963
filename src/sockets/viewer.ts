/**
 * The viewer socket (PROTOCOL.md section 3): one subscription each, a snapshot of it in parts, then the live
 * stream; a viewer that answers TICK late is served snapshots until it keeps up again. Whom a device belongs to
 * and what it looks like, it asks.
 */

import type { HelloDeadlines, Waiting } from '../access/helloDeadline.ts'
import { expired, type LoginCheck } from '../access/login.ts'
import { createRenewal, type Renewable } from '../access/renewal.ts'
import type { Rights } from '../access/rights.ts'
import { type Bucket, createBucket, take } from '../core/bucket.ts'
import type { ViewerGrant } from '../core/grant.ts'
import * as lanes from '../core/lane.ts'
import type { Tally } from '../core/tally.ts'
import {
  type Audience,
  deviceTopic,
  EVERYONE,
  type Listener,
  type Topic,
  userTopic,
} from '../live/audience.ts'
import * as snapshots from '../live/snapshot.ts'
import type { Counts } from '../ops/metrics.ts'
import { CLOSE, type Close } from '../protocol/closes.ts'
import { decodeViewerFrame } from '../protocol/decode.ts'
import {
  type DeviceRecord,
  encodeError,
  encodeGoaway,
  encodePong,
  encodeTick,
  encodeViewerWelcome,
} from '../protocol/encode.ts'
import { ROUTE, SUBPROTOCOL, TYPE, type ViewerFrame } from '../protocol/messages.ts'
import type { Peer } from './peer.ts'
import type { Route } from './server.ts'

/** One viewer's socket, from upgrade to close. `grant` is null until WELCOME. */
export interface Viewer extends Listener, Renewable {
  hello: Waiting
  frames: Bucket
  lane: lanes.Lane
  snapshot: snapshots.Snapshot
  /** Grows with every SUB and RESYNC, so that an answer to an older one is dropped. */
  request: number
  subscription: Subscription | null
  /** The devices of the snapshot are still being looked up. */
  isPreparing: boolean
  isPumping: boolean
  hasLostFrames: boolean
}

/** Records of these devices as they are now, and the ids among them that nobody has read. */
export type Describe = (deviceIds: readonly number[]) => { records: DeviceRecord[]; unread: number[] }

/** null: everyone's. `deviceIds` narrows it. */
interface Subscription {
  userIds: readonly number[] | null
  deviceIds: readonly number[] | null
}

export interface ViewerSocketOptions {
  limits: {
    viewersMax: number
    viewerFrameBytesMax: number
    viewerBufferBytesMax: number
    viewerFramesPerS: number
    viewerFramesBurst: number
    heartbeatS: number
    tickMs: number
    seenLateMs: number
    seenTimeoutMs: number
    snapBytesMax: number
    reconnectSpreadMs: number
  }
  audience: Audience
  deadlines: HelloDeadlines
  counts: Counts
  login: LoginCheck
  hold: Rights['hold']
  /** The sockets of each user, of viewers and admins together. */
  userSockets: Tally
  /** The sockets of each share, which are not its owner's. */
  shareSockets: Tally
  /** A token was refused. */
  onRefused: (address: string) => void
  /** The devices of these users (null: of everyone), active or not; rejects when the database is away. */
  findDevices: (userIds: readonly number[] | null) => Promise<{ id: number; isActive: boolean }[]>
  /** Devices as they are now: see roster.ts. */
  describe: (deviceIds: readonly number[]) => Promise<Describe>
  /** A device may have gained its first viewer or lost its last one. */
  onWatch: () => void
  onFault: (error: unknown) => void
  now: () => number
}

/** The clock of viewers stands still while the hub itself was stalled for longer than this. */
const STALL_MS = 1_000

export function createViewerSocket(options: ViewerSocketOptions) {
  const { limits, audience, counts, now } = options
  const viewers = new Set<Viewer>()
  const renew = createRenewal(options)
  let tick = 0
  let attendedMs = 0
  let checkedMs = now()
  return {
    route,
    check,
    forgetDevice,
    goaway,
    closeAll,
    get count() {
      return viewers.size
    },
    get liveCount() {
      let live = 0
      for (const viewer of viewers) if (viewer.lane.isLive) live += 1
      return live
    },
  }

  function route(): Route<Viewer> {
    return {
      path: ROUTE.live,
      subprotocol: SUBPROTOCOL.live,
      checksOrigin: true,
      frameBytesMax: limits.viewerFrameBytesMax,
      bufferBytesMax: limits.viewerBufferBytesMax,
      hasRoom: () => viewers.size < limits.viewersMax,
      open,
      message,
      close,
      dropped,
    }
  }

  function open(peer: Peer): Viewer {
    const changed = new Set<number>()
    const viewer: Viewer = {
      peer,
      topics: [],
      changed,
      hello: options.deadlines.await(peer),
      grant: null,
      release: () => {},
      expiresMs: Number.POSITIVE_INFINITY,
      freshToken: null,
      frames: createBucket(limits.viewerFramesPerS, limits.viewerFramesBurst),
      lane: lanes.createLane(),
      snapshot: snapshots.createSnapshot(changed),
      request: 0,
      subscription: null,
      isPreparing: false,
      isPumping: false,
      hasLostFrames: false,
    }
    viewers.add(viewer)
    return viewer
  }

  function message(viewer: Viewer, bytes: ArrayBuffer): void {
    const frame = decodeViewerFrame(bytes)
    if (frame.type === 'malformed') return malformed(viewer, frame.message, frame.ref)
    if (!take(viewer.frames, 1, now())) {
      counts.limitsExceeded += 1
      counts.viewerRatesExceeded += 1
      return viewer.peer.end(CLOSE.limit)
    }
    if (viewer.grant === null) {
      if (frame.type !== TYPE.hello || viewer.hello.isDone) {
        return malformed(viewer, 'HELLO comes first, once, and WELCOME before anything else', null)
      }
      viewer.hello.isDone = true
      start(viewer, welcome(viewer, frame.token))
    } else if (frame.type !== 'ignored') {
      answer(viewer, viewer.grant, frame)
    }
  }

  function answer(viewer: Viewer, grant: ViewerGrant, frame: ViewerFrame): void {
    switch (frame.type) {
      case TYPE.auth:
        return start(viewer, renew(viewer, frame.token))
      case TYPE.sub:
        return subscribe(viewer, grant, frame.userIds, frame.deviceIds)
      case TYPE.resync:
        return resync(viewer)
      case TYPE.seen:
        return seen(viewer, frame.tick)
      case TYPE.ping:
        viewer.peer.send(encodePong(frame.nonce, now()))
        return
      case TYPE.hello:
        return malformed(viewer, 'HELLO is sent once', null)
    }
  }

  async function welcome(viewer: Viewer, token: string): Promise<void> {
    const login = await options.login(token)
    if (!viewer.peer.isOpen) return
    if ('close' in login) {
      if (login.close === CLOSE.refused) {
        counts.helloRefused += 1
        options.onRefused(viewer.peer.address)
      }
      return viewer.peer.end(login.close)
    }
    const { grant, expiresMs } = login
    if (!takeSeat(grant)) {
      counts.userSocketsRefused += 1
      return viewer.peer.end(CLOSE.limit)
    }
    viewer.peer.admit()
    viewer.grant = grant
    viewer.release = options.hold(grant, () => viewer.peer.end(CLOSE.refused))
    viewer.expiresMs = expiresMs
    viewer.peer.send(
      encodeViewerWelcome({
        userId: grant.userId,
        role: grant.role,
        serverNowMs: now(),
        authExpiresMs: expiresMs,
        heartbeatS: limits.heartbeatS,
      }),
    )
  }

  function takeSeat(grant: ViewerGrant): boolean {
    return grant.role === 'share'
      ? options.shareSockets.take(grant.shareId)
      : options.userSockets.take(grant.userId)
  }

  function releaseSeat(grant: ViewerGrant): void {
    if (grant.role === 'share') options.shareSockets.release(grant.shareId)
    else options.userSockets.release(grant.userId)
  }

  /** What a viewer asks for is a filter, never a grant (V5). */
  function subscribe(
    viewer: Viewer,
    grant: ViewerGrant,
    userIds: number[] | null,
    deviceIds: number[] | null,
  ): void {
    const isOwn = userIds === null || (userIds.length === 1 && userIds[0] === grant.userId)
    if (grant.role === 'share' ? userIds !== null : !isOwn && grant.role !== 'admin') {
      const text = grant.role === 'share' ? 'a share has no users' : 'only admins may watch other users'
      viewer.peer.send(encodeError(CLOSE_NOT_ALLOWED, text, null))
      return
    }
    const ofUsers = isOwn ? [grant.userId] : userIds.length === 0 ? null : [...new Set(userIds)].filter(isId)
    viewer.subscription = { userIds: ofUsers, deviceIds: within(grant, deviceIds) }
    start(viewer, snap(viewer))
  }

  /** The viewer noticed a hole: the whole snapshot again (V2). */
  function resync(viewer: Viewer): void {
    if (viewer.subscription !== null) start(viewer, snap(viewer))
  }

  /** Leaves the live stream and begins a complete snapshot of the subscription. */
  async function snap(viewer: Viewer): Promise<void> {
    viewer.request += 1
    // Whoever asks again and again has one look at the database under way, not many.
    if (viewer.isPreparing) return
    viewer.isPreparing = true
    try {
      while (!(await prepare(viewer)) && viewer.peer.isOpen);
    } finally {
      viewer.isPreparing = false
    }
    await pump(viewer)
  }

  /** False when the viewer has asked for something else meanwhile. */
  async function prepare(viewer: Viewer): Promise<boolean> {
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

  async function find({ userIds, deviceIds }: Subscription) {
    const visible = await options.findDevices(userIds)
    const wanted = deviceIds && new Set(deviceIds)
    return wanted === null ? visible : visible.filter(({ id }) => wanted.has(id))
  }

  function enter(viewer: Viewer, topics: Topic[]): void {
    viewer.topics = topics
    audience.enter(viewer)
    options.onWatch()
  }

  /** Sends the next part of the snapshot; the one after follows when the TICK behind it is answered (V4). */
  async function pump(viewer: Viewer): Promise<void> {
    if (viewer.isPreparing || viewer.isPumping || viewer.lane.isLive || !lanes.isClear(viewer.lane)) return
    viewer.isPumping = true
    const { request, snapshot } = viewer
    try {
      const wasComplete = snapshots.isComplete(snapshot)
      const ids = snapshots.next(snapshot)
      const describe = await options.describe(ids)
      if (viewer.request !== request || !viewer.peer.isOpen) return
      // From here to the end nothing waits, so no change can slip between the records and the live stream.
      const wanted = describe(ids)
      const { packed, left } = snapshots.pack(wanted.records, limits.snapBytesMax)
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
      if (viewer.request !== request) start(viewer, pump(viewer))
    }
  }

  /** The last parts all at once: what has changed meanwhile, which with moving devices would never be nothing. */
  function finish(viewer: Viewer, packed: Uint8Array[], records: DeviceRecord[]): void {
    let rest = { packed, left: records }
    while (rest.left.length > 0) {
      sendPart(viewer, rest.packed, false)
      rest = snapshots.pack(rest.left, limits.snapBytesMax)
    }
    sendPart(viewer, rest.packed, true)
    if (viewer.lane.isDemoted) counts.viewersReturned += 1
    lanes.goLive(viewer.lane)
    audience.goLive(viewer)
  }

  function sendPart(viewer: Viewer, packed: Uint8Array[], isLast: boolean): void {
    counts.snapshotsSent += 1
    send(viewer, snapshots.nextPart(viewer.snapshot, packed, isLast))
  }

  function sendTick(viewer: Viewer): void {
    tick += 1
    if (send(viewer, encodeTick(tick))) lanes.ticked(viewer.lane, tick, clock())
    else lanes.missed(viewer.lane, clock())
  }

  /** Time as far as the hub attended to it; it never goes back, whatever the clock of the machine does. */
  function clock(): number {
    return attendedMs + Math.min(Math.max(0, now() - checkedMs), STALL_MS)
  }

  function seen(viewer: Viewer, number: number): void {
    if (!lanes.seen(viewer.lane, number, clock(), limits) || viewer.lane.isLive) return
    // Nobody who has asked for nothing is shown a snapshot of nothing, or stands in the live stream.
    if (viewer.subscription === null) return
    // A demoted viewer with nothing left over waits for the next tick.
    if (!snapshots.isComplete(viewer.snapshot) || lanes.mayReturn(viewer.lane)) start(viewer, pump(viewer))
  }

  /** To be called several times a second: ticks that are due, answers that are late, tokens that expire. */
  function check(): void {
    attendedMs = clock()
    checkedMs = now()
    for (const viewer of viewers) {
      if (viewer.grant !== null) checkViewer(viewer, viewer.grant)
    }
  }

  function checkViewer(viewer: Viewer, grant: ViewerGrant): void {
    const { lane } = viewer
    if (viewer.expiresMs <= checkedMs) return viewer.peer.end(expired(grant))
    const verdict = lanes.judge(lane, attendedMs, limits)
    if (verdict === 'lost') {
      counts.viewersTooSlow += 1
      return viewer.peer.end(CLOSE.slow)
    }
    if (verdict === 'late' && lane.isLive) demote(viewer)
    if (!lanes.isTickDue(lane, attendedMs, limits)) return
    if (viewer.hasLostFrames && viewer.subscription !== null) recover(viewer)
    else if (lane.isLive || viewer.subscription === null) sendTick(viewer)
    else start(viewer, pump(viewer))
  }

  function demote(viewer: Viewer): void {
    counts.viewersDemoted += 1
    lanes.demote(viewer.lane, attendedMs)
    audience.leaveLive(viewer)
  }

  /** Frames were lost for want of room: only a complete snapshot makes up for them. */
  function recover(viewer: Viewer): void {
    viewer.hasLostFrames = false
    if (viewer.lane.isLive) demote(viewer)
    start(viewer, snap(viewer))
  }

  function dropped(viewer: Viewer): void {
    // Not here: the server is in the middle of its subscribers.
    counts.publishDrops += 1
    viewer.hasLostFrames = true
  }

  function send(viewer: Viewer, frame: Uint8Array): boolean {
    const isSent = viewer.peer.send(frame)
    if (!isSent) viewer.hasLostFrames = true
    return isSent
  }

  function start(viewer: Viewer, work: Promise<void>): void {
    work.catch((error) => {
      options.onFault(error)
      viewer.peer.end(CLOSE.unavailable)
    })
  }

  function malformed(viewer: Viewer, text: string, ref: number | null): void {
    counts.framesMalformed += 1
    viewer.peer.malformed(text, ref)
  }

  /** The device is gone: no snapshot shows it any more. */
  function forgetDevice(deviceId: number): void {
    for (const viewer of viewers) snapshots.drop(viewer.snapshot, deviceId)
  }

  function close(viewer: Viewer): void {
    viewers.delete(viewer)
    viewer.hello.isDone = true
    viewer.release()
    if (viewer.grant !== null) releaseSeat(viewer.grant)
    audience.leave(viewer)
    options.onWatch()
  }

  function goaway(): void {
    const frame = encodeGoaway(0, limits.reconnectSpreadMs)
    for (const viewer of viewers) if (viewer.grant !== null) viewer.peer.send(frame)
  }

  function closeAll(reason: Close): void {
    for (const viewer of [...viewers]) viewer.peer.end(reason)
  }
}

/** A share is of named devices; whatever is asked for narrows them. */
function within(grant: ViewerGrant, deviceIds: readonly number[] | null): readonly number[] | null {
  if (grant.role !== 'share') return deviceIds
  return deviceIds === null ? grant.deviceIds : grant.deviceIds.filter((id) => deviceIds.includes(id))
}

const ID_MAX = 2 ** 31 - 1

/** What cannot be an id is nobody's, and is left out silently like everything that may not be seen. */
function isId(id: number): boolean {
  return id >= 1 && id <= ID_MAX
}

/** ERROR code of V5; the socket stays open. */
const CLOSE_NOT_ALLOWED = 4403

export type ViewerSocket = ReturnType<typeof createViewerSocket>
