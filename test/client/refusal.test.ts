import { afterEach, describe, expect, test } from 'vitest'
import {
  ACK,
  BYE,
  ERROR,
  openDeviceRig,
  POINTS,
  SESSION,
  secondsOf,
  sent,
  track,
  WELCOME,
} from './deviceRig.ts'
import { START_MS } from './drivenClock.ts'
import type { Peer, Wire } from './scriptedHub.ts'

let rig: Awaited<ReturnType<typeof openDeviceRig>>
afterEach(() => rig.close())

/**
 * A hub that ends the connection at every frame it finds poisoned, and stores all others. Time moves on
 * whenever the device waits. Ends when the device holds nothing any more.
 */
async function serveUntilDrained(
  isPoisoned: (frame: Wire) => boolean,
  refuse: (peer: Peer, seq: number) => void,
) {
  const stored: Wire[] = []
  let refusals = 0
  let isDrained = false
  const drained = rig.device.drained().then(() => {
    isDrained = true
  })
  while (!isDrained) {
    const peer = await rig.hub.accept()
    await peer.next()
    peer.say(WELCOME, 7, 100, 16, 32_768, rig.clock.now(), 900)
    const end = peer.closed.then(() => null)
    for (;;) {
      const frame = await Promise.race([peer.next(), end, drained.then(() => null)])
      if (frame === null) break
      if (isPoisoned(frame)) {
        refusals += 1
        refuse(peer, frame[1] as number)
        await end
        break
      }
      stored.push(frame)
      peer.say(ACK, frame[1] as number, 100)
    }
    if (isDrained) break
    const { untilMs } = await rig.waiting()
    rig.clock.advance(untilMs - rig.clock.now())
  }
  return { stored, refusals }
}

const holds = (second: number) => (frame: Wire) => secondsOf([frame]).includes(second)

const refusals: [string, (peer: Peer, seq: number) => void][] = [
  [
    '4500 with an ERROR',
    (peer, seq) => {
      peer.say(ERROR, 4500, 'frame not understood', seq)
      peer.close(4500)
    },
  ],
  ['1009', (peer) => peer.close(1009)],
  ['1006', (peer) => peer.cut()],
]

describe.each(refusals)('a hub that refuses a frame with %s', (_, refuse) => {
  test.each([0, 21, 39])(
    'gets all points but the guilty one, which is set aside and reported (point %d)',
    async (guilty) => {
      rig = await openDeviceRig()
      for (const point of track(40)) await rig.device.record(point)
      const { stored, refusals } = await serveUntilDrained(holds(guilty), refuse)
      const seconds = [...new Set(secondsOf(stored))].sort((a, b) => a - b)
      expect(seconds).toEqual(
        track(40)
          .map((_, i) => i)
          .filter((i) => i !== guilty),
      )
      expect(refusals).toBeGreaterThan(2)
      // 16 points in a frame: at most four halvings, after some caution.
      expect(refusals).toBeLessThanOrEqual(16)
      const setAside = rig.events.filter((event) => event.type === 'setAside')
      expect(setAside).toMatchObject([
        { entry: { kind: 'point', point: { recordedMs: START_MS + guilty * 1000 } } },
      ])
      expect(rig.device.counts).toMatchObject({ acknowledged: 39, setAside: 1, held: 0 })
    },
  )
})

test('two guilty points in one frame are both found', async () => {
  rig = await openDeviceRig()
  for (const point of track(20)) await rig.device.record(point)
  const { stored } = await serveUntilDrained(
    (frame) => holds(3)(frame) || holds(4)(frame),
    (peer) => peer.close(4500),
  )
  expect([...new Set(secondsOf(stored))]).toEqual(
    track(20)
      .map((_, i) => i)
      .filter((i) => i !== 3 && i !== 4),
  )
  expect(rig.device.counts).toMatchObject({ acknowledged: 18, setAside: 2, held: 0 })
})

test('a session op that the hub cannot read is set aside', async () => {
  rig = await openDeviceRig()
  await rig.device.record(track(1)[0]!)
  await rig.device.session('start', { session: 5, atMs: 5 })
  await rig.device.record(track(1, 1)[0]!)
  const { stored } = await serveUntilDrained(
    (frame) => frame[0] === SESSION,
    (peer) => peer.close(4500),
  )
  expect(stored.map((frame) => frame[0])).toEqual([POINTS, POINTS])
  expect(rig.events).toContainEqual({
    type: 'setAside',
    code: 4500,
    entry: { kind: 'session', op: 'start', session: 5, atMs: 5 },
  })
})

test('one refusal alone sets nothing aside and halves nothing', async () => {
  rig = await openDeviceRig()
  for (const point of track(10)) await rig.device.record(point)
  const peer = await rig.welcome()
  await sent(rig, peer)
  peer.close(4500)
  const again = await rig.reconnect()
  const frames = await sent(rig, again)
  expect(secondsOf(frames)).toEqual(track(10).map((_, i) => i))
  expect(frames).toHaveLength(1)
})

test('after a refusal frames go one at a time, until those that were in flight are acknowledged', async () => {
  rig = await openDeviceRig()
  for (const point of track(40)) await rig.device.record(point)
  const peer = await rig.welcome({ batchPointsMax: 10, windowPoints: 20 })
  expect(await sent(rig, peer)).toHaveLength(2)
  peer.close(1009)
  const again = await rig.reconnect({ batchPointsMax: 10, windowPoints: 20 })
  expect((await sent(rig, again)).map((frame) => frame[1])).toEqual([1])
  again.say(ACK, 1, 20)
  expect((await sent(rig, again)).map((frame) => frame[1])).toEqual([2])
  again.say(ACK, 2, 20)
  expect((await sent(rig, again)).map((frame) => frame[1])).toEqual([3, 4])
})

test('a newest point that went ahead and is refused is found in its place', async () => {
  rig = await openDeviceRig({ newestFirst: true })
  for (const point of track(40)) await rig.device.record({ ...point, session: START_MS })
  const { stored, refusals } = await serveUntilDrained(holds(39), (peer) => peer.close(4500))
  expect([...new Set(secondsOf(stored))].sort((a, b) => a - b)).toEqual(track(39).map((_, i) => i))
  expect(rig.device.counts).toMatchObject({ acknowledged: 39, setAside: 1, held: 0 })
  // It was refused ahead of the others once, and those were not cut up for it.
  expect(refusals).toBeLessThanOrEqual(7)
  expect(stored.length).toBeLessThan(10)
})

test('a break after a point alone in its frame has to happen four times', async () => {
  rig = await openDeviceRig()
  await rig.device.record(track(1)[0]!)
  let peer = await rig.welcome()
  for (let i = 0; i < 4; i++) {
    expect(rig.device.counts.setAside).toBe(0)
    expect(secondsOf(await sent(rig, peer))).toEqual([0])
    peer.cut()
    peer = await rig.reconnect()
  }
  expect(rig.device.counts).toMatchObject({ setAside: 1, held: 0 })
})

test('a break long after the frame was sent does not speak against it', async () => {
  rig = await openDeviceRig()
  for (const point of track(4)) await rig.device.record(point)
  let peer = await rig.welcome()
  for (let i = 0; i < 6; i++) {
    await sent(rig, peer)
    rig.clock.advance(10_000)
    peer.cut()
    peer = await rig.reconnect()
  }
  const frames = await sent(rig, peer)
  expect(secondsOf(frames)).toEqual([0, 1, 2, 3])
  expect(frames).toHaveLength(1)
  expect(rig.device.counts).toMatchObject({ setAside: 0, held: 4 })
})

test('a connection that this side gave up does not speak against a frame', async () => {
  rig = await openDeviceRig()
  await rig.device.record(track(1)[0]!)
  let peer = await rig.welcome({ heartbeatS: 1 })
  for (let i = 0; i < 6; i++) {
    await sent(rig, peer)
    rig.clock.advance(2_000)
    peer = await rig.reconnect({ heartbeatS: 1 })
  }
  expect(rig.device.counts).toMatchObject({ setAside: 0, held: 1, reconnects: 6 })
})

test('4500 with nothing in flight stops the device', async () => {
  rig = await openDeviceRig()
  const peer = await rig.welcome()
  peer.close(4500)
  for (;;) {
    const { state } = await rig.event('state')
    if (state.name === 'stopped') break
  }
  expect(peer.frames.map((frame) => frame[0])).not.toContain(BYE)
})
