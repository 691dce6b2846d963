import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { createDeviceClient, createViewerClient } from '../../src/client/browser.ts'
import { ACK, HELLO, PING, POINTS, track, WELCOME } from './deviceRig.ts'
import { createDrivenClock, START_MS } from './drivenClock.ts'
import { openScriptedHub, type ScriptedHub } from './scriptedHub.ts'
import { SNAP, SUB } from './viewerRig.ts'

// The page's WebSocket: `ws` has the same face, and its pings stay unheard as they do in a page.
let hub: ScriptedHub
beforeEach(() => void vi.stubGlobal('WebSocket', WebSocket))
afterEach(async () => {
  await hub.close()
  vi.unstubAllGlobals()
})

async function openDevice(heartbeatS: number) {
  hub = await openScriptedHub('alzy.device.v1')
  const clock = createDrivenClock()
  const device = createDeviceClient({ url: hub.url, deviceKey: 'alzy_7_key', clock })
  const peer = await hub.accept()
  expect(await peer.next()).toEqual([HELLO, 'alzy_7_key', 'alzy', START_MS])
  peer.say(WELCOME, 7, 100, 10, 32_768, clock.now(), heartbeatS)
  await peer.settled()
  return { device, clock, peer }
}

test('a device in a page sends points and hears their ACK', async () => {
  const { device, clock, peer } = await openDevice(20)
  for (const point of track(3)) await device.record(point)
  clock.advance(0)
  expect((await peer.next()).slice(0, 2)).toEqual([POINTS, 1])
  peer.say(ACK, 1, 100)
  await device.drained()
  const closed = device.close()
  peer.close(1000)
  await closed
})

test('where pings are not seen the device asks with PING, and an answer is a sign of life', async () => {
  const { device, clock, peer } = await openDevice(10)
  clock.advance(9_999)
  expect(await peer.settled()).toEqual([])
  clock.advance(1)
  expect(await peer.next()).toEqual([PING, 1, START_MS + 10_000])
  peer.say(72, 1, clock.now())
  await peer.settled()
  clock.advance(10_000)
  expect(await peer.next()).toEqual([PING, 2, START_MS + 20_000])
  // Pings alone are not heard.
  await peer.settled()
  clock.advance(9_999)
  expect(device.state.name).toBe('open')
  clock.advance(1)
  expect(device.state.name).toBe('waiting')
  await device.close()
})

test('a viewer in a page subscribes and shows what the hub says', async () => {
  hub = await openScriptedHub('alzy.live.v1')
  const clock = createDrivenClock()
  const viewer = createViewerClient({ url: hub.url, token: 'a token', clock })
  const peer = await hub.accept()
  await peer.next()
  peer.say(WELCOME, 1, 'share', clock.now(), clock.now() + 1000, 20)
  expect(await peer.next()).toEqual([SUB, null, null])
  peer.say(SNAP, 0, true, [[7, 1, 'van', 'blue', 'web', true, null, 1, 1, null]])
  await peer.settled()
  expect([...viewer.devices.keys()]).toEqual([7])
  viewer.close()
  await peer.closed
})
