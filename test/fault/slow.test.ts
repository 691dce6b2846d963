/** Peers that are slow or silent on purpose, beside others that are not and must not notice. */
import net from 'node:net'
import { expect } from 'vitest'
import { BACKFILLED, LIVE, PRESENCE, SEEN, SESSION_CHANGE, SUB, TICK } from '../rig/points.ts'
import { until } from '../rig/until.ts'
import { openDevice, openViewer, type ViewerWire } from '../rig/wire.ts'
import { type Stage, scenario } from './scenario.ts'

const VIEWERS = 200
const COUNTED = [LIVE, PRESENCE, SESSION_CHANGE, BACKFILLED]
/** So that neither a HELLO nor a head is whole before the hub has had enough. */
const DRIP_MS = 150
const TICK_MS = 500
/** Two hundred viewers share this process, and none of them may be late by that alone. */
const SEEN_LATE_MS = 6_000
const ANSWER_LATE_MS = 9_000
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
        ALZY_SOCKETS_PER_USER_MAX: '1000',
        ALZY_RATE_EVERY_MS: '600000',
      },
      // Newest points only: what is late goes to BACKFILLED, once for the frame.
      device: { pace: { everyMs: [150, 600], points: [1, 5] } },
      tryMs: 90_000,
    },
    async (on) => {
      const viewers = await watchers(on)
      const slow = viewers.slice(0, (VIEWERS * percent) / 100)
      const fast = viewers.slice(slow.length)
      const demoted = await on.hub.metric('alzy_viewers_demoted_total')
      const recoveries = slow.map((viewer, i) => WAYS_TO_BE_SLOW[i % WAYS_TO_BE_SLOW.length]!(viewer))
      const areDemoted = async () =>
        (await on.hub.metric('alzy_viewers_demoted_total')) >= demoted + slow.length
      await until(areDemoted, 'every slow viewer to have left the live stream', 60_000)
      expect(await on.hub.metric('alzy_viewers_live')).toBe(fast.length)
      const heard = fast.map(liveFramesOf)
      const goesOn = () => fast.every((viewer, i) => liveFramesOf(viewer) > heard[i]!)
      await until(goesOn, 'every other viewer to have heard of a device meanwhile')
      for (const viewer of fast) expect(gapsOf(viewer)).toEqual([])
      on.heals()
      for (const recover of recoveries) recover()
      const areBack = async () => (await on.hub.metric('alzy_viewers_live')) === VIEWERS
      await until(areBack, 'every viewer to be in the live stream again', 60_000)
      for (const viewer of viewers) viewer.terminate()
      await until(async () => (await on.hub.metric('alzy_viewers')) === 0, 'the hub to have noticed')
    },
  )
}

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

async function watchers(on: Stage): Promise<ViewerWire[]> {
  const open = async () => {
    const viewer = await openViewer(on.url(), { token: on.user.token })
    await viewer.welcome
    viewer.send([SUB])
    return viewer
  }
  const viewers = await Promise.all(Array.from({ length: VIEWERS }, open))
  const areLive = async () => (await on.hub.metric('alzy_viewers_live')) === VIEWERS
  await until(areLive, 'every viewer to be in the live stream', 60_000)
  return viewers
}

function liveFramesOf({ frames }: ViewerWire): number {
  return frames.filter(([type]) => type === LIVE).length
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
