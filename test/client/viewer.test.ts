import { afterEach, describe, expect, test, vi } from 'vitest'
import type { ViewerOptions } from '../../src/client/viewer.ts'
import { systemClock } from '../../src/clock.ts'
import { START_MS } from './drivenClock.ts'
import type { Peer } from './scriptedHub.ts'
import {
  AUTH,
  AUTH_OK,
  BACKFILLED,
  DAY_MS,
  DEVICE,
  deviceOf,
  ERROR,
  GOAWAY,
  GONE,
  HELLO,
  live,
  openViewerRig,
  PRESENCE,
  RESYNC,
  SEEN,
  SESSION,
  SNAP,
  SUB,
  TICK,
} from './viewerRig.ts'

let rig: Awaited<ReturnType<typeof openViewerRig>>
afterEach(() => rig.close())

async function open(options: Partial<ViewerOptions> = {}) {
  rig = await openViewerRig(options)
  return rig
}

function shownIds(): number[] {
  return [...rig.viewer.devices.keys()].sort((a, b) => a - b)
}

/** RESYNCs that the hub got by now. */
async function resyncs(peer: Peer): Promise<number> {
  await peer.settled()
  return peer.frames.filter((frame) => frame[0] === RESYNC).length
}

describe('subscription', () => {
  test('HELLO carries the token, and SUB follows WELCOME', async () => {
    await open({ name: 'wall 1', subscription: { userIds: [], deviceIds: [7, 8] } })
    const peer = await rig.welcome()
    expect(peer.frames[0]).toEqual([HELLO, 'a token', 'wall 1', START_MS])
    expect(await peer.next()).toEqual([SUB, [], [7, 8]])
  })

  test('without a subscription of its own the viewer watches its user', async () => {
    await open()
    expect(await (await rig.welcome()).next()).toEqual([SUB, null, null])
  })

  test('`subscribe` replaces it, and a reconnect asks for the new one', async () => {
    await open()
    const peer = await rig.watch(deviceOf(7, 1, 1))
    rig.viewer.subscribe({ deviceIds: [9] })
    expect(await peer.next()).toEqual([SUB, null, [9]])
    peer.say(SNAP, 0, true, [deviceOf(9, 1, 1)])
    await peer.settled()
    expect(shownIds()).toEqual([9])
    peer.cut()
    expect(await (await rig.reconnect()).next()).toEqual([SUB, null, [9]])
  })

  test('a SUB that is refused with 4403 does not come back after a reconnect', async () => {
    await open()
    const peer = await rig.watch(deviceOf(7, 1, 1))
    rig.viewer.subscribe({ userIds: [2] })
    await peer.next()
    peer.say(ERROR, 4403, 'not yours', null)
    expect(await rig.event('error')).toEqual({ type: 'error', code: 4403, message: 'not yours' })
    expect(shownIds()).toEqual([7])
    peer.cut()
    expect(await (await rig.reconnect()).next()).toEqual([SUB, null, null])
  })

  test('more ids than a SUB may have are an error of the caller', async () => {
    await open()
    expect(() => rig.viewer.subscribe({ userIds: Array(257).fill(1) })).toThrow(RangeError)
    expect(() => rig.viewer.subscribe({ deviceIds: Array(1025).fill(1) })).toThrow(RangeError)
    expect(() => rig.viewer.subscribe({ deviceIds: Array(1024).fill(2 ** 40) })).toThrow('larger')
  })
})

describe('snapshots', () => {
  test('the parts of a complete one are applied as they come, and what none shows is gone after the last', async () => {
    await open()
    const peer = await rig.watch(deviceOf(7, 1, 1), deviceOf(8, 1, 1))
    peer.say(SNAP, 0, false, [deviceOf(8, 1, 1, 4)])
    await peer.settled()
    expect(shownIds()).toEqual([7, 8])
    peer.say(SNAP, 1, false, [deviceOf(9, 1, 1)])
    peer.say(SNAP, 2, true, [])
    await peer.settled()
    expect(shownIds()).toEqual([8, 9])
    expect(rig.events).toContainEqual({ type: 'gone', deviceId: 7 })
    const complete = rig.events.filter((event) => event.type === 'snapshot')
    expect(complete.map(({ devices }) => devices.map((device) => device.deviceId))).toEqual([
      [7, 8],
      [8, 9],
    ])
  })

  test('a part 0 begins anew, also in the midst of another', async () => {
    await open()
    const peer = await rig.watch(deviceOf(7, 1, 1), deviceOf(8, 1, 1))
    peer.say(SNAP, 0, false, [deviceOf(7, 1, 1)])
    rig.viewer.subscribe({ deviceIds: [8] })
    peer.say(SNAP, 0, true, [deviceOf(8, 1, 1)])
    await peer.settled()
    expect(shownIds()).toEqual([8])
  })

  test('a part 0 after which a part is missing makes no device gone', async () => {
    await open()
    const peer = await rig.watch(deviceOf(7, 1, 1), deviceOf(8, 1, 1))
    peer.say(SNAP, 0, false, [])
    peer.say(SNAP, 2, true, [deviceOf(8, 1, 5)])
    await peer.settled()
    expect(shownIds()).toEqual([7, 8])
  })

  test('a part above 0 outside a complete one only updates', async () => {
    await open()
    const peer = await rig.watch(deviceOf(7, 1, 1, 1), deviceOf(8, 1, 1, 1))
    peer.say(SNAP, 3, true, [deviceOf(8, 1, 40, 20)])
    await peer.settled()
    expect(shownIds()).toEqual([7, 8])
    expect(rig.viewer.devices.get(8)?.last?.recordedMs).toBe(START_MS + 20_000)
    // The count goes on from there.
    peer.say(...live(8, 1, 41, 21))
    await peer.settled()
    expect(rig.seen(8)).toEqual([21])
    expect(await resyncs(peer)).toBe(0)
  })

  test('a device in it is shown in human units', async () => {
    await open()
    const last = [START_MS, 'paused', START_MS + 5, -481_234_567, 115_000_000, 450, 1389, 9000, -120, 3]
    await rig.watch([7, 2, 'van', 'red', 'ios', false, null, 1, 1, last])
    expect(rig.viewer.devices.get(7)).toEqual({
      deviceId: 7,
      userId: 2,
      name: 'van',
      color: 'red',
      platform: 'ios',
      online: false,
      lastSeenMs: null,
      session: { startedMs: START_MS, status: 'paused' },
      last: {
        recordedMs: START_MS + 5,
        lat: -48.1234567,
        lng: 11.5,
        accuracy: 4.5,
        speed: 13.89,
        heading: 90,
        altitude: -1.2,
        source: 'manual',
        session: START_MS,
      },
    })
  })
})

describe('the count of a device', () => {
  test('frames in a row are applied, each point once', async () => {
    await open()
    const peer = await rig.watch(deviceOf(7, 1, 4, 0))
    peer.say(...live(7, 1, 5, 1, 2))
    peer.say(...live(7, 1, 6, 3))
    await peer.settled()
    expect(rig.seen(7)).toEqual([1, 2, 3])
    rig.clock.advance(10_000)
    expect(await resyncs(peer)).toBe(0)
  })

  test('frames that are known, or of a lower epoch, are ignored', async () => {
    await open()
    const peer = await rig.watch(deviceOf(7, 2, 4, 0))
    peer.say(...live(7, 2, 4, 1))
    peer.say(...live(7, 2, 3, 2))
    peer.say(...live(7, 1, 5, 3))
    peer.say(PRESENCE, 7, 1, 6, false, START_MS)
    await peer.settled()
    expect(rig.seen(7)).toEqual([])
    expect(rig.viewer.devices.get(7)?.online).toBe(true)
    rig.clock.advance(10_000)
    expect(await resyncs(peer)).toBe(0)
  })

  test('a higher epoch that begins at 1 is in order', async () => {
    await open()
    const peer = await rig.watch(deviceOf(7, 1, 4, 0))
    peer.say(PRESENCE, 7, 9, 1, true, START_MS)
    peer.say(...live(7, 9, 2, 1))
    await peer.settled()
    expect(rig.seen(7)).toEqual([1])
    rig.clock.advance(10_000)
    expect(await resyncs(peer)).toBe(0)
  })

  test.each([
    ['a number is missing', live(7, 1, 6, 1)],
    ['a higher epoch does not begin at 1', live(7, 2, 2, 1)],
    ['a device is not known', live(8, 1, 1, 1)],
  ])('when %s the viewer asks for a new snapshot after 0 to 1 s', async (_, frame) => {
    await open()
    rig.clock.chance(0.3)
    const peer = await rig.watch(deviceOf(7, 1, 4, 0))
    peer.say(...frame)
    await peer.settled()
    rig.clock.advance(299)
    expect(await resyncs(peer)).toBe(0)
    rig.clock.advance(1)
    expect(await resyncs(peer)).toBe(1)
  })

  test.each([0, 0.999])('it asks at most once a second, also when chance is %d', async (chance) => {
    await open()
    rig.clock.chance(chance)
    const peer = await rig.watch(deviceOf(7, 1, 1, 0))
    let n = 1
    let asked = 0
    for (let ms = 0; ms < 10_000; ms += 100) {
      n += 2
      peer.say(...live(7, 1, n, ms / 1000 + 1))
      await peer.settled()
      rig.clock.advance(100)
      const now = await resyncs(peer)
      // Every question is answered, so that the next hole is a new one.
      if (now > asked) peer.say(SNAP, 0, true, [deviceOf(7, 1, n, ms / 1000 + 1)])
      asked = now
      await peer.settled()
    }
    expect(asked).toBeGreaterThanOrEqual(5)
    expect(asked).toBeLessThanOrEqual(11)
  })

  test('while a snapshot is on its way it does not ask again', async () => {
    await open()
    rig.clock.chance(0)
    const peer = await rig.watch(deviceOf(7, 1, 1, 0))
    peer.say(...live(7, 1, 3, 1))
    await peer.settled()
    rig.clock.advance(0)
    expect(await resyncs(peer)).toBe(1)
    peer.say(...live(7, 1, 5, 2))
    peer.say(SNAP, 0, false, [])
    await peer.settled()
    rig.clock.advance(20_000)
    expect(await resyncs(peer)).toBe(1)
    peer.say(SNAP, 1, true, [deviceOf(7, 1, 5, 2)])
    await peer.settled()
    rig.clock.advance(100_000)
    expect(await resyncs(peer)).toBe(1)
  })

  test('a snapshot older than the hole does not hide it', async () => {
    await open()
    rig.clock.chance(0)
    const peer = await rig.watch(deviceOf(7, 1, 1, 0))
    peer.say(...live(7, 1, 3, 2))
    peer.say(SNAP, 0, true, [deviceOf(7, 1, 2, 1)])
    await peer.settled()
    expect(rig.viewer.devices.get(7)?.last?.recordedMs).toBe(START_MS + 2000)
    rig.clock.advance(1000)
    expect(await resyncs(peer)).toBe(1)
  })

  test('a resync neither loses nor doubles a point of the devices without a hole', async () => {
    await open()
    rig.clock.chance(0)
    const peer = await rig.watch(deviceOf(7, 1, 1, 0), deviceOf(8, 1, 1, 0))
    peer.say(...live(7, 1, 2, 1))
    peer.say(...live(8, 1, 9, 5))
    peer.say(...live(7, 1, 3, 2))
    await peer.settled()
    rig.clock.advance(0)
    expect(await resyncs(peer)).toBe(1)
    // What was published before the hub read the RESYNC, then the snapshot, then what comes after it.
    peer.say(...live(7, 1, 4, 3))
    peer.say(SNAP, 0, false, [deviceOf(7, 1, 4, 3)])
    peer.say(SNAP, 1, true, [deviceOf(8, 1, 9, 5)])
    peer.say(...live(7, 1, 4, 3))
    peer.say(...live(7, 1, 5, 4))
    peer.say(...live(8, 1, 10, 6))
    await peer.settled()
    expect(rig.seen(7)).toEqual([1, 2, 3, 4])
    expect(rig.seen(8)).toEqual([5, 6])
    rig.clock.advance(10_000)
    expect(await resyncs(peer)).toBe(1)
  })
})

describe('what frames change', () => {
  test('a point is applied only if it is newer than what is shown', async () => {
    await open()
    const peer = await rig.watch(deviceOf(7, 1, 1, 10))
    peer.say(...live(7, 1, 2, 8, 9, 10, 11))
    peer.say(...live(7, 1, 3, 9))
    await peer.settled()
    expect(rig.seen(7)).toEqual([11])
    expect(rig.viewer.devices.get(7)?.last?.recordedMs).toBe(START_MS + 11_000)
    expect(rig.events.filter((event) => event.type === 'points')).toHaveLength(1)
  })

  test('presence, sessions and backfilled spans are told', async () => {
    await open()
    const peer = await rig.watch(deviceOf(7, 1, 1, 0))
    peer.say(PRESENCE, 7, 1, 2, false, START_MS + 5)
    peer.say(SESSION, 7, 1, 3, 33, START_MS, 'ended', START_MS + 6)
    peer.say(BACKFILLED, 7, 1, 4, START_MS - 9, START_MS - 1)
    expect(await rig.event('presence')).toMatchObject({ device: { online: false, lastSeenMs: START_MS + 5 } })
    expect(await rig.event('session')).toMatchObject({
      sessionId: 33,
      session: START_MS,
      status: 'ended',
      endedMs: START_MS + 6,
      device: { session: { startedMs: START_MS, status: 'ended' } },
    })
    expect(await rig.event('backfilled')).toMatchObject({ fromMs: START_MS - 9, toMs: START_MS - 1 })
  })

  test('a session that was announced as paused stays so when its first point comes', async () => {
    await open()
    const peer = await rig.watch(deviceOf(7, 1, 1, 0))
    peer.say(SESSION, 7, 1, 2, 34, START_MS + 50, 'paused', null)
    peer.say(81, 7, 1, 3, START_MS + 50, START_MS, [[60, 1, 2]])
    peer.say(SESSION, 7, 1, 4, 33, START_MS, 'ended', START_MS + 50)
    peer.say(81, 7, 1, 5, START_MS + 90, START_MS, [[95, 1, 2]])
    await peer.settled()
    const sessions = rig.events.flatMap((event) =>
      event.type === 'points' || event.type === 'session' ? [event.device.session] : [],
    )
    expect(sessions).toEqual([
      { startedMs: START_MS + 50, status: 'paused' },
      { startedMs: START_MS + 50, status: 'paused' },
      { startedMs: START_MS + 50, status: 'paused' },
      { startedMs: START_MS + 90, status: 'active' },
    ])
  })

  test('a session whose start moves stays the one that is shown', async () => {
    await open()
    const peer = await rig.watch(deviceOf(7, 1, 1, 0))
    peer.say(81, 7, 1, 2, START_MS + 50, START_MS, [[50, 1, 2]])
    peer.say(SESSION, 7, 1, 3, 34, START_MS + 50, 'active', null)
    peer.say(SESSION, 7, 1, 4, 33, START_MS + 20, 'ended', START_MS + 30)
    peer.say(SESSION, 7, 1, 5, 34, START_MS + 40, 'active', null)
    peer.say(SESSION, 7, 1, 6, 34, START_MS + 40, 'ended', START_MS + 50)
    peer.say(81, 7, 1, 7, START_MS + 90, START_MS, [[95, 1, 2]])
    peer.say(SESSION, 7, 1, 8, 34, START_MS + 35, 'ended', START_MS + 50)
    await peer.settled()
    const sessions = rig.events.flatMap((event) => (event.type === 'session' ? [event.device.session] : []))
    expect(sessions).toEqual([
      { startedMs: START_MS + 50, status: 'active' },
      { startedMs: START_MS + 50, status: 'active' },
      { startedMs: START_MS + 40, status: 'active' },
      { startedMs: START_MS + 40, status: 'ended' },
      { startedMs: START_MS + 90, status: 'active' },
    ])
  })

  test('DEVICE adds a device, or says what a known one is, and leaves its count and its place alone', async () => {
    await open()
    const peer = await rig.watch(deviceOf(7, 1, 5, 10))
    peer.say(DEVICE, [7, 1, 'renamed', 'pink', 'web', false, 0, 0, 0, null])
    peer.say(DEVICE, deviceOf(9, 4, 0))
    peer.say(...live(7, 1, 6, 11))
    peer.say(...live(9, 4, 1, 1))
    await peer.settled()
    expect(rig.viewer.devices.get(7)).toMatchObject({
      name: 'renamed',
      color: 'pink',
      platform: 'web',
      online: true,
    })
    expect(rig.seen(7)).toEqual([11])
    expect(rig.seen(9)).toEqual([1])
    rig.clock.advance(10_000)
    expect(await resyncs(peer)).toBe(0)
  })

  test('GONE takes a device away', async () => {
    await open()
    const peer = await rig.watch(deviceOf(7, 1, 5), deviceOf(8, 1, 1))
    peer.say(GONE, 7)
    expect(await rig.event('gone')).toEqual({ type: 'gone', deviceId: 7 })
    expect(shownIds()).toEqual([8])
  })

  test('TICK is answered with SEEN at once', async () => {
    await open()
    const peer = await rig.watch()
    peer.say(TICK, 41)
    peer.say(TICK, 42)
    expect(await peer.next()).toEqual([SEEN, 41])
    expect(await peer.next()).toEqual([SEEN, 42])
  })
})

describe('connections', () => {
  test('after a reconnect devices stay shown, the counts begin anew, and no point is seen twice', async () => {
    await open()
    const peer = await rig.watch(deviceOf(7, 5, 8, 0), deviceOf(8, 5, 8, 0))
    peer.say(...live(7, 5, 9, 1, 2))
    await peer.settled()
    peer.cut()
    const again = await rig.reconnect()
    expect(await again.next()).toEqual([SUB, null, null])
    expect(shownIds()).toEqual([7, 8])
    // Another hub, which knows of a lower epoch.
    again.say(SNAP, 0, true, [deviceOf(7, 2, 3, 1)])
    again.say(...live(7, 2, 4, 2, 3))
    await again.settled()
    expect(rig.seen(7)).toEqual([1, 2, 3])
    expect(shownIds()).toEqual([7])
    rig.clock.advance(10_000)
    expect(await resyncs(again)).toBe(0)
  })

  test('a hole of the last connection is not asked for on the next', async () => {
    await open()
    rig.clock.chance(1)
    const peer = await rig.watch(deviceOf(7, 1, 1, 0))
    peer.say(...live(7, 1, 3, 1))
    await peer.settled()
    peer.close(1011)
    const again = await rig.reconnect()
    await again.next()
    again.say(SNAP, 0, true, [deviceOf(7, 1, 3, 1)])
    await again.settled()
    rig.clock.advance(10_000)
    expect(await resyncs(again)).toBe(0)
  })

  test.each([1012, 4402, 1013])('after %d it comes back', async (code) => {
    await open()
    const peer = await rig.watch()
    peer.say(GOAWAY, 3000, 3000)
    peer.close(code)
    const { untilMs } = await rig.waiting()
    expect(untilMs - rig.clock.now()).toBe(code === 1013 ? 5000 : 3000)
    rig.clock.advance(5000)
    await rig.welcome()
  })

  test('after 4503 it stops', async () => {
    await open()
    const peer = await rig.watch()
    peer.close(4503)
    await peer.closed
    await expect(rig.waiting()).rejects.toThrow('stopped')
  })
})

describe('tokens', () => {
  test('after 4451 a new token is got before it reconnects', async () => {
    const asked: boolean[] = []
    await open({
      token: async (fresh) => {
        asked.push(fresh)
        return `token ${asked.length}`
      },
    })
    let peer = await rig.hub.accept()
    expect((await peer.next())[1]).toBe('token 1')
    peer.close(4451)
    const { untilMs } = await rig.waiting()
    rig.clock.advance(untilMs - rig.clock.now())
    peer = await rig.welcome()
    expect(peer.frames[0]?.[1]).toBe('token 2')
    await peer.next()
    peer.close(1011)
    peer = await rig.reconnect()
    expect(peer.frames[0]?.[1]).toBe('token 3')
    expect(asked).toEqual([false, true, false])
  })

  test('after 4451 a viewer that has only one token stops', async () => {
    await open()
    const peer = await rig.watch()
    peer.close(4451)
    await expect(rig.waiting()).rejects.toThrow('stopped')
  })

  test('a token that cannot be got is asked for again', async () => {
    let asked = 0
    await open({
      token: () => {
        asked += 1
        if (asked === 1) throw new Error('the issuer is away')
        return 'late'
      },
    })
    const { reason, untilMs } = await rig.waiting()
    expect(reason).toBe('the issuer is away')
    rig.clock.advance(untilMs - rig.clock.now())
    const peer = await rig.welcome()
    expect(peer.frames[0]?.[1]).toBe('late')
  })

  test('a fresh token goes out as AUTH before the old one expires, and again before the next', async () => {
    let asked = 0
    await open({ token: () => `token ${++asked}` })
    const peer = await rig.welcome(900, 600_000)
    await peer.next()
    rig.clock.advance(539_999)
    expect(await peer.settled()).toEqual([])
    rig.clock.advance(1)
    expect(await peer.next()).toEqual([AUTH, 'token 2'])
    peer.say(AUTH_OK, rig.clock.now() + 300_000)
    await peer.settled()
    rig.clock.advance(240_000)
    expect(await peer.next()).toEqual([AUTH, 'token 3'])
  })

  test('a hub that does not know AUTH gets the fresh token in the next HELLO, and no AUTH again', async () => {
    let asked = 0
    await open({ token: () => `token ${++asked}` })
    let peer = await rig.welcome(900, 600_000)
    await peer.next()
    rig.clock.advance(540_000)
    expect(await peer.next()).toEqual([AUTH, 'token 2'])
    peer.say(ERROR, 4500, 'unknown type', null)
    peer.close(4500)
    const { untilMs } = await rig.waiting()
    rig.clock.advance(untilMs - rig.clock.now())
    peer = await rig.welcome(900, 600_000)
    expect(peer.frames[0]?.[1]).toBe('token 3')
    await peer.next()
    rig.clock.advance(599_000)
    expect(await peer.settled()).toEqual([])
  })

  test('a hub that cannot check a token now is sent a fresh one a little later', async () => {
    let asked = 0
    await open({ token: () => `token ${++asked}` })
    const peer = await rig.welcome(900, 600_000)
    await peer.next()
    peer.say(ERROR, 1013, 'not asked for', null)
    await peer.settled()
    rig.clock.advance(540_000)
    expect(await peer.next()).toEqual([AUTH, 'token 2'])
    peer.say(ERROR, 1013, 'the issuer is away', null)
    await peer.settled()
    rig.clock.advance(14_999)
    expect(await peer.settled()).toEqual([])
    rig.clock.advance(1)
    expect(await peer.next()).toEqual([AUTH, 'token 3'])
    peer.say(AUTH_OK, rig.clock.now() + 600_000)
    expect(await peer.settled()).toEqual([])
    expect(rig.viewer.state.name).toBe('open')
  })

  test('4500 without an AUTH under way stops the viewer', async () => {
    await open({ token: () => 'a token' })
    const peer = await rig.watch()
    peer.close(4500)
    await expect(rig.waiting()).rejects.toThrow('stopped')
  })

  test('a token that lives for months arms no timer beyond what the platform can wait', async () => {
    await open()
    const setTimeoutSpy = vi.spyOn(globalThis, 'setTimeout')
    systemClock.after(90 * DAY_MS, () => {})()
    expect(setTimeoutSpy.mock.lastCall?.[1]).toBe(2 ** 31 - 1)
    setTimeoutSpy.mockRestore()
  })
})
