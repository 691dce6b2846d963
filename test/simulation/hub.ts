/**
 * A hub without a process: the core, the sockets, the writer and all that connects them, put together as src/hub.ts puts
 * them together, with a clock, a server and a database of the simulation. It judges nothing.
 */
import { createAdmission } from '../../src/access/admission.ts'
import { createHelloDeadlines } from '../../src/access/helloDeadline.ts'
import type { Login } from '../../src/access/login.ts'
import { createRights } from '../../src/access/rights.ts'
import { createBacklog, type Entry } from '../../src/core/backlog.ts'
import { createCredit, openWindow } from '../../src/core/credit.ts'
import type { Device } from '../../src/core/device.ts'
import { createFleet } from '../../src/core/fleet.ts'
import type { Grant, ViewerGrant, Withdrawal } from '../../src/core/grant.ts'
import { createTally } from '../../src/core/tally.ts'
import { createDelivery } from '../../src/ingest/delivery.ts'
import { createAudience } from '../../src/live/audience.ts'
import { createChanges } from '../../src/live/changes.ts'
import { createRoster } from '../../src/live/roster.ts'
import { createLastErrors } from '../../src/ops/lastErrors.ts'
import { type Counts, createMetrics, type Metrics } from '../../src/ops/metrics.ts'
import { CLOSE } from '../../src/protocol/closes.ts'
import { createDeviceSocket } from '../../src/sockets/device.ts'
import type { DeviceLink } from '../../src/sockets/link.ts'
import type { Peer } from '../../src/sockets/peer.ts'
import { createViewerSocket } from '../../src/sockets/viewer.ts'
import { createGather } from '../../src/store/line/gather.ts'
import { readLastPoints } from '../../src/store/points/lastPoints.ts'
import { createWriter, type Stored } from '../../src/store/points/writer.ts'
import { createSweep } from '../../src/upkeep/sweep.ts'
import type { Limits } from './limits.ts'
import type { Link, Seat } from './network.ts'
import type { Life, Store } from './store.ts'
import type { Tables } from './tables.ts'
import { type Frame, unpackFrame } from './wire.ts'

export interface Watcher {
  onOffer: (entry: Entry<DeviceLink>) => void
  onStored: (batch: Stored<DeviceLink>) => void
  /** Before it goes to anybody. */
  onPublish: (deviceId: number, frame: Frame) => void
  /**
   * A HELLO was refused because the clock is behind; there was no credit; the database refuses much of a device; a sweep
   * found it away.
   */
  onRare: (what: 'clock' | 'credit' | 'suspect' | 'sweep') => void
  onWithdrawn: (why: Withdrawal, grant: Grant) => void
  /** Something that must never happen in a hub. */
  onFault: (what: string, error: unknown) => void
}

export interface HubOptions {
  limits: Limits
  store: Store
  links: () => Iterable<Link>
  watcher: Watcher
  /** The clock of the machine, which jumps; and the time that has passed, which does not. */
  now: () => number
  elapsed: () => number
  random: () => number
}

export type Hub = ReturnType<typeof createHub>

// Its names; a whole one for each hub would cost more than the hub.
const sample = createMetrics(() => ({}) as never)
sample.close()
const COUNT_NAMES = Object.keys(sample.counts)
const LANES = 2
const CLOCK_BEHIND_MS = 60_000
const SWEEP = 'the sweep'

export function createHub({ limits, store, links, watcher, now, elapsed, random }: HubOptions) {
  const life: Life = { isOver: false }
  const counts = Object.fromEntries(COUNT_NAMES.map((name) => [name, 0])) as Counts
  const span = { record: () => {} }
  const metrics = { counts, batchRows: span, writeMs: span, ackMs: span } as unknown as Metrics
  const { tables } = store
  let published: { topic: string; frame: Frame }[] = []
  let isRateDue = false
  let isStopping = false

  const fleet = createFleet(limits)
  const credit = createCredit(limits)
  const backlog = createBacklog<DeviceLink>(LANES)
  const { offer, suspect } = backlog
  backlog.suspect = (deviceId, isSuspect) => {
    if (isSuspect) watcher.onRare('suspect')
    suspect(deviceId, isSuspect)
  }
  backlog.offer = (entry) => {
    watcher.onOffer(entry)
    offer(entry)
  }
  const read = <T>(look: (tables: Tables) => T) => store.read(life, () => look(tables))
  const credentialsOf = (ids: readonly number[]) =>
    read(() => ids.filter((id) => tables.devices.has(id)).map((id) => tables.credentials(id)))
  const readDevice = createGather(credentialsOf, 100)
  const roster = createRoster({
    fleet,
    readIds: (userIds, after, countMax) => read(() => idsOf(tables, userIds, after, countMax)),
    readRecords: async (ids) =>
      (await credentialsOf(ids))
        // Those of a user who is deactivated are shown, to whoever may still look.
        .filter(({ isGone }) => !isGone)
        .map(({ id, newest, sessions: _, keyHash: __, isActive: ___, isGone: ____, ...known }) => ({
          ...known,
          deviceId: id,
          online: false,
          epoch: 0,
          n: 0,
          last: newest && { ...newest },
        })),
  })
  const audience = createAudience({ publish: publishTopic, flush }, counts)
  const deadlines = createHelloDeadlines(limits.helloTimeoutMs, counts, elapsed)
  const rights = createRights({
    readWithdrawn: (grants) => read(() => withdrawnOf(tables, grants)),
    onAnswer: () => admission.noteAnswer(),
  })
  const admission = createAdmission({
    fleet,
    limits,
    readAccess: createGather(credentialsOf, 100),
    readDevice,
    onTrusted: () => {
      counts.keysTrusted += 1
    },
    builtMs: 0,
    onAway: () => {},
    now,
  })
  admission.noteReceived(tables.newestReceivedMs ?? 0)
  const devices = createDeviceSocket({
    limits,
    openWindow: () => {
      const window = openWindow(credit)
      if (window === null) watcher.onRare('credit')
      return window
    },
    backlog,
    deadlines,
    counts,
    admit: (deviceKey) => {
      if (now() < (tables.newestReceivedMs ?? 0) - CLOCK_BEHIND_MS) watcher.onRare('clock')
      return admission.admit(deviceKey)
    },
    hold,
    pin: fleet.pin,
    release: fleet.release,
    publish,
    isWatched: (device) => audience.isWatched(device.userId, device.id),
    onSeen: () => {},
    onAck: () => {},
    latestMs: admission.newestReceivedMs,
    lastErrors: createLastErrors({ lastErrorsMax: 10 }, now),
    onRefused: () => {},
    onFault: (error) => watcher.onFault('fault in a device socket', error),
    now,
  })
  const viewers = createViewerSocket({
    limits,
    audience,
    deadlines,
    counts,
    login,
    hold: rights.hold,
    userSockets: createTally(limits.socketsPerUserMax),
    shareSockets: createTally(limits.socketsPerUserMax),
    onRefused: () => {},
    findDevices: roster.find,
    describe: roster.describe,
    onWatch: () => {
      isRateDue = true
    },
    onFault: mayBeAway('fault in a viewer socket'),
    now,
  })
  const changes = createChanges({
    fleet,
    roster,
    admission,
    audience,
    devices,
    viewers,
    rights,
    onAway: () => {},
  })
  const delivery = createDelivery({
    limits,
    backlog,
    fleet,
    devices,
    metrics,
    publish,
    noteReceived: admission.noteReceived,
    now,
  })
  const sweep = createSweep({
    fleet,
    backlog,
    findIdle: (nowMs, countMax, after) =>
      read(() => tables.idleDevices(nowMs, limits.sessionGapMs, limits.sessionIdleMs, countMax, after)),
    findLastPoints: (sessions) => readLastPoints(store.line(life), sessions),
    readDevice,
    watchChanges: admission.watchChanges,
    now,
  })
  const writer = createWriter({
    backlog,
    runs: Array.from({ length: backlog.laneCount }, () => store.line(life)),
    limits,
    onStored: (batch) => {
      if (life.isOver) return
      watcher.onStored(batch)
      delivery.stored(batch)
    },
    onAway: () => devices.pauseAll(),
    onBack: () => {},
    onBroken: (error) => watcher.onFault('the writer gave up', error),
    onRetry: () => {
      counts.writeRetries += 1
    },
    now,
    random,
  })
  const routes = { device: devices.route(), viewer: viewers.route() }
  return {
    life,
    counts,
    fleet,
    credit,
    backlog,
    devices,
    viewers,
    audience,
    changes,
    open,
    check,
    checkRights: () => void rights.check().catch(mayBeAway('the look at rights')),
    sweep: () => void sweep().catch(mayBeAway(SWEEP)),
    flush,
    stop,
    kill,
    get isStopping() {
      return isStopping
    },
    /** Something is published that nobody has been sent yet. */
    get hasPublished() {
      return published.length > 0
    },
  }

  /** The store may be away; anything else must not be. */
  function mayBeAway(what: string): (error: unknown) => void {
    return (error) => {
      if ((error as { code?: string }).code === undefined) return watcher.onFault(what, error)
      if (what === SWEEP) watcher.onRare('sweep')
    }
  }

  /** The hub's side of a new link. */
  function open(kind: 'device' | 'viewer', peer: Peer): Seat | null {
    const route = routes[kind] as unknown as {
      hasRoom: () => boolean
      open: (peer: Peer) => unknown
      message: (state: unknown, bytes: Uint8Array) => void
      close: (state: unknown) => void
      dropped?: (state: unknown) => void
    }
    if (life.isOver || isStopping || !route.hasRoom()) return null
    const state = route.open(peer)
    return {
      message: (bytes) => attend(peer, () => route.message(state, bytes)),
      dropped: () => attend(peer, () => route.dropped?.(state)),
      closed: () => attend(peer, () => route.close(state)),
      isLive: () => kind === 'viewer' && (state as { lane: { isLive: boolean } }).lane.isLive,
    }
  }

  function attend(peer: Peer, handle: () => void): void {
    if (life.isOver) return
    try {
      handle()
    } catch (error) {
      watcher.onFault('fault in a handler', error)
      peer.end(CLOSE.internal)
    }
  }

  /** What the timers of the hub do several times a second, and once. */
  function check(): void {
    deadlines.check()
    viewers.check()
    if (isRateDue) devices.tellRates()
    isRateDue = false
    devices.pauseLate()
    devices.tellRates()
  }

  function publish(device: Device, frame: Uint8Array): void {
    if (device.isGone || life.isOver) return
    audience.publish(device.userId, device.id, frame)
    watcher.onPublish(device.id, unpackFrame(frame))
  }

  function publishTopic(topic: string, bytes: Uint8Array): void {
    published.push({ topic, frame: unpackFrame(bytes) })
  }

  /** What is published goes to those who are subscribed now. */
  function flush(): void {
    if (published.length === 0) return
    const frames = published
    published = []
    if (life.isOver) return
    for (const { topic, frame } of frames) {
      for (const link of links()) if (link.topics.has(topic)) link.publish(frame)
    }
  }

  function hold(device: Device, keyHash: string): () => void {
    const grant = { role: 'device' as const, userId: device.userId, deviceId: device.id, keyHash }
    return rights.hold(grant, (why) => {
      watcher.onWithdrawn(why, grant)
      if (why === 'gone') return changes.onDeviceGone(device)
      admission.noteChange(device.id)
      devices.closeDevice(device.id, CLOSE.refused, (shown) => shown === keyHash)
    })
  }

  async function login(token: string): Promise<Login> {
    try {
      const grant = await read(() => grantOf(tables, token))
      return grant === null ? { close: CLOSE.refused } : { grant, expiresMs: now() + 3_600_000_000 }
    } catch {
      return { close: CLOSE.unavailable }
    }
  }

  /** SIGTERM: GOAWAY, then what is in the backlog, then everybody goes. */
  async function stop(onGone: () => void): Promise<void> {
    isStopping = true
    for (const socket of [devices, viewers]) socket.goaway()
    await writer.stop(limits.shutdownMs)
    if (life.isOver) return
    flush()
    for (const socket of [devices, viewers]) socket.closeAll(CLOSE.restart)
    onGone()
  }

  function kill(): void {
    life.isOver = true
  }
}

function idsOf(tables: Tables, userIds: readonly number[] | null, after: number, countMax: number) {
  return [...tables.devices.values()]
    .filter(({ id, userId }) => id > after && (userIds?.includes(userId) ?? true))
    .map(({ id, isActive }) => ({ id, isActive }))
    .slice(0, countMax)
}

/** `user <id>` or `share <id>`, as what the tables say of it. */
export function grantOf(tables: Tables, token: string): ViewerGrant | null {
  const [kind, id] = token.split(' ')
  const share = kind === 'share' ? tables.shares.get(Number(id)) : undefined
  const user = tables.users.get(share?.userId ?? Number(id))
  if (user === undefined || !user.isActive || share?.isEnded) return null
  if (share === undefined) return { role: user.role, userId: user.id }
  return { role: 'share', userId: share.userId, shareId: share.id, deviceIds: share.deviceIds }
}

/** As readWithdrawn answers. */
function withdrawnOf(tables: Tables, grants: readonly Grant[]): Map<Grant, Withdrawal> {
  const withdrawn = new Map<Grant, Withdrawal>()
  for (const grant of grants) {
    const user = tables.users.get(grant.userId)!
    if (grant.role === 'device') {
      const device = tables.devices.get(grant.deviceId)!
      if (!device.isActive) withdrawn.set(grant, 'gone')
      else if (!user.isActive || device.keyHash !== grant.keyHash) withdrawn.set(grant, 'refused')
    } else if (grant.role === 'share') {
      if (!user.isActive || tables.shares.get(grant.shareId)!.isEnded) withdrawn.set(grant, 'refused')
    } else if (!user.isActive || (grant.role === 'admin' && user.role !== 'admin')) {
      withdrawn.set(grant, 'refused')
    }
  }
  return withdrawn
}
