/**
 * A hub without a process: the parts of src/hub.ts, connected as it connects them, with a clock, a server and a database of
 * the simulation. It has no wiring of its own but to look on, and judges nothing.
 */
import type { Clock } from '../../src/clock.ts'
import type { BacklogEntry, Stored } from '../../src/core/backlog.ts'
import type { Grant, Withdrawal } from '../../src/core/grant.ts'
import { connectParts } from '../../src/hub.ts'
import type { Inlet } from '../../src/ingest/intake.ts'
import { createFaults } from '../../src/ops/faults.ts'
import { createLastErrors } from '../../src/ops/lastErrors.ts'
import { type Counts, createMetrics } from '../../src/ops/metrics.ts'
import type { Ops } from '../../src/ops/ops.ts'
import { CLOSE } from '../../src/protocol/closes.ts'
import { sayFarewell } from '../../src/sockets/farewell.ts'
import type { Peer } from '../../src/sockets/peer.ts'
import type { Clock as WorldClock } from './clock.ts'
import { createDatabase } from './database.ts'
import type { Limits } from './limits.ts'
import type { Link, Seat } from './network.ts'
import type { Life, Store } from './store.ts'
import { type Frame, unpackFrame } from './wire.ts'

export interface Watcher {
  onOffer: (entry: BacklogEntry<Inlet>) => void
  onStored: (batch: Stored<Inlet>) => void
  /** Before it goes to anybody. */
  onPublish: (deviceId: number, frame: Frame) => void
  /**
   * A HELLO was refused because the clock is behind; there was no credit; the database refuses much of a device; a sweep
   * found it away.
   */
  onRare: (what: 'clock' | 'credit' | 'suspect' | 'sweep') => void
  onWithdrawn: (why: Withdrawal, grant: Grant) => void
  /** Of the points that this hub knows to be stored. */
  newestReceivedMs: () => number
  /** Something that must never happen in a hub. */
  onFault: (what: string, error: unknown) => void
}

export interface HubOptions {
  limits: Limits
  store: Store
  links: () => Iterable<Link>
  watcher: Watcher
  clock: WorldClock
  /** The clock of the machine, which jumps. */
  now: () => number
  random: () => number
}

export type Hub = ReturnType<typeof createHub>

// Its names; a whole one for each hub would cost more than the hub.
const sample = createMetrics(() => ({}) as never)
sample.close()
const COUNT_NAMES = Object.keys(sample.counts)
const CLOCK_BEHIND_MS = 60_000

export function createHub(options: HubOptions) {
  const { limits, store, links, watcher } = options
  const life: Life = { isOver: false }
  const clock = clockOf(options, life)
  const ops = opsOf(watcher, clock)
  const { tables } = store
  const database = createDatabase({ store, life, limits, clock, watcher })
  const { publisher, hasPublished } = createPublisher(links, life)
  const parts = connectParts({
    limits,
    ops,
    clock,
    database,
    identify: database.identify,
    publisher,
    builtMs: 0,
  })
  const { access, live, ingest, upkeep, devices, viewers } = parts
  const routes = { device: devices.route(), viewer: viewers.route() }
  let isStopping = false
  let heldRights = 0
  watch()
  access.admission.noteReceived(tables.newestReceivedMs ?? 0)
  parts.start([], () => {})
  parts.begin()
  return {
    life,
    counts: ops.counts,
    fleet: parts.fleet,
    credit: ingest.credit,
    backlog: ingest.backlog,
    devices,
    viewers,
    live,
    changes: live.changes,
    open,
    flush: publisher.flush,
    stop,
    kill: () => {
      life.isOver = true
    },
    /** Rights that are looked at for a socket which is there. */
    get heldRights() {
      return heldRights
    },
    get isStopping() {
      return isStopping
    },
    /** Something is published that nobody has been sent yet. */
    get hasPublished() {
      return hasPublished()
    },
  }

  /** Whoever looks on is told; what happens is as it would be. */
  function watch(): void {
    const { publish } = live
    live.publish = (device, frame) => {
      if (life.isOver) return
      publish(device, frame)
      if (!device.isGone) watcher.onPublish(device.id, unpackFrame(frame))
    }
    const { offer, suspect } = ingest.backlog
    ingest.backlog.offer = (entry) => {
      watcher.onOffer(entry)
      offer(entry)
    }
    ingest.backlog.suspect = (deviceId, isSuspect) => {
      if (isSuspect) watcher.onRare('suspect')
      suspect(deviceId, isSuspect)
    }
    const open = ingest.intake.open
    ingest.intake.open = (source, device, keyHash) => {
      const inlet = open(source, device, keyHash)
      if (inlet === null && device.pendingPoints <= limits.windowPointsMax) watcher.onRare('credit')
      return inlet
    }
    const { admit } = access.admission
    access.admission.admit = async (deviceKey) => {
      const isBehind = clock.now() < watcher.newestReceivedMs() - CLOCK_BEHIND_MS
      if (isBehind) watcher.onRare('clock')
      const admitted = await admit(deviceKey)
      if (isBehind && !('close' in admitted)) watcher.onFault('let in by a clock that is behind', null)
      return admitted
    }
    const { hold } = access.rights
    access.rights.hold = (grant, withdraw) => {
      heldRights += 1
      const release = hold(grant, (why) => {
        watcher.onWithdrawn(why, grant)
        withdraw(why)
      })
      return () => {
        heldRights -= 1
        release()
      }
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

  /** SIGTERM. `onGone` is called when everybody was told to go. */
  async function stop(onGone: () => void): Promise<void> {
    isStopping = true
    upkeep.stop()
    await sayFarewell({ crowds: [devices, viewers], ingest, publisher, clock })
    if (!life.isOver) onGone()
  }
}

/** The hub's clock: nobody is there any more to act once it is killed. A machine may be late with what comes again. */
function clockOf({ clock, now, random }: HubOptions, life: Life): Clock {
  const after = (ms: number, act: () => void) => {
    const job = clock.at(ms, 'timer', 0, () => {
      if (!life.isOver) act()
    })
    return () => clock.cancel(job)
  }
  /** What comes again after the same time is one step: of a machine that is as late as that. */
  const acts = new Map<number, Set<() => void>>()
  return { now, elapsed: () => clock.nowMs, random, after, every }

  function every(ms: number, act: () => void): () => void {
    const everyMs = Math.max(ms, EVERY_MS_MIN)
    const together = acts.get(everyMs) ?? new Set()
    together.add(act)
    if (!acts.has(everyMs)) {
      acts.set(everyMs, together)
      again()
    }
    return () => together.delete(act)

    function again(): void {
      after(everyMs, () => {
        again()
        for (const one of together) one()
      })
    }
  }
}

/** Four times as often would take as much longer, and find nothing more. */
const EVERY_MS_MIN = 1_000

function opsOf(watcher: Watcher, clock: Clock): Ops {
  const counts = Object.fromEntries(COUNT_NAMES.map((name) => [name, 0])) as Counts
  const nothing = () => {}
  const distribution = { record: nothing, quantiles: () => ({ count: 0, p50: 0, p99: 0 }) }
  const log = {
    info: nothing,
    warn: nothing,
    error: (facts: object) => watcher.onFault('a fault of its own', facts),
  }
  return {
    log,
    counts,
    distributions: { batchRows: distribution, writeMs: distribution, ackMs: distribution },
    audit: { act: nothing, adminLogin: nothing, refused: nothing, flush: nothing },
    lastErrors: createLastErrors({ lastErrorsMax: 10 }, clock),
    faults: createFaults(log, counts),
  }
}

function createPublisher(links: () => Iterable<Link>, life: Life) {
  let published: { topic: string; frame: Frame }[] = []
  return { publisher: { publish, flush }, hasPublished: () => published.length > 0 }

  function publish(topic: string, bytes: Uint8Array): void {
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
}
