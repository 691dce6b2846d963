import { afterEach, expect, test } from 'vitest'
import type { DeviceOptions } from '../../src/client/device.ts'
import { createMemoryQueue, type DeviceQueue } from '../../src/client/queue.ts'
import {
  ACK,
  BYE,
  countOf,
  GOAWAY,
  HELLO,
  openDeviceRig,
  PAUSE,
  POINTS,
  RATE,
  SESSION,
  secondsOf,
  sent,
  track,
} from './deviceRig.ts'
import { START_MS } from './drivenClock.ts'
import type { Wire } from './scriptedHub.ts'

let rig: Awaited<ReturnType<typeof openDeviceRig>>
afterEach(() => rig.close())

async function open(options: Partial<DeviceOptions> = {}) {
  rig = await openDeviceRig(options)
  return rig
}

async function record(count: number, from = 0) {
  for (const point of track(count, from)) await rig.device.record(point)
}

test('the first message is HELLO with the key, the name and the time', async () => {
  await open({ name: 'van 1.0' })
  const peer = await rig.hub.accept()
  expect(await peer.next()).toEqual([HELLO, 'alzy_7_key', 'van 1.0', START_MS])
  expect(await sent(rig, peer)).toEqual([])
})

test('nothing but HELLO is sent before WELCOME', async () => {
  await open()
  const peer = await rig.hub.accept()
  await peer.next()
  await record(3)
  rig.clock.advance(1000)
  expect(await peer.settled()).toEqual([])
})

test('a point goes out as integers of the wire', async () => {
  await open()
  await rig.device.record({
    recordedMs: START_MS + 0.4,
    lat: -48.12345678,
    lng: 11.00000006,
    accuracy: 4.504,
    speed: 13.889,
    heading: 359.996,
    altitude: -2.5,
    source: 'fused',
    session: START_MS,
  })
  const peer = await rig.welcome()
  expect(await sent(rig, peer)).toEqual([
    [POINTS, 1, START_MS, START_MS, [[0, -481234568, 110000001, 450, 1389, 0, -250, 2]]],
  ])
})

test('fields that are not known are nil, and left out at the end', async () => {
  await open()
  await rig.device.record({ recordedMs: START_MS, lat: 1, lng: 2, heading: Number.NaN, altitude: null })
  await rig.device.record({ recordedMs: START_MS + 5, lat: 1, lng: 2, speed: 1, source: 'gps' })
  const peer = await rig.welcome()
  expect(await sent(rig, peer)).toEqual([
    [
      POINTS,
      1,
      null,
      START_MS,
      [
        [0, 10_000_000, 20_000_000],
        [5, 10_000_000, 20_000_000, null, 100],
      ],
    ],
  ])
})

test('an optional field out of range is sent for the hub to reject, however large', async () => {
  await open()
  await rig.device.record({ recordedMs: START_MS, lat: 1, lng: 2, accuracy: -1, speed: 1e300 })
  const peer = await rig.welcome()
  const [frame] = await sent(rig, peer)
  expect(frame?.[4]).toEqual([[0, 10_000_000, 20_000_000, -100, Number.MAX_SAFE_INTEGER]])
})

test('a point without a place is an error of the caller, and nothing is kept of it', async () => {
  await open()
  expect(() => rig.device.record({ recordedMs: START_MS, lat: Number.NaN, lng: 2 })).toThrow(RangeError)
  expect(rig.device.counts).toMatchObject({ recorded: 0, held: 0 })
})

test('a point of the same time as the one before is moved by 1 ms', async () => {
  await open()
  for (const ms of [5, 5, 5, 6, 9]) await rig.device.record({ recordedMs: START_MS + ms, lat: 1, lng: 2 })
  const peer = await rig.welcome()
  const [frame] = await sent(rig, peer)
  expect((frame![4] as Wire[]).map((row) => row[0])).toEqual([0, 1, 2, 3, 4])
  expect(frame?.[3]).toBe(START_MS + 5)
  expect(rig.device.counts.moved).toBe(3)
})

test('with `ordered: false` times are sent exactly as given', async () => {
  await open({ ordered: false })
  for (const ms of [9, 5, 7]) await rig.device.record({ recordedMs: START_MS + ms, lat: 1, lng: 2 })
  const peer = await rig.welcome()
  const [frame] = await sent(rig, peer)
  expect((frame![4] as Wire[]).map((row) => (frame![3] as number) + (row[0] as number) - START_MS)).toEqual([
    9, 5, 7,
  ])
})

test('points are cut into frames of batchPointsMax, and seq increases', async () => {
  await open()
  await record(25)
  const peer = await rig.welcome({ batchPointsMax: 10 })
  const frames = await sent(rig, peer)
  expect(frames.map(countOf)).toEqual([10, 10, 5])
  expect(frames.map((frame) => frame[1])).toEqual([1, 2, 3])
  expect(secondsOf(frames)).toEqual(track(25).map((_, i) => i))
})

test('no frame is larger than frameBytesMax', async () => {
  await open()
  const frameBytesMax = 200
  for (const point of track(60)) {
    await rig.device.record({ ...point, accuracy: 5000, speed: 9000, heading: 200, altitude: -5e6 })
  }
  const peer = await rig.welcome({ batchPointsMax: 50, frameBytesMax })
  const frames = await sent(rig, peer)
  expect(secondsOf(frames)).toHaveLength(60)
  expect(Math.max(...peer.frameBytes)).toBeLessThanOrEqual(frameBytesMax)
  // The limit is what cuts them, and it is used.
  expect(frames.length).toBeLessThan(60)
  expect(Math.max(...frames.map(countOf))).toBeLessThan(50)
})

test('points of one frame share their session', async () => {
  await open()
  for (const [i, session] of [1, 1, null, 2, 2].entries()) {
    await rig.device.record({ recordedMs: START_MS + i, lat: 1, lng: 2, session })
  }
  const peer = await rig.welcome()
  const frames = await sent(rig, peer)
  expect(frames.map((frame) => [frame[2], countOf(frame)])).toEqual([
    [1, 2],
    [null, 1],
    [2, 2],
  ])
})

test('session ops go out in order with the points', async () => {
  await open()
  const session = START_MS
  await rig.device.session('start', { session, atMs: START_MS })
  await rig.device.record({ ...track(1)[0]!, session })
  await rig.device.session('pause', { session, atMs: START_MS + 1 })
  await rig.device.session('resume', { session, atMs: START_MS + 2 })
  await rig.device.session('end', { session, atMs: START_MS + 3 })
  const peer = await rig.welcome()
  const frames = await sent(rig, peer)
  expect(frames.map((frame) => frame[0])).toEqual([SESSION, POINTS, SESSION, SESSION, SESSION])
  expect(frames[0]).toEqual([SESSION, 1, session, 0, START_MS])
  expect(frames.slice(2)).toEqual([
    [SESSION, 3, session, 1, START_MS + 1],
    [SESSION, 4, session, 2, START_MS + 2],
    [SESSION, 5, session, 3, START_MS + 3],
  ])
})

test('a point is forgotten only when an ACK covers its frame', async () => {
  await open()
  await record(25)
  const peer = await rig.welcome({ batchPointsMax: 10 })
  await sent(rig, peer)
  expect(rig.device.counts).toMatchObject({ sent: 25, acknowledged: 0, held: 25 })
  peer.say(ACK, 2, 100)
  expect((await rig.event('acknowledged')).points).toBe(20)
  expect(rig.device.counts).toMatchObject({ acknowledged: 20, held: 5 })
})

test('`drained` waits for the last ACK, and for nothing recorded after the call', async () => {
  await open()
  await record(10)
  let isDrained = false
  const drained = rig.device.drained().then(() => {
    isDrained = true
  })
  const peer = await rig.welcome({ batchPointsMax: 10 })
  await record(1, 10)
  await sent(rig, peer)
  expect(isDrained).toBe(false)
  peer.say(ACK, 1, 100)
  await drained
  expect(rig.device.counts.held).toBe(1)
})

test('nothing is resent inside a live connection', async () => {
  await open()
  await record(10)
  const peer = await rig.welcome({ windowPoints: 1000 })
  const frames = await sent(rig, peer)
  await record(10, 10)
  rig.clock.advance(25_000)
  frames.push(...(await sent(rig, peer)))
  peer.say(ACK, 1, 1000)
  frames.push(...(await sent(rig, peer)))
  expect(secondsOf(frames)).toEqual(track(20).map((_, i) => i))
  expect(rig.device.counts.resent).toBe(0)
})

test('after a reconnect everything that was not acknowledged is sent again, and only that', async () => {
  await open()
  await record(25)
  const peer = await rig.welcome({ batchPointsMax: 10 })
  await sent(rig, peer)
  peer.say(ACK, 1, 100)
  await rig.event('acknowledged')
  rig.clock.advance(5000)
  peer.cut()
  const again = await rig.reconnect({ batchPointsMax: 10 })
  const frames = await sent(rig, again)
  expect(secondsOf(frames)).toEqual(track(15, 10).map((_, i) => i + 10))
  expect(frames[0]?.[1]).toBe(1)
  expect(rig.device.counts).toMatchObject({ sent: 40, resent: 15, reconnects: 1 })
})

test('with `newestFirst` the newest point goes ahead after a reconnect, once', async () => {
  await open({ newestFirst: true })
  for (const point of track(25)) await rig.device.record({ ...point, session: START_MS })
  const peer = await rig.welcome({ batchPointsMax: 10 })
  const frames = await sent(rig, peer)
  expect(secondsOf(frames)).toEqual([24, ...track(24).map((_, i) => i)])
  peer.say(ACK, 1, 100)
  await rig.event('acknowledged')
  expect(rig.device.counts.held).toBe(25)
  peer.close(1011)
  const again = await rig.reconnect({ batchPointsMax: 10 })
  expect(secondsOf(await sent(rig, again))).toEqual(track(24).map((_, i) => i))
  again.say(ACK, 3, 100)
  await rig.device.drained()
})

test('with `newestFirst` a point without a session keeps its place', async () => {
  await open({ newestFirst: true })
  await record(25)
  const peer = await rig.welcome({ batchPointsMax: 10 })
  expect(secondsOf(await sent(rig, peer))).toEqual(track(25).map((_, i) => i))
})

test('the window is used to its end and never exceeded', async () => {
  await open()
  await record(40)
  await rig.device.session('start', { session: START_MS, atMs: START_MS })
  await record(20, 40)
  let windowPoints = 7
  const peer = await rig.welcome({ windowPoints, batchPointsMax: 3 })
  const inFlight: { seq: number; cost: number }[] = []
  let total = 0
  for (const nextWindow of [7, 5, 3, 9, 4, ...Array(30).fill(6)]) {
    for (const frame of await sent(rig, peer)) {
      const cost = frame[0] === POINTS ? countOf(frame) : 1
      inFlight.push({ seq: frame[1] as number, cost })
      total += cost
    }
    const costInFlight = inFlight.reduce((sum, { cost }) => sum + cost, 0)
    expect(costInFlight).toBeLessThanOrEqual(Math.max(windowPoints, 0))
    if (total < 61) expect(costInFlight).toBe(windowPoints)
    if (inFlight.length === 0) break
    // Everything is acknowledged, so that a smaller window holds from here on.
    const last = inFlight.at(-1)!
    inFlight.length = 0
    windowPoints = nextWindow
    peer.say(ACK, last.seq, windowPoints)
  }
  expect(total).toBe(61)
  expect(rig.device.counts).toMatchObject({ acknowledged: 60, held: 0 })
})

test('after an ACK with a smaller window nothing is sent until what is in flight fits it', async () => {
  await open()
  await record(40)
  const peer = await rig.welcome({ windowPoints: 20, batchPointsMax: 5 })
  expect(await sent(rig, peer)).toHaveLength(4)
  peer.say(ACK, 1, 12)
  expect(await sent(rig, peer)).toEqual([])
  peer.say(ACK, 2, 12)
  expect((await sent(rig, peer)).map(countOf)).toEqual([2])
})

test('an ACK that repeats its seq raises the window', async () => {
  await open()
  await record(40)
  const peer = await rig.welcome({ windowPoints: 10, batchPointsMax: 10 })
  expect((await sent(rig, peer)).map(countOf)).toEqual([10])
  peer.say(ACK, 0, 25)
  expect((await sent(rig, peer)).map(countOf)).toEqual([10, 5])
})

test('a full queue makes `record` wait and `tryRecord` say no, until an ACK makes room', async () => {
  await open({ queue: createMemoryQueue(5) })
  await record(5)
  const [late, later, latest] = track(3, 5)
  let isKept = false
  const kept = rig.device.record(late!).then(() => {
    isKept = true
  })
  const keptToo = rig.device.record(later!)
  expect(rig.device.tryRecord(latest!)).toBe(false)
  const peer = await rig.welcome()
  expect(secondsOf(await sent(rig, peer))).toEqual([0, 1, 2, 3, 4])
  expect(isKept).toBe(false)
  peer.say(ACK, 1, 100)
  await Promise.all([kept, keptToo])
  expect(rig.device.tryRecord(latest!)).toBe(true)
  expect(secondsOf(await sent(rig, peer))).toEqual([5, 6, 7])
})

test('`drained` waits also for what still waits for room', async () => {
  await open({ queue: createMemoryQueue(2) })
  await record(2)
  const kept = rig.device.record(track(1, 2)[0]!)
  let isDrained = false
  const drained = rig.device.drained().then(() => {
    isDrained = true
  })
  const peer = await rig.welcome()
  await sent(rig, peer)
  peer.say(ACK, 1, 100)
  await kept
  expect(secondsOf(await sent(rig, peer))).toEqual([2])
  expect(isDrained).toBe(false)
  peer.say(ACK, 2, 100)
  await drained
})

test('a queue that cannot keep what waited for room fails that one, and goes on', async () => {
  const memory = createMemoryQueue(2)
  let isBroken = false
  const queue: DeviceQueue = {
    ...memory,
    get firstId() {
      return memory.firstId
    },
    get nextId() {
      return memory.nextId
    },
    get hasRoom() {
      return memory.hasRoom
    },
    push(entry) {
      if (isBroken) throw new Error('the disk is full')
      memory.push(entry)
    },
  }
  await open({ queue })
  await record(2)
  const kept = rig.device.record(track(1, 2)[0]!)
  const peer = await rig.welcome()
  await sent(rig, peer)
  isBroken = true
  peer.say(ACK, 1, 100)
  await expect(kept).rejects.toThrow('the disk is full')
  isBroken = false
  await record(1, 3)
  expect(secondsOf(await sent(rig, peer))).toEqual([3])
})

test('rejected points are dropped, counted by reason and reported; the rest of the frame is acknowledged', async () => {
  await open()
  await record(10)
  const peer = await rig.welcome()
  await sent(rig, peer)
  peer.say(ACK, 1, 100, [
    [1, 2, 1],
    [1, 7, 3],
  ])
  const first = await rig.event('rejected')
  const second = await rig.event('rejected')
  expect(first).toMatchObject({ reason: 'coordinate', entry: { kind: 'point', point: { lat: 48.002 } } })
  expect(second).toMatchObject({ reason: 'tooOld', entry: { point: { recordedMs: START_MS + 7000 } } })
  expect(rig.device.counts).toMatchObject({
    acknowledged: 8,
    rejected: 2,
    rejectedByReason: { coordinate: 1, tooOld: 1 },
    held: 0,
  })
})

test('a point rejected before its frame was covered is not sent again after a reconnect', async () => {
  await open()
  await record(10)
  const peer = await rig.welcome()
  await sent(rig, peer)
  peer.say(ACK, 0, 100, [
    [1, 0, 4],
    [1, 5, 4],
  ])
  await rig.event('rejected')
  peer.close(1011)
  const again = await rig.reconnect()
  const frames = await sent(rig, again)
  expect(secondsOf(frames)).toEqual([1, 2, 3, 4, 6, 7, 8, 9])
  again.say(ACK, frames.at(-1)![1] as number, 100)
  await rig.device.drained()
  expect(rig.device.counts).toMatchObject({ acknowledged: 8, rejected: 2, held: 0 })
})

test('index -1 rejects a whole frame, a session op among them', async () => {
  await open()
  await rig.device.session('start', { session: 1, atMs: 1 })
  await record(4)
  const peer = await rig.welcome()
  await sent(rig, peer)
  peer.say(ACK, 2, 100, [
    [1, -1, 3],
    [2, -1, 2],
  ])
  expect(await rig.event('rejected')).toMatchObject({ entry: { kind: 'session', op: 'start', session: 1 } })
  await rig.device.drained()
  expect(rig.device.counts).toMatchObject({ acknowledged: 0, rejected: 4, rejectedByReason: { future: 4 } })
})

test('after PAUSE no POINTS are sent until its time has passed', async () => {
  await open()
  const peer = await rig.welcome()
  peer.say(PAUSE, 5000, 'the store is away')
  expect(await rig.event('paused')).toMatchObject({ retryAfterMs: 5000, reason: 'the store is away' })
  await record(3)
  rig.clock.advance(4999)
  expect(await sent(rig, peer)).toEqual([])
  rig.clock.advance(1)
  expect(secondsOf(await sent(rig, peer))).toEqual([0, 1, 2])
})

test('an ACK ends a PAUSE', async () => {
  await open()
  await record(1)
  const peer = await rig.welcome()
  await sent(rig, peer)
  peer.say(PAUSE, 60_000, 'behind')
  await rig.event('paused')
  await record(3, 1)
  expect(await sent(rig, peer)).toEqual([])
  peer.say(ACK, 1, 100)
  expect(secondsOf(await sent(rig, peer))).toEqual([1, 2, 3])
})

test('with frames unacknowledged and neither ACK nor PAUSE for 30 s the device reconnects', async () => {
  await open()
  await record(1)
  const peer = await rig.welcome({ heartbeatS: 900 })
  await sent(rig, peer)
  rig.clock.advance(29_999)
  expect(rig.device.state.name).toBe('open')
  rig.clock.advance(1)
  expect(rig.device.state).toMatchObject({ name: 'waiting', reason: 'no ACK for 30 s' })
  const again = await rig.reconnect()
  expect(secondsOf(await sent(rig, again))).toEqual([0])
})

test('sending more does not put the 30 s off', async () => {
  await open()
  const peer = await rig.welcome({ heartbeatS: 900 })
  for (let i = 0; i < 3; i++) {
    await record(1, i)
    rig.clock.advance(0)
    expect(secondsOf(await peer.settled())).toEqual([i])
    expect(rig.device.state.name).toBe('open')
    rig.clock.advance(10_000)
  }
  expect(rig.device.state).toMatchObject({ name: 'waiting', reason: 'no ACK for 30 s' })
})

test('a PAUSE or an ACK starts the 30 s anew', async () => {
  await open()
  await record(20)
  const peer = await rig.welcome({ heartbeatS: 900 })
  await sent(rig, peer)
  rig.clock.advance(20_000)
  peer.say(PAUSE, 1000, 'behind')
  await rig.event('paused')
  rig.clock.advance(20_000)
  peer.say(ACK, 1, 100)
  await rig.event('acknowledged')
  rig.clock.advance(29_999)
  expect(rig.device.state.name).toBe('open')
  rig.clock.advance(1)
  expect(rig.device.state.name).toBe('waiting')
})

test('with nothing unacknowledged a silent hub is left alone', async () => {
  await open()
  await record(1)
  const peer = await rig.welcome({ heartbeatS: 900 })
  await sent(rig, peer)
  peer.say(ACK, 1, 100)
  await rig.event('acknowledged')
  rig.clock.advance(200_000)
  expect(rig.device.state.name).toBe('open')
})

test('after GOAWAY no new POINTS are sent, the ACKs are awaited, and the next connection keeps to the bounds', async () => {
  await open()
  await record(5)
  const peer = await rig.welcome()
  await sent(rig, peer)
  peer.say(GOAWAY, 2000, 4000)
  await rig.event('goaway')
  await record(5, 5)
  expect(await sent(rig, peer)).toEqual([])
  expect(rig.device.state.name).toBe('open')
  rig.clock.chance(0.25)
  peer.say(ACK, 1, 100)
  const { untilMs } = await rig.waiting()
  expect(untilMs - rig.clock.now()).toBe(2500)
  expect(await peer.closed).toBe(1000)
  rig.clock.advance(2500)
  const again = await rig.welcome()
  expect(secondsOf(await sent(rig, again))).toEqual([5, 6, 7, 8, 9])
})

test('a close 1012 after GOAWAY leaves what was not acknowledged for the next connection', async () => {
  await open()
  await record(5)
  const peer = await rig.welcome()
  await sent(rig, peer)
  rig.clock.chance(1)
  peer.say(GOAWAY, 100, 900)
  peer.close(1012)
  const { untilMs } = await rig.waiting()
  expect(untilMs - rig.clock.now()).toBe(900)
  rig.clock.advance(900)
  expect(secondsOf(await sent(rig, await rig.welcome()))).toEqual([0, 1, 2, 3, 4])
})

test('`close` says BYE, waits for the last ACK and the close of the hub', async () => {
  await open()
  const peer = await rig.welcome()
  await record(5)
  const closed = rig.device.close()
  expect((await sent(rig, peer)).map((frame) => frame[0])).toEqual([POINTS, BYE])
  peer.say(ACK, 1, 100)
  expect((await rig.event('acknowledged')).points).toBe(5)
  peer.close(1000)
  await closed
  expect(rig.device.state.name).toBe('stopped')
  expect(rig.device.counts.held).toBe(0)
  await expect(rig.device.record(track(1)[0]!)).rejects.toThrow('closed')
})

test('`close` waits at most 5 s', async () => {
  await open()
  await record(1)
  const peer = await rig.welcome()
  await sent(rig, peer)
  const closed = rig.device.close()
  expect(await peer.next()).toEqual([BYE])
  rig.clock.advance(4999)
  expect(rig.device.state.name).toBe('open')
  rig.clock.advance(1)
  await closed
  expect(rig.device.state.name).toBe('stopped')
  expect(rig.device.counts.held).toBe(1)
})

test('RATE is passed on', async () => {
  await open()
  const peer = await rig.welcome()
  peer.say(RATE, 5000, true)
  expect(await rig.event('rate')).toEqual({ type: 'rate', intervalMs: 5000, watched: true })
})

test('types that are not known and elements that are new are ignored', async () => {
  await open()
  await record(1)
  const peer = await rig.welcome()
  await sent(rig, peer)
  peer.say(99, 'new')
  peer.say(200)
  peer.say(ACK, 1, 100, null, 'new')
  await rig.device.drained()
  expect(rig.events.filter((event) => event.type === 'error')).toEqual([])
})

test('a frame of the hub that makes no sense is reported and harms nothing', async () => {
  await open()
  await record(1)
  const peer = await rig.welcome()
  await sent(rig, peer)
  peer.say(ACK, 'one', 100)
  expect(await rig.event('error')).toMatchObject({ code: null, message: 'expected an integer' })
  peer.sayBytes(new Uint8Array([0x93, 1]))
  expect(await rig.event('error')).toMatchObject({ message: 'not msgpack' })
  peer.say(ACK, 1, 100)
  await rig.device.drained()
})
