/** Too much of everything: descriptors that run out, devices that all send at once, connections that come and go. */
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import net from 'node:net'
import { expect } from 'vitest'
import { inspectable } from '../rig/heap.ts'
import { SUB } from '../rig/points.ts'
import { until } from '../rig/until.ts'
import { openDevice, openViewer } from '../rig/wire.ts'
import { IS_LONG, type Stage, scenario } from './scenario.ts'

/** What may be more afterwards than before, of anything that is counted here: a socket of ours that is just closing. */
const SPARE = 8
/** A heap that has not been collected yet; what devices wait with is a multiple of it. */
const RESIDENT_BYTES_MAX = 128 * 1024 * 1024
const WINDOW_POINTS = 200
/** Each way. */
const DATABASE_DELAY_MS = 5
const VISITS = 18
const WAYS = 6
/** Of so many visits, in each try. */
const ROUNDS = IS_LONG ? 200 : 100
/** What is made at the first of them stays. */
const FIRST_ROUNDS = IS_LONG ? 200 : 50
/**
 * Four times the most that runs ended with, with two slabs of frames (64 KiB each) that come and go in it. After all tries
 * that is 31 bytes for each visit of one way in the long form, and 250 in the short one.
 */
const HEAP_SPARE_BYTES = 150_000
const OVERLOAD = 2
const OVERLOAD_MS = IS_LONG ? 120_000 : 2_000

scenario({ fault: 'hub out of file descriptors', tries: { short: 1, long: 20 } }, async (on) => {
  const pid = on.hub.process.pid!
  const held = descriptorsOf(pid)
  execFileSync('prlimit', [`--pid=${pid}`, `--nofile=${held + 4}:20000`])
  const crowd = Array.from({ length: 50 }, () => net.connect(on.hub.port, '127.0.0.1'))
  for (const socket of crowd) socket.on('error', () => {})
  await until(() => descriptorsOf(pid) >= held + 4, 'every descriptor to be taken')
  // Devices come back to a hub that has no descriptor for them.
  const tried = on.devices.map(({ counts }) => counts.connections)
  for (const device of on.devices) device.crash()
  const isBack = () => on.devices.every((device) => device.isWelcome())
  const haveTried = () => on.devices.every(({ counts }, i) => counts.connections > tried[i]!)
  await until(haveTried, 'every device to have tried to come back')
  // The crowd came first, and is larger than what the devices gave back.
  await until(() => descriptorsOf(pid) >= held + 4, 'every descriptor to be taken again')
  expect(on.devices.some((device) => device.isWelcome())).toBe(false)
  on.heals()
  execFileSync('prlimit', [`--pid=${pid}`, '--nofile=20000:20000'])
  for (const socket of crowd) socket.destroy()
  await until(isBack, 'every device to be back', 60_000)
  expect(on.hub.process).toMatchObject({ exitCode: null, signalCode: null })
})

scenario(
  {
    fault: 'devices record twice what the database takes, for two minutes',
    shortFault: 'devices record twice what the database takes, for two seconds',
    tries: { short: 1, long: 1 },
    // Slow in a way that is the same everywhere: two journeys for every few points.
    proxied: 'database',
    env: { ALZY_WRITE_ROWS_MAX: '20', ALZY_WRITER_LANES: '1', ALZY_WINDOW_POINTS_MAX: String(WINDOW_POINTS) },
    // Whatever that is: they record two points for each that is acknowledged, and hardly any besides. That is faster
    // than time passes, so from the past on.
    device: {
      recordedPerAcknowledged: OVERLOAD,
      pace: { everyMs: [500, 1_500], points: [1, 12] },
      now: () => Date.now() - 12 * 3_600_000,
    },
    tryMs: 240_000,
  },
  async (on) => {
    on.proxy.delay(DATABASE_DELAY_MS)
    const resident = () => on.hub.metric('process_resident_memory_bytes')
    const areHeldBack = () => on.devices.every((device) => device.isHeldBack())
    await until(areHeldBack, 'every device to have more than it may send', 60_000)
    const before = await resident()
    const [recorded, acknowledged] = pointsOf(on)
    for (const endMs = performance.now() + OVERLOAD_MS; performance.now() < endMs; ) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      expect(areHeldBack()).toBe(true)
      const backlog = await on.hub.metric('alzy_backlog_points')
      expect(backlog).toBeLessThanOrEqual(on.devices.length * WINDOW_POINTS)
      expect((await resident()) - before).toBeLessThan(RESIDENT_BYTES_MAX)
    }
    const [recordedNow, acknowledgedNow] = pointsOf(on)
    expect(acknowledgedNow).toBeGreaterThan(acknowledged)
    expect(recordedNow - recorded).toBeGreaterThanOrEqual(OVERLOAD * (acknowledgedNow - acknowledged))
    for (const device of on.devices) device.pauseRecording()
    on.heals()
    on.proxy.delay(0)
  },
)

/** Recorded so far, and acknowledged of them. */
function pointsOf({ devices }: Stage): [recorded: number, acknowledged: number] {
  const notes = devices.flatMap(({ ledger }) => ledger.notes)
  return [notes.length, notes.filter((note) => note.acknowledgedMs !== null).length]
}

const inspected = await inspectable()
/** Of the device that visits. */
let ownKey = ''
/** After the first visits. */
let warm: { figures: Figures; heldBytes: number }

scenario(
  {
    fault: 'connections that come and go, with and without HELLO, in the middle of a frame',
    tries: { short: 2, long: 8 },
    env: inspected.env,
    expectedOfHub: /^(Debugger|For help, see: https:\/\/nodejs\.org\/en\/docs\/inspector)/,
    tryMs: 60_000,
  },
  async (on, number) => {
    const visits = async (rounds: number) => {
      for (let round = 0; round < rounds; round++) {
        await Promise.all(Array.from({ length: VISITS }, (_, i) => visit(on, i)))
      }
    }
    await until(() => on.devices.every((device) => device.isWelcome()), 'every device to be there')
    if (number === 1) {
      ownKey = (await on.hub.addDevice(on.user)).deviceKey
      await visits(FIRST_ROUNDS)
      await rest(on)
      warm = { figures: await figuresOf(on), heldBytes: await inspected.heldBytes() }
      for (const device of on.devices) device.goOnRecording()
    }
    const refused = await on.hub.metric('alzy_hello_refused_total')
    await visits(ROUNDS)
    expect((await on.hub.metric('alzy_hello_refused_total')) - refused).toBeGreaterThanOrEqual(
      (ROUNDS * VISITS) / WAYS,
    )
    await rest(on)
    for (const [name, value] of Object.entries(warm.figures)) {
      const isBack = async () => (await figuresOf(on))[name as keyof Figures] <= value + SPARE
      await until(isBack, `${name} to be what it was before`, 60_000)
    }
    const isSmall = async () => (await inspected.heldBytes()) - warm.heldBytes < HEAP_SPARE_BYTES
    await until(isSmall, 'the heap to be what it was before', 60_000)
    for (const device of on.devices) device.goOnRecording()
  },
)

/** What devices that stream hold now and not before is none of the visits'. */
async function rest({ devices }: Stage): Promise<void> {
  for (const device of devices) device.pauseRecording()
  await until(() => devices.every((device) => device.isSettled()), 'all that was recorded is acknowledged')
}

/** Six ways to leave a hub, none of them kind. */
async function visit(on: Stage, place: number): Promise<void> {
  const way = place % WAYS
  if (way === 0) {
    // Refused, and gone.
    const deviceKey = `alzy_${on.keys[0]!.id}_${'A'.repeat(43)}`
    await (await openDevice(on.url(), { deviceKey })).closed
  } else if (way === 1) {
    ;(await openDevice(on.url(), { hello: false })).terminate()
  } else if (way === 2) {
    const device = await openDevice(on.url(), { deviceKey: ownKey })
    // Or another visit of this moment takes its place.
    await device.welcome.catch(() => {})
    device.terminate()
  } else if (way === 3) {
    const viewer = await openViewer(on.url(), { token: on.user.token })
    await viewer.welcome
    viewer.send([SUB])
    viewer.terminate()
  } else {
    const socket = net.connect(on.hub.port, '127.0.0.1')
    socket.on('error', () => {})
    await new Promise((resolve) => socket.once('connect', resolve))
    socket.write(way === 4 ? 'GET /v1/device HTTP/1.1\r\nhost: a\r\nupgr' : on.chance.bytes(40))
    socket.resetAndDestroy()
  }
}

type Figures = Awaited<ReturnType<typeof figuresOf>>

async function figuresOf(on: Stage) {
  const pid = on.hub.process.pid!
  return {
    descriptors: descriptorsOf(pid),
    threads: readdirSync(`/proc/${pid}/task`).length,
    sockets: await on.hub.metric('alzy_devices'),
    viewers: await on.hub.metric('alzy_viewers'),
    waiting: await on.hub.metric('alzy_waiting_sockets'),
    httpConnections: await on.hub.metric('alzy_http_connections'),
    handles: await on.hub.metric('nodejs_active_handles_total'),
    timers: await timersOf(on),
    addressesHeld: await on.hub.metric('alzy_addresses_held'),
    devicesHeld: await on.hub.metric('alzy_devices_held'),
  }
}

/** Node's own count of what keeps it going. */
async function timersOf(on: Stage): Promise<number> {
  const text = await (await fetch(`${on.hub.http}/metrics`)).text()
  return Number(/^nodejs_active_resources\{type="Timeout"\} (.+)$/m.exec(text)?.[1])
}

function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}
