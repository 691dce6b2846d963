/**
 * Devices, viewers, a hub and a database in one place, with all chance and all time from one seed. It puts them together
 * and lets time pass; what happens to them is the adversary's business, what must be so the witnesses'.
 */
import { keyHashOf } from '../../src/access/deviceKey.ts'
import type { Peer } from '../../src/sockets/peer.ts'
import { type Chance, createChance } from '../rig/chance.ts'
import { type Clock, createClock, settled } from './clock.ts'
import { grantOf } from './database.ts'
import { createDevice, type VirtualDevice } from './device.ts'
import { createDeviceWitness } from './deviceWitness.ts'
import { createHub, type Hub } from './hub.ts'
import { drawLimits } from './limits.ts'
import { type Client, createLink, type Link, type Seat } from './network.ts'
import type { Sometimes } from './sometimes.ts'
import { createStore } from './store.ts'
import { persist, type StrangerOptions, vanish } from './stranger.ts'
import { createTables } from './tables.ts'
import { createViewer, type VirtualViewer } from './viewer.ts'
import { createViewerWitness } from './viewerWitness.ts'

const START_MS = Date.UTC(2026, 0, 1)
const SECOND_MS = 1_000
/** V6. */
const RIGHTS_WITHIN_MS = 2_000
const OWNERS = [1, 2]
const ADMIN = 9
const SUB_TYPE = 16
const RESYNC_TYPE = 18

const RARE = {
  clock: 'HELLO refused for a clock that is behind',
  credit: 'no credit left',
  suspect: 'device suspected',
  sweep: 'sweep finds the store away',
} as const

/** Jobs that start nothing a promise could have to do with. */
const AT_ONCE = new Set([
  'to client',
  'statement',
  'late statement',
  'records',
  'device reconnects',
  'viewer reconnects',
  'late SEEN',
  'RESYNC',
  'close seen',
])

export class Violation extends Error {}

export type World = ReturnType<typeof createWorld>

export function createWorld(seed: number, sometimes: Sometimes, trace: (what: string, who: number) => void) {
  const chance: Chance = createChance(seed, 'simulation')
  const clock: Clock = createClock(START_MS)
  const limits = drawLimits(chance)
  let hubOffsetMs = 0
  let hubOffsetMsMax = 0
  let failure: Violation | null = null
  let linkNumber = 0
  let clientNumber = 0
  let hub: Hub | null = null
  const links = new Set<Link>()
  const deviceOffsets = new Map<number, number>()
  /** The one that each device has been given last. */
  const keys = new Map<number, string>()
  const tables = createTables({
    onInsert: (device, row) => deviceWitness.onInsert(device, row),
    onClaim: () => sometimes.note('session claimed'),
  })
  const store = createStore(clock, chance.fork('store'), tables, sometimes)
  const deviceWitness = createDeviceWitness({
    limits,
    tables,
    sometimes,
    fail,
    isOverdue,
    noteWelcome,
    hubNow,
  })
  const viewerWitness = createViewerWitness({
    hasContent: deviceWitness.hasContent,
    tables,
    sometimes,
    fail,
    isOverdue,
    hubNow,
  })
  const devices: VirtualDevice[] = []
  const viewers: VirtualViewer[] = []
  for (const id of [...OWNERS, ADMIN])
    tables.users.set(id, { id, role: id === ADMIN ? 'admin' : 'user', isActive: true })
  /** Withdrawn in this step: what it was to the hub is told first. */
  let goneUnheard: number[] = []
  /** When the database came to say that something is withdrawn, by whatever it is. */
  const withdrawnMs = new Map<string, number>()
  /** Of that, what no hub was told; and when one that had it in memory let somebody in all the same. */
  const untold = new Set<string>()
  const trustedMs = new Map<string, number>()
  let hubSinceMs = 0

  return {
    chance,
    clock,
    limits,
    tables,
    store,
    sometimes,
    devices,
    viewers,
    links,
    deviceWitness,
    viewerWitness,
    fail,
    populate,
    /** `device 1`, `key <hash>`, `share 1`, `user 9`, `active 1`: no grant any more, or less of one. */
    noteWithdrawn,
    noteRestored: (what: string) => {
      for (const notes of [withdrawnMs, untold, trustedMs]) notes.delete(what)
    },
    keys,
    /** Whoever still has this key goes on with it, for so long. */
    persist: (deviceId: number, deviceKey: string, forMs: number) =>
      persist(stranger(deviceId, deviceKey), clock.nowMs + forMs),
    /** A device that loses its line before it is welcomed. */
    vanish: (deviceId: number, afterMs: number) => vanish(stranger(deviceId, keys.get(deviceId)!), afterMs),
    startHub,
    killHub,
    stopHub,
    run,
    verify,
    shiftDevice: (device: VirtualDevice, ms: number) => {
      deviceOffsets.set(devices.indexOf(device), ms)
    },
    get hub() {
      return hub
    },
    /** The farthest that the clock of a hub was ahead. */
    get hubOffsetMsMax() {
      return hubOffsetMsMax
    },
    get hubOffsetMs() {
      return hubOffsetMs
    },
    set hubOffsetMs(ms: number) {
      hubOffsetMs = ms
      hubOffsetMsMax = Math.max(hubOffsetMsMax, ms)
    },
  }

  function fail(what: string): void {
    failure ??= new Violation(what)
  }

  function noteWithdrawn(what: string, isTold: boolean): void {
    if (withdrawnMs.has(what)) return
    withdrawnMs.set(what, clock.nowMs)
    if (!isTold) untold.add(what)
  }

  /** Once: from then on it is known. */
  function noteWelcome(what: string): void {
    if (untold.has(what) && !trustedMs.has(what)) trustedMs.set(what, clock.nowMs)
  }

  /** Whether a hub that looks every second must have found out, from a store that answers. */
  function isOverdue(what: string): boolean {
    const knowableMs = trustedMs.get(what) ?? withdrawnMs.get(what) ?? Number.POSITIVE_INFINITY
    const sinceMs = Math.max(knowableMs, store.fineSinceMs, hubSinceMs)
    return clock.nowMs > sinceMs + RIGHTS_WITHIN_MS
  }

  function hubNow(): number {
    return clock.nowMs + hubOffsetMs
  }

  function populate(): void {
    everySecond()
    const count = chance.whole(2, 4)
    for (let id = 1; id <= count; id++) {
      const deviceKey = `alzy_${id}_${String(id).padEnd(43, 'k')}`
      const userId = OWNERS[id % 2]!
      const keyHash = keyHashOf(deviceKey)
      keys.set(id, deviceKey)
      tables.devices.set(id, {
        id,
        userId,
        keyHash,
        isActive: true,
        points: new Map(),
        rejected: new Set(),
        lastSeenMs: null,
      })
      // One key in two devices.
      const twins = devices.length < id && chance.yes(0.25) ? 2 : 1
      for (let twin = 0; twin < twins; twin++) addDevice(id)
    }
    tables.shares.set(1, { id: 1, userId: OWNERS[0]!, deviceIds: [2, 4], isEnded: false })
    const choices: [string, [number[] | null, number[] | null]][] = [
      // Two of a topic: one may be live while the other is not yet.
      [`user ${OWNERS[0]}`, [null, null]],
      [`user ${OWNERS[0]}`, [null, null]],
      [`user ${OWNERS[1]}`, [null, [1, 3]]],
      [`user ${ADMIN}`, [[], null]],
      ['share 1', [null, null]],
    ]
    for (const [token, wants] of choices) if (chance.yes(0.6)) addViewer(token, wants)
  }

  function addDevice(deviceId: number): void {
    const index = devices.length
    clientNumber += 1
    deviceOffsets.set(index, 0)
    const device = createDevice({
      deviceId,
      deviceKey: () => keys.get(deviceId)!,
      mayEnter: () => {
        const { userId, isActive } = tables.devices.get(deviceId)!
        return isActive && tables.users.get(userId)!.isActive
      },
      clock,
      chance: chance.fork(`device ${index}`),
      sometimes,
      client: clientNumber,
      now: () => clock.nowMs + deviceOffsets.get(index)!,
      connect: (client) =>
        connect(
          'device',
          client,
          (link) => deviceWitness.opened(link, deviceId, keyHashOf(keys.get(deviceId)!)),
          deviceWitness,
        ),
      onSent: deviceWitness.onSent,
      onMisbehaviour: ({ number }) => deviceWitness.breaks(number),
    })
    devices.push(device)
    clock.at(chance.whole(0, 2_000), 'device starts', clientNumber, device.start)
  }

  function stranger(deviceId: number, deviceKey: string): StrangerOptions {
    clientNumber += 1
    const opened = (link: Link) => deviceWitness.opened(link, deviceId, keyHashOf(deviceKey))
    return {
      clock,
      chance: chance.fork(`stranger ${clientNumber}`),
      client: clientNumber,
      deviceKey,
      connect: (client) => connect('device', client, opened, deviceWitness),
    }
  }

  function addViewer(token: string, wants: [number[] | null, number[] | null]): void {
    clientNumber += 1
    const viewer = createViewer({
      token,
      wants,
      mayEnter: () => grantOf(tables, token) !== null,
      clock,
      chance: chance.fork(`viewer ${clientNumber}`),
      sometimes,
      client: clientNumber,
      connect: (client) =>
        connect('viewer', client, (link) => viewerWitness.opened(link, token), {
          onSend: viewerWitness.onSend,
          onLost: viewerWitness.lost,
          onEnd: viewerWitness.onEnd,
        }),
    })
    viewers.push(viewer)
    clock.at(chance.whole(0, 10_000), 'viewer starts', clientNumber, viewer.start)
  }

  function connect(
    kind: 'device' | 'viewer',
    client: Client,
    opened: (link: Link) => void,
    witness: Parameters<typeof createLink>[4],
  ): Link {
    linkNumber += 1
    const number = linkNumber
    const open = ({ peer }: { peer: Peer }) => {
      const seat = hub?.open(kind, peer) ?? null
      return seat !== null && kind === 'viewer' ? watched(seat, number) : seat
    }
    const link = createLink(clock, chance.fork(`link ${number}`), client, open, witness, number)
    for (const old of links) if (old.isDone) links.delete(old)
    links.add(link)
    opened(link)
    return link
  }

  function watched(seat: Seat, number: number): Seat {
    viewerWitness.seated(number, seat)
    return {
      ...seat,
      message: (bytes) => {
        seat.message(bytes)
        if (bytes[1] === SUB_TYPE || bytes[1] === RESYNC_TYPE) viewerWitness.asked(number)
      },
      dropped: () => {
        sometimes.note('frames dropped for a viewer')
        viewerWitness.lost(number)
        seat.dropped()
      },
    }
  }

  function startHub(): void {
    deviceWitness.begin()
    hubSinceMs = clock.nowMs
    // It reads everything anew.
    for (const { id, isActive } of tables.devices.values()) if (!isActive) viewerWitness.deviceGone(id)
    hub = createHub({
      limits,
      store,
      links: () => links,
      watcher: {
        onOffer: (entry) => {
          deviceWitness.onOffer(entry)
          viewerWitness.onOffer(entry, hub!.live.isWatched(entry.device))
        },
        onStored: (batch) => {
          deviceWitness.onStored(batch)
          viewerWitness.onStored(batch)
        },
        onPublish: viewerWitness.onPublish,
        newestReceivedMs: () => deviceWitness.latestMs,
        onRare: (what) => sometimes.note(RARE[what]),
        onWithdrawn: (why, grant) => {
          if (why !== 'gone' || grant.role !== 'device') return
          sometimes.note('device withdrawn behind the back of the hub')
          goneUnheard.push(grant.deviceId)
        },
        onFault: (what, error) =>
          fail(`${what}: ${error instanceof Error ? error.stack : JSON.stringify(error)}`),
      },
      clock,
      now: hubNow,
      random: chance.fork(`hub ${clock.nowMs}`).next,
    })
  }

  /** The devices look at their own clocks. */
  function everySecond(): void {
    clock.at(SECOND_MS, 'second', 0, () => {
      for (const device of devices) device.tend()
      everySecond()
    })
  }

  function killHub(): void {
    if (hub === null) return
    countUp(hub)
    hub.kill()
    hub = null
    for (const link of links) link.killHub()
  }

  function stopHub(): void {
    const stopping = hub
    if (stopping === null || stopping.isStopping) return
    void stopping.stop(() => {
      sometimes.note('hub stopped')
      if (hub === stopping) killHub()
    })
  }

  function countUp({ counts }: Hub): void {
    sometimes.note('viewer demoted', counts.viewersDemoted)
    sometimes.note('viewer returned', counts.viewersReturned)
    sometimes.note('key trusted from memory', counts.keysTrusted)
  }

  /** Lets time pass until `isDone` says so, looking after each step; throws what must never be. */
  async function run(isDone: () => boolean): Promise<void> {
    while (!isDone()) {
      const job = clock.next()
      if (job === null) return
      trace(job.what, job.who)
      job.act!()
      if (!AT_ONCE.has(job.what)) await settled()
      if (hub !== null) look(hub)
      verify()
    }
  }

  /** Throws what was found to be wrong, also where no time passes any more. */
  function verify(): void {
    if (failure !== null) throw failure
  }

  function look(of: Hub): void {
    deviceWitness.check()
    // The server hands over what is published when its handlers are through, which may be several.
    if (goneUnheard.length === 0 && chance.yes(0.3)) return
    of.flush()
    for (const id of goneUnheard) viewerWitness.deviceGone(id)
    goneUnheard = []
    viewerWitness.check(of)
    const { credit, backlog, fleet } = of
    if (credit.heldPoints > limits.backlogPointsMax) fail(`${credit.heldPoints} points held`)
    if (backlog.points > credit.heldPoints)
      fail(`${backlog.points} points in the backlog, ${credit.heldPoints} held`)
    if (fleet.count > tables.devices.size) fail(`${fleet.count} devices in memory`)
  }
}
