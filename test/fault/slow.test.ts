/** Peers that are slow or silent on purpose, beside others that are not and must not notice. */
import net from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isDeepStrictEqual } from 'node:util'
import { expect } from 'vitest'
import { BACKFILLED, LIVE, POINTS, PRESENCE, SEEN, SESSION_CHANGE, SNAP, SUB, TICK } from '../rig/points.ts'
import { until } from '../rig/until.ts'
import { type DeviceWire, openDevice, openViewer, type ViewerWire } from '../rig/wire.ts'
import { type Stage, scenario } from './scenario.ts'

const VIEWERS = 200
const COUNTED = [LIVE, PRESENCE, SESSION_CHANGE, BACKFILLED]
/** So that neither a HELLO nor a head is whole before the hub has had enough. */
const DRIP_MS = 150
const TICK_MS = 500
/** Two hundred viewers share this process, and none of them may be late by that alone. */
const SEEN_LATE_MS = 8_000
const ANSWER_LATE_MS = 11_000
/** Viewers that stop reading a device which sends more than the kernel takes for each of them, some megabytes. */
const FLOODED_MAX = 4
const FLOOD_POINTS = 200
const FLOOD_BURST_FRAMES = 50
const FLOOD_DROPS = 20
/** Of the window of a device, so that a slow database does not make the flood a breach. */
const FLOOD_PENDING_POINTS_MAX = 500_000
/** 4408, as it goes over the line in a close frame. */
const HELLO_TIMEOUT = Buffer.from([0x11, 0x38])

for (const percent of [1, 10, 50]) {
  scenario(
    {
      fault: `${percent} % of ${VIEWERS} viewers stop reading, stop answering, or answer late`,
      tries: { short: 1, long: 2 },
      devices: 4,
      env: {
        ALZY_TICK_MS: String(TICK_MS),
        ALZY_SEEN_LATE_MS: String(SEEN_LATE_MS),
        // Who is slow for as long as this process needs stays, by its answers and by its pongs.
        ALZY_SEEN_TIMEOUT_MS: '600000',
        ALZY_HEARTBEAT_S: '240',
        ALZY_SOCKETS_PER_USER_MAX: '1000',
        ALZY_RATE_EVERY_MS: '600000',
        // Everything new is live, whatever the device's clock says, and the flood comes at once.
        ALZY_LIVE_AGE_MS: '86400000',
        ALZY_VIEWER_BUFFER_BYTES_MAX: '65536',
        ALZY_WINDOW_POINTS_MAX: '1000000',
        ALZY_BACKLOG_POINTS_MAX: '20000000',
        ALZY_DEVICE_POINTS_BURST: '100000000',
      },
      device: { pace: { everyMs: [150, 600], points: [1, 5] } },
      tryMs: 120_000,
    },
    async (on) => {
      const { deviceKey } = await on.hub.addDevice(await on.hub.addUser())
      const loud = await openDevice(on.url(), { deviceKey })
      const { deviceId } = await loud.welcome
      const admin = await on.hub.addUser({ role: 'admin' })
      await untilItWasTried(async () => {
        const viewers = await watchers(on, admin.token)
        try {
          await slowDown(on, viewers, loud, deviceId)
        } finally {
          for (const viewer of viewers) viewer.terminate()
          await until(async () => (await on.hub.metric('alzy_viewers')) === 0, 'the hub to have noticed')
        }
      })
      await loud.close()
    },
  )

  async function slowDown(
    on: Stage,
    viewers: readonly ViewerWire[],
    loud: DeviceWire,
    loudId: number,
  ): Promise<void> {
    const slow = viewers.slice(0, (VIEWERS * percent) / 100)
    const fast = viewers.slice(slow.length)
    const flooded = slow.filter((_, i) => isFlooded(i))
    const demoted = await on.hub.metric('alzy_viewers_demoted_total')
    const recoveries = slow.map((viewer, i) => WAYS_TO_BE_SLOW[i % WAYS_TO_BE_SLOW.length]!(viewer))
    const frames = await flood(on, loud, flooded.length)
    const areDemoted = async () => (await on.hub.metric('alzy_viewers_live')) === fast.length
    await until(areDemoted, 'every slow viewer, and no other, to have left the live stream', 60_000)
    expect((await on.hub.metric('alzy_viewers_demoted_total')) - demoted).toBe(slow.length)
    const heard = fast.map((viewer) => liveFramesOf(viewer))
    const goesOn = () => fast.every((viewer, i) => liveFramesOf(viewer) > heard[i]!)
    await until(goesOn, 'every other viewer to have heard of a device meanwhile', 120_000)
    for (const viewer of fast) expect(gapsOf(viewer)).toEqual([])
    on.heals()
    for (const recover of recoveries) recover()
    const areBack = async () => (await on.hub.metric('alzy_viewers_live')) === VIEWERS
    await until(areBack, 'every viewer to be in the live stream again', 60_000)
    for (const viewer of flooded) expect(liveFramesOf(viewer, loudId)).toBeLessThan(frames)
    await expectTheNewest(on, viewers)
  }
}

/**
 * A try that failed while this process stood still says nothing of the hub: viewers were late by that alone. Nor does one
 * in which Linux had room for all that was sent.
 */
async function untilItWasTried(play: () => Promise<void>): Promise<void> {
  for (;;) {
    const delay = monitorEventLoopDelay()
    delay.enable()
    const fault = await play().then(
      () => null,
      (thrown: Error) => thrown,
    )
    delay.disable()
    if (fault === null) return
    if (!(fault instanceof RoomForAll) && delay.max / 1e6 < SEEN_LATE_MS / 2) throw fault
  }
}

/** A receive buffer may grow as far as tcp_rmem lets it, which may be more than all windows. */
class RoomForAll extends Error {}

scenario(
  {
    fault: 'HELLO never sent, HELLO and headers byte by byte, silence: 25 connections of each',
    tries: { short: 1, long: 3 },
    env: { ALZY_HELLO_TIMEOUT_MS: '3000' },
    tryMs: 60_000,
  },
  async (on) => {
    const timeouts = await on.hub.metric('alzy_hello_timeouts_total')
    const each = Array.from({ length: 25 })
    const silentDevices = await Promise.all(each.map(() => openDevice(on.url(), { hello: false })))
    const dripping = await Promise.all(each.map(() => drip(on, UPGRADE, MASKED_HELLO)))
    const slowHeads = await Promise.all(each.map(() => drip(on, '', Buffer.from(UPGRADE))))
    const silent = await Promise.all(each.map(() => drip(on, '', Buffer.alloc(0))))
    // Somebody who is in a hurry is served meanwhile.
    const { deviceKey } = await on.hub.addDevice(await on.hub.addUser())
    const device = await openDevice(on.url(), { deviceKey })
    expect((await device.welcome).deviceId).toBeGreaterThan(0)
    await device.close()
    const codes = await Promise.all(silentDevices.map((socket) => socket.closed))
    expect(new Set(codes.map(({ code }) => code))).toEqual(new Set([4408]))
    for (const { closed } of dripping) expect((await closed).includes(HELLO_TIMEOUT)).toBe(true)
    // Those never were WebSockets, and have no code.
    for (const { closed } of [...slowHeads, ...silent]) expect(String(await closed)).not.toContain('101')
    expect(await on.hub.metric('alzy_hello_timeouts_total')).toBeGreaterThanOrEqual(timeouts + 50)
  },
)

/** Each returns how it ends. */
const WAYS_TO_BE_SLOW: readonly ((viewer: ViewerWire) => () => void)[] = [
  (viewer) => {
    viewer.pause()
    return viewer.resume
  },
  (viewer) => {
    viewer.answerTicks(false)
    return () => answerAgain(viewer)
  },
  (viewer) => {
    viewer.answerTicks(false)
    const late: unknown[] = []
    const timer = setInterval(() => {
      late.push(lastTick(viewer))
      const tick = late.length > ANSWER_LATE_MS / TICK_MS ? late.shift() : undefined
      if (tick !== undefined && viewer.isOpen()) viewer.send([SEEN, tick])
    }, TICK_MS)
    return () => {
      clearInterval(timer)
      answerAgain(viewer)
    }
  },
]

/** It owes the answer for which the hub still waits. */
function answerAgain(viewer: ViewerWire): void {
  viewer.answerTicks(true)
  const tick = lastTick(viewer)
  if (tick !== undefined) viewer.send([SEEN, tick])
}

function lastTick({ frames }: ViewerWire): unknown {
  return frames.findLast(([type]) => type === TICK)?.[1]
}

/** Of the viewers that stop reading, the first. */
function isFlooded(i: number): boolean {
  return i % WAYS_TO_BE_SLOW.length === 0 && i / WAYS_TO_BE_SLOW.length < FLOODED_MAX
}

/** Those that are to be flooded watch every user's devices, and the others only those that are not loud. */
async function watchers(on: Stage, adminToken: string): Promise<ViewerWire[]> {
  const open = async (_: unknown, i: number) => {
    const viewer = await openViewer(on.url(), { token: isFlooded(i) ? adminToken : on.user.token })
    await viewer.welcome
    viewer.send(isFlooded(i) ? [SUB, []] : [SUB])
    return viewer
  }
  const viewers = await Promise.all(Array.from({ length: VIEWERS }, open))
  const areLive = async () => (await on.hub.metric('alzy_viewers_live')) === VIEWERS
  await until(areLive, 'every viewer to be in the live stream', 60_000)
  return viewers
}

/**
 * Sends until so many viewers have lost frames, and more than once each; returns how many it sent. Throws RoomForAll when
 * the hub has had enough of a viewer before.
 */
async function flood(on: Stage, loud: DeviceWire, viewers: number): Promise<number> {
  const drops = () => on.hub.metric('alzy_publish_drops_total')
  const demoted = () => on.hub.metric('alzy_viewers_demoted_total')
  const received = () => on.hub.metric('alzy_points_received_total')
  const hasRoom = async () => (await on.hub.metric('alzy_backlog_points')) < FLOOD_PENDING_POINTS_MAX
  const [dropsBefore, demotedBefore] = [await drops(), await demoted()]
  let frames = 0
  while ((await drops()) - dropsBefore < viewers * FLOOD_DROPS) {
    if ((await demoted()) > demotedBefore) throw new RoomForAll()
    await until(hasRoom, 'the hub to have stored most of the flood', 120_000)
    const due = (await received()) + FLOOD_BURST_FRAMES * FLOOD_POINTS
    for (let i = 0; i < FLOOD_BURST_FRAMES; i++) loud.send(floodFrame())
    frames += FLOOD_BURST_FRAMES
    const isTaken = async () => (await received()) >= due || !loud.isOpen()
    await until(isTaken, 'the hub to have taken a burst', 120_000)
    expect(loud.isOpen(), `the flood is let in: ${JSON.stringify(loud.frames.at(-1))}`).toBe(true)
  }
  return frames
}

let floodSeq = 0
let floodMs = Date.now() - 3_600_000

/** As many bytes as points can have. */
function floodFrame(): unknown[] {
  const baseMs = floodMs
  floodMs += FLOOD_POINTS
  const points = Array.from({ length: FLOOD_POINTS }, (_, dtMs) => [dtMs, ...LONGEST_VALUES])
  return [POINTS, ++floodSeq, null, baseMs, points]
}

const LONGEST_VALUES = [900_000_000, 1_800_000_000, 2 ** 31 - 1, 2 ** 31 - 1, 35_999, 2 ** 31 - 1, 3]

function liveFramesOf({ frames }: ViewerWire, deviceId?: number): number {
  return frames.filter(([type, id]) => type === LIVE && (deviceId ?? id) === id).length
}

/** Everybody is shown the position of each device that the table has as its newest, once nothing is under way. */
async function expectTheNewest(on: Stage, viewers: readonly ViewerWire[]): Promise<void> {
  for (const device of on.devices) device.pauseRecording()
  try {
    const isQuiet = async () =>
      on.devices.every((device) => device.isSettled()) && (await on.hub.metric('alzy_backlog_points')) === 0
    await until(isQuiet, 'everything to be stored', 60_000)
    const rows = await on.database.query(
      `select distinct on (device_id) device_id as id, (extract(epoch from recorded_at) * 1000)::float8 as ms,
         (lat * 1e7)::float8 as lat, (lng * 1e7)::float8 as lng
       from points order by device_id, recorded_at desc`,
    )
    const all = new Map(rows.map(({ id, ms, lat, lng }) => [Number(id), [ms, lat, lng].map(Number)]))
    const quiet = new Map(on.keys.map(({ id }) => [id, all.get(id)]))
    for (const [i, viewer] of viewers.entries()) {
      const isShown = () => isDeepStrictEqual(shownTo(viewer), isFlooded(i) ? all : quiet)
      await until(isShown, 'a viewer to be shown what is stored', 120_000)
    }
  } finally {
    for (const device of on.devices) device.goOnRecording()
  }
}

/** The last position of each device, as `[recordedMs, lat, lng]`. */
function shownTo({ frames }: ViewerWire): Map<number, unknown[]> {
  const shown = new Map<number, unknown[]>()
  for (const frame of frames) {
    if (frame[0] === SNAP) {
      for (const device of frame[3] as unknown[][]) {
        const last = device[9] as number[] | null
        if (last !== null) shown.set(device[0] as number, last.slice(2, 5))
      }
    } else if (frame[0] === LIVE) {
      const [deviceId, baseMs, points] = [frame[1], frame[5], frame[6]] as [number, number, number[][]]
      const [dtMs, lat, lng] = points.at(-1)!
      shown.set(deviceId, [baseMs + dtMs!, lat, lng])
    }
  }
  return shown
}

/** Where the count of a device jumped (V2), as `[device, n before, n after]`. */
function gapsOf({ frames }: ViewerWire): number[][] {
  const last = new Map<number, { epoch: number; n: number }>()
  const gaps: number[][] = []
  for (const frame of frames) {
    const [type, device, epoch, n] = frame as number[]
    if (!COUNTED.includes(type!)) continue
    const before = last.get(device!)
    last.set(device!, { epoch: epoch!, n: n! })
    if (before !== undefined && before.epoch === epoch && n !== before.n + 1)
      gaps.push([device!, before.n, n!])
  }
  return gaps
}

const UPGRADE = `GET /v1/device HTTP/1.1\r
Host: hub\r
Connection: Upgrade\r
Upgrade: websocket\r
Sec-WebSocket-Version: 13\r
Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r
Sec-WebSocket-Protocol: alzy.device.v1\r
\r
`
/** A binary message of 100 bytes, masked with zeros, of which the content never matters: it does not get that far. */
const MASKED_HELLO = Buffer.concat([Buffer.from([0x82, 0xe4, 0, 0, 0, 0]), Buffer.alloc(100, 1)])

/** Writes one part at once and the other byte by byte, until the hub has had enough; `closed`: all that it said. */
async function drip(on: Stage, atOnce: string, rest: Buffer): Promise<{ closed: Promise<Buffer> }> {
  const socket = net.connect(on.hub.port, '127.0.0.1')
  socket.on('error', () => {})
  const heard: Buffer[] = []
  socket.on('data', (chunk) => heard.push(chunk as Buffer))
  await new Promise((resolve) => socket.once('connect', resolve))
  if (atOnce !== '') socket.write(atOnce)
  let sent = 0
  const timer = setInterval(() => {
    if (sent < rest.length) socket.write(rest.subarray(sent, ++sent))
  }, DRIP_MS)
  const closed = new Promise<Buffer>((resolve) => {
    socket.once('close', () => {
      clearInterval(timer)
      resolve(Buffer.concat(heard))
    })
  })
  return { closed }
}
