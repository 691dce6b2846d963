import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { createStatsClient, type StatsEvent } from '../../src/client/browser.ts'
import { createDrivenClock, START_MS } from './drivenClock.ts'
import { createLine, openScriptedHub, type ScriptedHub } from './scriptedHub.ts'
import { AUTH, AUTH_OK, HELLO, SEEN, TICK, WELCOME } from './viewerRig.ts'

const STATS = 96
let hub: ScriptedHub

beforeEach(() => void vi.stubGlobal('WebSocket', WebSocket))
afterEach(async () => {
  await hub.close()
  vi.unstubAllGlobals()
})

async function openRig(token: string | ((fresh: boolean) => string) = 'a token') {
  hub = await openScriptedHub('alzy.stats.v1')
  const clock = createDrivenClock()
  const line = createLine<StatsEvent>()
  const client = createStatsClient({ url: hub.url, token, clock, onEvent: (event) => line.put(event) })
  const peer = await hub.accept()
  expect(await peer.next()).toEqual([
    HELLO,
    typeof token === 'string' ? token : token(false),
    'alzy',
    START_MS,
  ])
  return { clock, client, peer, event }

  async function event<Type extends StatsEvent['type']>(
    type: Type,
  ): Promise<Extract<StatsEvent, { type: Type }>> {
    for (;;) {
      const next = await line.take()
      if (next.type === type) return next as Extract<StatsEvent, { type: Type }>
    }
  }
}

test('the figures come as they are, and every TICK is answered', async () => {
  const { client, clock, peer, event } = await openRig()
  peer.say(WELCOME, 1, 'admin', clock.now(), clock.now() + 3_600_000, 60)
  peer.say(TICK, 7)
  expect(await peer.next()).toEqual([SEEN, 7])
  const figures = { devices: 3, ackMs: { count: 1, p50: 4, p99: 9 } }
  peer.say(STATS, figures as never)
  expect((await event('stats')).stats).toEqual(figures)
  client.close()
  await peer.closed
})

test('a frame that is none is said and does no harm', async () => {
  const { client, clock, peer, event } = await openRig()
  peer.say(WELCOME, 1, 'admin', clock.now(), clock.now() + 3_600_000, 60)
  peer.say(STATS, 3)
  expect((await event('error')).message).toBe('expected a map')
  expect(client.state.name).toBe('open')
  client.close()
  await peer.closed
})

test('whoever is no admin is refused for good; an expired token is got anew', async () => {
  const refused = await openRig()
  refused.peer.close(4503)
  await refused.event('state')
  await vi.waitUntil(() => refused.client.state.name === 'stopped')
  await hub.close()

  const renewed = await openRig((fresh) => (fresh ? 'a new token' : 'a token'))
  renewed.peer.say(WELCOME, 1, 'admin', renewed.clock.now(), renewed.clock.now() + 120_000, 900)
  await renewed.peer.settled()
  renewed.clock.advance(60_000)
  expect(await renewed.peer.next()).toEqual([AUTH, 'a new token'])
  renewed.peer.say(AUTH_OK, renewed.clock.now() + 3_600_000)
  await renewed.peer.settled()
  renewed.client.close()
  await renewed.peer.closed
})
