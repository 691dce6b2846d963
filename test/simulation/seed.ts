/** One seed from its beginning to its end: trouble, healing, and then everything has to be where it belongs. */
import { createAdversary } from './adversary.ts'
import type { View } from './picture.ts'
import type { Sometimes } from './sometimes.ts'
import { AHEAD_MS, type PointRow } from './tables.ts'
import { createWorld, Violation, type World } from './world.ts'

export interface Outcome {
  /** Of every step: the same seed has the same. */
  hash: number
  steps: number
  acknowledged: number
  /** null: all is well. */
  failure: string | null
  /** The last steps, for a person to read. */
  last: string[]
}

const TROUBLE_MS = 16_000
const QUIET_MS = 3_000
const HEALING_MS = 30 * 60_000
const LEAVING_MS = 200_000
/** Everybody has gone by then, and nothing of them is under way. */
const GONE_BY_MS = 100_000
const VANISH_MS_MAX = 60
const STEPS_KEPT = 60
/** The hub had begun long ago when the adversary begins. */
const START_MS = Date.UTC(2026, 0, 1)

export async function runSeed(seed: number, sometimes: Sometimes, keepsAll = false): Promise<Outcome> {
  const outcome: Outcome = { hash: 0x811c9dc5, steps: 0, acknowledged: 0, failure: null, last: [] }
  const recent: [atMs: number, what: string, who: number][] = []
  const world = createWorld(seed, sometimes, (what, who) => {
    outcome.steps += 1
    mix(world.clock.nowMs % 1e9)
    mix(codeOf(what))
    mix(who)
    if (!keepsAll && recent.length >= 2 * STEPS_KEPT) recent.splice(0, STEPS_KEPT)
    recent.push([world.clock.nowMs - START_MS, what, who])
  })
  try {
    await live(world)
  } catch (error) {
    // What nobody expected is told with its seed as well.
    outcome.failure = error instanceof Violation ? error.message : String((error as Error).stack ?? error)
    outcome.last = recent
      .slice(keepsAll ? 0 : -STEPS_KEPT)
      .map(([atMs, what, who]) => `${String(atMs).padStart(8)} ms  ${what}${who === 0 ? '' : ` of ${who}`}`)
  }
  outcome.acknowledged = world.deviceWitness.acknowledged
  return outcome

  function mix(value: number): void {
    outcome.hash = Math.imul(outcome.hash ^ value, 0x01000193) >>> 0
  }
}

async function live(world: World): Promise<void> {
  const { clock, chance, devices, viewers, tables } = world
  world.populate()
  world.startHub()
  const adversary = createAdversary(world)
  adversary.begin()
  await world.run(() => clock.nowMs >= START_MS + TROUBLE_MS)

  adversary.end()
  // A clock that is right again is not behind what is stored.
  world.hubOffsetMs = world.hubOffsetMsMax
  for (const device of devices) world.shiftDevice(device, world.hubOffsetMs)
  if (world.hub === null || world.hub.isStopping) {
    world.killHub()
    world.startHub()
  }
  for (const viewer of viewers) {
    // Some come back by themselves, most users load the page again.
    if (chance.yes(0.7)) viewer.cut(false)
    viewer.wake()
  }
  for (const device of devices) {
    device.wake()
    for (let i = 0; i < 2; i++) {
      clock.at(chance.whole(1, QUIET_MS), 'records', device.deviceId, () => adversary.record(device))
    }
  }
  await quiet(world)
  // The last word of each device is its newest point, alone in its frame: it has to be seen (D9).
  for (const device of devices) {
    if (world.tables.devices.get(device.deviceId)!.isActive) adversary.conclude(device)
  }
  await quiet(world)
  judge(world)
  world.verify()

  const leavingMs = clock.nowMs
  for (const one of [...devices, ...viewers]) one.switchOff()
  const robbed = [...tables.devices.values()].find(({ isActive }) => isActive)
  if (robbed !== undefined && chance.yes(0.3)) {
    clock.at(GONE_BY_MS / 2, 'key stolen', robbed.id, () => adversary.stealKey(robbed))
  }
  // The last that the hub hears of a device may be a HELLO whose line is gone when the answer comes.
  for (const { id, isActive } of tables.devices.values()) {
    if (isActive)
      clock.at(GONE_BY_MS, 'last HELLO', id, () => world.vanish(id, chance.whole(1, VANISH_MS_MAX)))
  }
  await world.run(() => clock.nowMs > leavingMs + GONE_BY_MS + QUIET_MS)
  const leftMs = clock.nowMs
  await world.run(() => isEmpty(world) || clock.nowMs > leftMs + LEAVING_MS)
  judgeLeftOver(world)
  for (const { id, isActive } of tables.devices.values()) if (isActive) judgeSeen(world, id)
  world.verify()
  world.killHub()
}

/** Until nothing has been under way for a while, and viewers have heard all that was said. */
async function quiet(world: World): Promise<void> {
  const { clock } = world
  const beganMs = clock.nowMs
  let busyMs = clock.nowMs
  await world.run(() => {
    if (!isQuiet(world)) busyMs = clock.nowMs
    const isOver = clock.nowMs > busyMs + QUIET_MS && isHeard(world)
    return isOver || clock.nowMs > beganMs + HEALING_MS
  })
}

/** A hub may find out at the last moment that a right was withdrawn. There is a moment of rest between two TICKs. */
function isHeard({ hub, viewers }: World): boolean {
  return !hub!.hasPublished && viewers.every(({ link }) => link === null || !link.isOpen || link.isRead)
}

/** A sweep that is under way holds one more device for a moment. */
function isEmpty({ hub, limits }: World): boolean {
  const { devices, viewers, backlog, fleet } = hub!
  return devices.count + viewers.count + backlog.frames === 0 && fleet.count <= limits.idleDevicesMax
}

function isQuiet(world: World): boolean {
  const { devices, viewers, hub } = world
  if (hub!.backlog.frames > 0) return false
  if (!devices.every((device) => device.isSettled || isWithdrawn(world, device.deviceId))) return false
  return viewers.every(
    (viewer) => mayBeRefused(world, viewer.token) || (viewer.isSettled && viewer.link!.isLive),
  )
}

function isWithdrawn({ tables }: World, deviceId: number): boolean {
  return !tables.devices.get(deviceId)!.isActive
}

/** Everything sent is stored and acknowledged, and every viewer shows what is stored. */
function judge(world: World): void {
  const { devices, viewers, tables, fail } = world
  for (const device of devices) {
    if (isWithdrawn(world, device.deviceId)) continue
    judgeSeen(world, device.deviceId)
    judgeRate(world, device.deviceId)
    if (!device.isSettled)
      fail(
        `device ${device.deviceId}: not acknowledged long after all healed: ${device.waiting}; ${device.state}`,
      )
  }
  countSessions(world)
  for (const viewer of viewers) {
    // What it wants is for admins, or over.
    if (mayBeRefused(world, viewer.token)) continue
    if (!viewer.isSettled || !viewer.link!.isLive) {
      fail(`${viewer.token}: ${viewer.isRefused ? 'refused' : 'not live'} long after all healed`)
      continue
    }
    world.sometimes.note('viewer live')
    for (const id of visibleTo(world, viewer.token)) {
      const view = viewer.picture.views.get(id)
      const newest = tables.newest(id)
      if (view === undefined) {
        fail(`${viewer.token}: does not show device ${id}`)
        continue
      }
      if (view.online !== world.deviceWitness.isOnline(id))
        fail(`${viewer.token}: shows device ${id} as ${view.online ? 'online' : 'offline'}`)
      // What the store refuses was shown all the same: live runs ahead of it.
      if (world.deviceWitness.hasPoisonSession(id)) continue
      if (!isNewest(view, newest) && !isAheadAtFirst(world, id, view)) {
        fail(`${viewer.token}: shows device ${id} at ${view.lastMs}, and ${newest?.recordedMs} is stored`)
      } else if (newest !== null && isNewest(view, newest) && view.status !== null) {
        const { status, startedMs, isUnheard } = tables.sessions.get(newest.sessionId)!
        // The start that it shows was provisional, and moved before it heard which session it was (V3).
        const hasMoved = view.sessionId === null && view.sessionMs !== startedMs
        world.sometimes.note('status of a session compared')
        if (view.status !== status && !hasMoved && !isUnheard)
          fail(`${viewer.token}: shows device ${id} as ${view.status}, not ${status}`)
      }
    }
  }
}

/** What was noted and is not urgent has come by now. */
function judgeSeen({ tables, deviceWitness, fail }: World, deviceId: number): void {
  const heardMs = deviceWitness.heardMs(deviceId)
  const { lastSeenMs } = tables.devices.get(deviceId)!
  if (heardMs !== null && (lastSeenMs ?? 0) < heardMs) {
    fail(`device ${deviceId}: seen at ${lastSeenMs}, and heard at ${heardMs}`)
  }
}

/** RATE, of whether somebody watches. */
function judgeRate(world: World, deviceId: number): void {
  const { viewers, deviceWitness, fail } = world
  const isWatched = viewers.some(
    ({ token, link }) => link?.isOpen && visibleTo(world, token).includes(deviceId),
  )
  const told = deviceWitness.toldWatched(deviceId)
  if (told !== undefined && told !== isWatched) {
    fail(`device ${deviceId}: told that it is ${told ? '' : 'not '}watched, which is wrong`)
  }
}

function isNewest({ lastMs, lat }: View, newest: PointRow | null): boolean {
  return lastMs === (newest?.recordedMs ?? null) && lat === (newest?.values[0] ?? null)
}

/**
 * It is shown since it came again, when the clock of the hub had caught up with it. To the database, which keeps what came
 * first, it stays ahead of its clock, and does not count.
 */
function isAheadAtFirst({ tables, deviceWitness }: World, deviceId: number, { lastMs, lat }: View): boolean {
  const row = lastMs === null ? undefined : tables.devices.get(deviceId)!.points.get(lastMs)
  if (row === undefined || row.recordedMs <= row.receivedMs + AHEAD_MS) return false
  // The device may have said something else of that moment then.
  return (
    deviceWitness.wasTimely(deviceId, row.recordedMs) &&
    deviceWitness.hasContent(deviceId, row.recordedMs, lat!)
  )
}

function countSessions({ tables, sometimes }: World): void {
  for (const id of tables.devices.keys()) {
    const automatic = [...tables.sessions.values()].filter(
      (row) => row.deviceId === id && tables.automatic.has(row.id),
    )
    if (automatic.length > 0) sometimes.note('automatic session made')
    if (automatic.length > 1) sometimes.note('automatic session split')
    if (automatic.some(({ status }) => status === 'ended')) sometimes.note('automatic session ended')
  }
}

function mayBeRefused({ tables }: World, token: string): boolean {
  return token === 'share 1'
    ? tables.shares.get(1)!.isEnded
    : token === 'user 9' && tables.users.get(9)!.role === 'user'
}

function visibleTo({ tables }: World, token: string): number[] {
  const wanted = (id: number, userId: number) => {
    if (token === 'user 9') return tables.users.get(9)!.role === 'admin'
    if (token === 'share 1') return [2, 4].includes(id)
    return token === `user ${userId}`
  }
  return [...tables.devices.values()]
    .filter(({ id, userId, isActive }) => isActive && wanted(id, userId))
    .map(({ id }) => id)
}

/** Everybody has gone: nothing of them is held. */
function judgeLeftOver({ hub, limits, tables, sometimes, fail }: World): void {
  const { credit, backlog, devices, viewers, fleet, live, heldRights } = hub!
  const left = {
    heldPoints: credit.heldPoints,
    openWindows: credit.openWindows,
    points: backlog.points,
    frames: backlog.frames,
    heldRights,
    liveViewers: live.subscriptions.liveCount,
    devices: devices.count,
    viewers: viewers.count,
    watched: [...tables.devices.values()].filter((device) => live.isWatched(device as never)).length,
    fleet: Math.max(0, fleet.count - limits.idleDevicesMax),
  }
  if (fleet.count < tables.devices.size) sometimes.note('device forgotten by the fleet')
  if (Object.values(left).some((count) => count !== 0)) fail(`left over: ${JSON.stringify(left)}`)
}

const codes = new Map<string, number>()

function codeOf(what: string): number {
  let code = codes.get(what)
  if (code === undefined) {
    code = 0
    for (const character of what) code = (Math.imul(code, 31) + character.codePointAt(0)!) | 0
    codes.set(what, code)
  }
  return code
}
