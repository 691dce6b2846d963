/** What goes wrong while the world runs, drawn from its chance: the ordinary life of devices, and every fault there is. */
import { keyHashOf } from '../../src/access/deviceKey.ts'
import type { VirtualDevice } from './device.ts'
import { type DeviceTable, POISON_ACCURACY, type UserTable } from './tables.ts'
import type { World } from './world.ts'

const MOVE_EVERY_MS_MAX = 400
const LAT = 481_234_567
const BAD_LAT = 900_000_001
const HOUR_MS = 3_600_000
const PROFILE = { name: 'renamed', color: 'red', platform: 'ios' } as const

/** Half of it with a key that is good. */
const STOLEN_MS = 12_000

export type Adversary = ReturnType<typeof createAdversary>

export function createAdversary(world: World) {
  const { chance, clock, limits, tables, store, sometimes, devices, viewers } = world
  let isOver = false
  let serial = 0
  let hasVanished = false
  /** How likely each kind of trouble is in this world: some worlds are calm but for one thing. */
  const weights = MOVES.map(() => chance.pick([0, 1, 1, 3]))
  const moves: Record<(typeof MOVES)[number], () => void> = {
    cut: () => {
      const isSilent = chance.yes(0.3)
      sometimes.note(isSilent ? 'link half-open' : 'link cut')
      anybody().cut(isSilent)
    },
    pace: () => anybody().pace(chance.pick([1, 20, 500, 3_000])),
    stall: () => {
      const who = anybody()
      who.stall(true)
      clock.at(chance.pick([3_000, 12_000, 45_000]), 'reads again', 0, () => who.stall(false))
    },
    slowAnswers: () => {
      if (viewers.length > 0) chance.pick(viewers).answerMs = chance.pick([0, 100, 6_000, 20_000])
    },
    weather: () => {
      store.weather = chance.pick(['fine', 'fine', 'slow', 'flaky', 'flaky', 'away', 'narrow'])
    },
    kill: () => {
      if (world.hub === null) return
      sometimes.note('hub killed')
      world.killHub()
    },
    stop: () => world.stopHub(),
    hubClock: () => {
      const ms = chance.pick([-HOUR_MS, -90_000, -5_000, 5_000, 90_000, HOUR_MS])
      sometimes.note(ms > 0 ? 'hub clock jumps ahead' : 'hub clock jumps back')
      world.hubOffsetMs += ms
    },
    deviceClock: () => {
      sometimes.note('device clock jumps')
      const ms = chance.pick([
        -HOUR_MS,
        -5_000,
        0,
        5_000,
        90_000,
        HOUR_MS,
        chance.yes(0.3) ? 26 * HOUR_MS : 0,
      ])
      world.shiftDevice(chance.pick(devices), ms)
    },
    backlog: () => {
      const device = chance.pick(devices)
      for (let i = chance.whole(5, 25); i > 0; i--) record(device)
    },
    poison: () => record(chance.pick(devices), { accuracy: POISON_ACCURACY }),
    coordinate: () => record(chance.pick(devices), { lat: BAD_LAT }),
    future: () => chance.pick(devices).record(values(), chance.pick([70_000, 25 * HOUR_MS])),
    session: () => session(chance.pick(devices)),
    bye: () => chance.pick(devices).bye(),
    misbehave: () => {
      const device = chance.pick(devices)
      device.misbehave(chance.pick(['window', 'sequence']), values)
    },
    rewrite: () => {
      chance.pick(devices).rewrite(values())
    },
    vanish: () => {
      // As rarely as retention does: a second time in one batch, and the point would be taken for the culprit.
      if (hasVanished) return
      store.weather = 'flaky'
      const count = tables.dropEmptySessions()
      hasVanished = count > 0
      if (count > 0) sometimes.note('sessions vanish from the store', count)
    },
    withdraw: () => chance.yes(0.6) && withdraw(),
    // Or it was done over another hub.
    newKey: () => newKey(chance.pick([...tables.devices.values()]), chance.yes(0.6)),
    rename: () => {
      const device = chance.pick([...tables.devices.values()])
      if (device.isActive) world.hub?.changes.onDevice({ ...device, ...PROFILE } as never)
    },
    deactivate: () =>
      deactivate(chance.pick([...tables.users.values()].filter(({ role }) => role === 'user'))),
    renew: () => viewers.length > 0 && chance.pick(viewers).renew(),
    resubscribe: () => viewers.length > 0 && chance.pick(viewers).subscribe(),
  } as Record<(typeof MOVES)[number], () => void>
  return { begin, end, record, conclude, stealKey }

  function begin(): void {
    for (const device of devices) keepRecording(device)
    next()
  }

  /** Everything heals, but for what was withdrawn. */
  function end(): void {
    isOver = true
    store.weather = 'fine'
    for (const user of tables.users.values()) setActive(user, true)
    for (const viewer of viewers) viewer.answerMs = 0
    for (const one of [...viewers, ...devices]) {
      one.stall(false)
      one.pace(5)
    }
  }

  function next(): void {
    clock.at(chance.whole(1, MOVE_EVERY_MS_MAX), 'adversary', 0, () => {
      if (isOver) return
      // Somebody starts it again, sooner or later.
      if (world.hub === null) {
        if (chance.yes(0.5)) world.startHub()
      } else {
        const move = draw()
        if (move !== null) moves[move]()
      }
      next()
    })
  }

  function draw(): (typeof MOVES)[number] | null {
    const at = chance.whole(
      0,
      weights.reduce((sum, weight) => sum + weight, 0),
    )
    let sum = 0
    for (let i = 0; i < weights.length; i++) {
      sum += weights[i]!
      if (at < sum) return MOVES[i]!
    }
    return null
  }

  function anybody() {
    return chance.pick<Pick<VirtualDevice, 'cut' | 'pace' | 'stall'>>([...devices, ...viewers])
  }

  function keepRecording(device: VirtualDevice): void {
    const rest = chance.yes(0.1) ? limits.sessionGapMs : 0
    clock.at(chance.whole(300, 4_000) + rest * chance.next(), 'records', device.deviceId, () => {
      if (isOver) return
      record(device)
      keepRecording(device)
    })
  }

  function record(device: VirtualDevice, { lat = LAT, accuracy = 450 } = {}): void {
    device.record(values(lat, accuracy))
  }

  /** A point that is newer than all that count of its device. */
  function conclude(device: VirtualDevice): void {
    const hubNowMs = clock.nowMs + world.hubOffsetMs
    const latestMs = world.deviceWitness.latest(device.deviceId, hubNowMs + 60_000)
    // Each a moment of its own, of twins too: of two points with one time the first stays.
    let atMs = Math.max(latestMs + 1, hubNowMs) + devices.indexOf(device)
    while (atMs % 1000 === 999 || world.deviceWitness.isTaken(device.deviceId, atMs)) atMs += 1
    device.recordAt(atMs, values())
  }

  /** No two points of a world are alike. */
  function values(lat = LAT, accuracy = 450): number[] {
    serial += 1
    return [lat === BAD_LAT ? lat : lat + serial, 115_678_901, accuracy]
  }

  function session(device: VirtualDevice): void {
    const nowMs = Math.max(device.lastRecordedMs, clock.nowMs)
    const open = device.sessionMs
    if (open !== null) {
      const op = chance.pick([1, 2, 3, 3])
      return void device.op(op, open, nowMs)
    }
    // Now and then one that the hub had made up is claimed, or one that the store refuses.
    const automatic = [...tables.sessions.values()].find(
      ({ id, deviceId }) => deviceId === device.deviceId && tables.automatic.has(id),
    )
    const isClaim = automatic !== undefined && chance.yes(0.3)
    const poisonMs = Math.floor(nowMs / 1000) * 1000 + 999
    const freshMs = nowMs % 1000 === 999 ? nowMs + 1 : nowMs
    const startMs = isClaim ? automatic.startedMs : chance.yes(0.1) ? poisonMs : freshMs
    device.op(0, startMs, startMs)
  }

  function withdraw(): void {
    const { hub, viewerWitness } = world
    if (hub === null) return
    const what = chance.pick(['device', 'device silently', 'share', 'admin'])
    if (what === 'share') {
      tables.shares.get(1)!.isEnded = true
      world.noteWithdrawn('share 1', true)
      hub.changes.onShareEnded({ id: 1 } as never)
      viewerWitness.tokenEnded('share 1')
    } else if (what === 'admin') {
      const admin = tables.users.get(9)!
      admin.role = 'user'
      world.noteWithdrawn('user 9', true)
      hub.changes.onUser(admin as never)
      viewerWitness.tokenEnded('user 9')
    } else {
      withdrawDevice(chance.pick([...tables.devices.values()]), what === 'device silently')
    }
  }

  /** The old one is refused; whoever has the device gives it the new one, at once or when it is refused. */
  function newKey(device: DeviceTable, isTold: boolean): void {
    const { id, userId, isActive } = device
    serial += 1
    world.noteWithdrawn(`key ${device.keyHash}`, isTold)
    const deviceKey = `alzy_${id}_${String(serial).padEnd(43, 'n')}`
    world.keys.set(id, deviceKey)
    device.keyHash = keyHashOf(deviceKey)
    if (isTold) {
      world.hub?.changes.onDeviceKey({ id, userId, isActive, ...PROFILE } as never, device.keyHash)
    }
  }

  /** Somebody else goes on with the key of a device that has gone; it is replaced, and nobody tells the hub. */
  function stealKey(device: DeviceTable): void {
    world.persist(device.id, world.keys.get(device.id)!, STOLEN_MS)
    clock.at(STOLEN_MS / 2, 'key replaced', device.id, () => newKey(device, false))
  }

  function deactivate(user: UserTable): void {
    setActive(user, false)
    clock.at(chance.whole(1_000, 8_000), 'active again', user.id, () => setActive(user, true))
  }

  function setActive(user: UserTable, isActive: boolean): void {
    if (user.isActive === isActive) return
    user.isActive = isActive
    const isTold = chance.yes(0.6)
    if (isActive) world.noteRestored(`active ${user.id}`)
    else world.noteWithdrawn(`active ${user.id}`, isTold)
    if (isTold) world.hub?.changes.onUser({ ...user, providers: {} } as never)
  }

  function withdrawDevice(
    device: { id: number; userId: number; isActive: boolean },
    isSilent: boolean,
  ): void {
    const { hub, viewerWitness } = world
    if (!device.isActive) return
    device.isActive = false
    world.noteWithdrawn(`device ${device.id}`, !isSilent)
    if ((hub!.fleet.get(device.id)?.pendingFrames ?? 0) > 0)
      sometimes.note('device withdrawn with frames in flight')
    // The hub finds out when it looks, as long as the device is connected.
    if (isSilent) return
    sometimes.note('device withdrawn')
    hub!.changes.onDeviceGone(device)
    world.deviceWitness.deviceGone(device.id)
    hub!.flush()
    viewerWitness.deviceGone(device.id)
  }
}

const MOVES = [
  'cut',
  'pace',
  'stall',
  'slowAnswers',
  'weather',
  'kill',
  'stop',
  'hubClock',
  'deviceClock',
  'backlog',
  'poison',
  'coordinate',
  'future',
  'session',
  'bye',
  'misbehave',
  'rewrite',
  'vanish',
  'withdraw',
  'newKey',
  'rename',
  'deactivate',
  'renew',
  'resubscribe',
] as const
