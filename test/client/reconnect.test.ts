import { afterEach, describe, expect, test } from 'vitest'
import type { DeviceOptions } from '../../src/client/device.ts'
import { routeUrl } from '../../src/client/platform.ts'
import { ERROR, HELLO, openDeviceRig, sent, track } from './deviceRig.ts'

let rig: Awaited<ReturnType<typeof openDeviceRig>>
afterEach(() => rig.close())

async function open(options: Partial<DeviceOptions> = {}) {
  rig = await openDeviceRig(options)
  return rig
}

/** How long the device waits after this close, on its first connection. */
async function delayAfterClose(code: number, chance: number): Promise<number> {
  await open()
  rig.clock.chance(chance)
  const peer = await rig.welcome()
  peer.close(code)
  const { untilMs } = await rig.waiting()
  return untilMs - rig.clock.now()
}

describe('full jitter', () => {
  test.each([0, 0.5, 1])(
    'the ceiling doubles from 0.5 s to 60 s, and chance %d decides below it',
    async (chance) => {
      await open()
      rig.clock.chance(chance)
      rig.hub.refuse('502 Bad Gateway')
      const delays: number[] = []
      for (let i = 0; i < 10; i++) {
        const { untilMs, code } = await rig.waiting()
        expect(code).toBe(502)
        delays.push(untilMs - rig.clock.now())
        rig.clock.advance(untilMs - rig.clock.now())
      }
      const ceilings = [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]
      expect(delays).toEqual(ceilings.map((ceiling) => ceiling * chance))
    },
  )

  test('a connection shorter than 60 s does not reset the delay, one of 60 s does', async () => {
    await open()
    rig.clock.chance(1)
    let peer = await rig.welcome({ heartbeatS: 900 })
    peer.close(1011)
    peer = await rig.reconnect({ heartbeatS: 900 })
    rig.clock.advance(59_999)
    peer.close(1011)
    let state = await rig.waiting()
    expect(state.untilMs - rig.clock.now()).toBe(1000)
    rig.clock.advance(1000)
    peer = await rig.welcome({ heartbeatS: 900 })
    rig.clock.advance(60_000)
    peer.close(1011)
    state = await rig.waiting()
    expect(state.untilMs - rig.clock.now()).toBe(500)
  })
})

describe('close codes', () => {
  test.each([1000, 1001, 1011, 1012, 4400, 4408, 4429, 4451, 4499])(
    'after %d it reconnects at its usual pace',
    async (code) => {
      expect(await delayAfterClose(code, 1)).toBe(500)
      rig.clock.advance(500)
      await rig.welcome()
    },
  )

  test('after a close that is not seen it reconnects', async () => {
    await open()
    const peer = await rig.welcome()
    peer.cut()
    expect((await rig.waiting()).code).toBe(1006)
  })

  test('after 1013 it waits at least 5 s', async () => {
    expect(await delayAfterClose(1013, 0)).toBe(5000)
  })

  test('after 4409 it waits at least 60 s', async () => {
    expect(await delayAfterClose(4409, 0)).toBe(60_000)
  })

  test('after 4409 a user may bring it back at once', async () => {
    await delayAfterClose(4409, 0)
    rig.device.retryNow()
    await rig.welcome()
    expect(rig.device.state.name).toBe('open')
  })

  test.each([4500, 4503, 4599])('after %d it stops, and those who wait are told', async (code) => {
    await open()
    const peer = await rig.hub.accept()
    await peer.next()
    await rig.device.record(track(1)[0]!)
    const drained = rig.device.drained()
    peer.close(code)
    await expect(drained).rejects.toMatchObject({ name: 'ClientStopped', code })
    expect(rig.device.state).toMatchObject({ name: 'stopped', code })
    rig.clock.advance(24 * 3_600_000)
    expect(rig.clock.pendingMs).toEqual([])
    await expect(rig.device.drained()).rejects.toThrow()
  })

  test('an unattended device that was refused tries again at most once an hour', async () => {
    await open({ unattended: true })
    rig.clock.chance(0)
    for (let i = 0; i < 3; i++) {
      const peer = await rig.hub.accept()
      await peer.next()
      peer.close(4503)
      const { untilMs, code } = await rig.waiting()
      expect(code).toBe(4503)
      expect(untilMs - rig.clock.now()).toBeGreaterThanOrEqual(3_600_000)
      rig.clock.advance(untilMs - rig.clock.now())
    }
  })

  test('what the hub says before it refuses is passed on', async () => {
    await open()
    const peer = await rig.hub.accept()
    await peer.next()
    peer.say(ERROR, 4503, 'no', null)
    peer.close(4503)
    expect(await rig.event('error')).toEqual({ type: 'error', code: 4503, message: 'no', ref: null })
  })
})

describe('refused upgrades', () => {
  test.each([400, 403, 404, 426])('HTTP %d stops it', async (status) => {
    await open()
    rig.hub.refuse(`${status} No`)
    for (;;) {
      const { state } = await rig.event('state')
      if (state.name === 'connecting') continue
      expect(state).toEqual({ name: 'stopped', reason: `HTTP ${status}`, code: status })
      break
    }
  })

  test.each([429, 503])('HTTP %d is waited out as long as Retry-After says', async (status) => {
    await open()
    rig.clock.chance(0)
    rig.hub.refuse(`${status} Later`, ['Retry-After: 17'])
    const { untilMs } = await rig.waiting()
    expect(untilMs - rig.clock.now()).toBe(17_000)
    rig.hub.refuse(null)
    rig.clock.advance(16_999)
    expect(rig.device.state.name).toBe('waiting')
    rig.clock.advance(1)
    await rig.welcome()
  })

  test('a hub that is not there is tried again', async () => {
    await open()
    await rig.hub.close()
    const first = await rig.waiting()
    rig.clock.advance(first.untilMs - rig.clock.now())
    expect((await rig.waiting()).code).toBe(1006)
  })
})

describe('silence', () => {
  test('nothing received for twice the heartbeat: it reconnects', async () => {
    await open()
    await rig.welcome({ heartbeatS: 10 })
    rig.clock.advance(19_999)
    expect(rig.device.state.name).toBe('open')
    rig.clock.advance(1)
    expect(rig.device.state).toMatchObject({ name: 'waiting', reason: 'nothing heard from the hub' })
  })

  test('a ping of the hub is a sign of life', async () => {
    await open()
    const peer = await rig.welcome({ heartbeatS: 10 })
    for (let i = 0; i < 5; i++) {
      rig.clock.advance(19_000)
      // The test's way to wait for the client is a ping.
      await peer.settled()
    }
    expect(rig.device.state.name).toBe('open')
    // On Node pings are seen, so nothing needs to be asked.
    expect(peer.frames.map((frame) => frame[0])).toEqual([HELLO])
  })

  test('a hub that does not answer HELLO is given up', async () => {
    await open()
    const peer = await rig.hub.accept()
    await peer.next()
    rig.clock.advance(20_000)
    expect(rig.device.state).toMatchObject({ name: 'waiting', reason: 'no WELCOME in time' })
    await peer.closed
  })

  test('what an older connection still says is not heard', async () => {
    await open()
    await rig.device.record(track(1)[0]!)
    const old = await rig.welcome({ heartbeatS: 10 })
    await sent(rig, old)
    rig.clock.advance(20_000)
    old.say(66, 1, 100)
    const peer = await rig.reconnect()
    expect(await sent(rig, peer)).toHaveLength(1)
    expect(rig.device.counts.acknowledged).toBe(0)
  })
})

describe('address', () => {
  test.each([
    ['http://hub:9001', 'ws://hub:9001/v1/device'],
    ['https://hub/', 'wss://hub/v1/device'],
    ['wss://hub/alzy/', 'wss://hub/alzy/v1/device'],
    ['ws://hub/v1/device', 'ws://hub/v1/device'],
  ])('%s means %s', async (base, url) => {
    await open()
    expect(routeUrl(base, '/v1/device')).toBe(url)
  })

  test('another protocol is an error of the caller', async () => {
    await open()
    expect(() => routeUrl('ftp://hub', '/v1/device')).toThrow(TypeError)
  })
})
