/** The sockets of the tests against a server that says what it is told, before they are believed about a hub. */
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { decode, encode } from '@msgpack/msgpack'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { until } from './until.ts'
import { openDevice, openViewer, upgradeStatus } from './wire.ts'

let server: WebSocketServer
let url: string
let heard: unknown[]
let hub: WebSocket
/** The TCP socket below. */
let line: Socket

beforeEach(async () => {
  heard = []
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  server.on('connection', (socket, request) => {
    hub = socket
    line = request.socket
    socket.on('message', (data, isBinary) => heard.push(isBinary ? decode(data as Buffer) : String(data)))
  })
  await once(server, 'listening')
  url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterEach(() => {
  for (const socket of server.clients) socket.terminate()
  server.close()
})

function say(...frames: unknown[][]): void {
  for (const frame of frames) hub.send(encode(frame))
}

test('a device says HELLO first and hears WELCOME apart from the rest', async () => {
  const device = await openDevice(url, { deviceKey: 'alzy_1_key' })
  say([65, 7, 100, 50, 32_768, 5, 25], [73, 1_000, true])
  expect(await device.welcome).toMatchObject({ deviceId: 7, windowPoints: 100, heartbeatS: 25 })
  expect(await device.next()).toEqual([73, 1_000, true])
  await until(() => heard.length === 1, 'HELLO arrives')
  expect(heard[0]).toEqual([1, 'alzy_1_key', 'wire test', expect.any(Number)])
  expect(device.subprotocol).toBe('alzy.device.v1')
})

test('an acknowledgement is awaited over several frames, and the rejected of all of them are gathered', async () => {
  const device = await openDevice(url)
  say([66, 3, 10], [66, 3, 10, [[4, 0, 1]]], [66, 4, 20, [[4, 1, 2]]])
  expect(await device.ack(4)).toEqual({
    seq: 4,
    windowPoints: 20,
    rejected: [
      [4, 0, 1],
      [4, 1, 2],
    ],
  })
  expect(heard).toEqual([])
})

test('frames that were not asked for are kept in order', async () => {
  const device = await openDevice(url)
  say([67, 1, 'a'], [72, 9, 1], [67, 2, 'b'])
  expect(await device.next(72)).toEqual([72, 9, 1])
  expect(await device.next()).toEqual([67, 1, 'a'])
  expect(await device.next()).toEqual([67, 2, 'b'])
  await expect(device.next(67, 20)).rejects.toThrow('a frame of type 67 did not come within 20 ms')
})

test('a viewer answers ticks until it is told not to', async () => {
  const viewer = await openViewer(url, { token: 'a.b.c' })
  say([90, 5], [85, 1])
  expect(await viewer.next()).toEqual([85, 1])
  await until(() => heard.length === 2, 'the tick is answered')
  expect(heard[1]).toEqual([19, 5])
  viewer.answerTicks(false)
  say([90, 6])
  expect(await viewer.next()).toEqual([90, 6])
})

test('a close ends what is awaited, and says its code and reason', async () => {
  const device = await openDevice(url)
  const waiting = expect(device.next()).rejects.toThrow('before the close with 4503 refused')
  hub.close(4503, 'refused')
  expect(await device.closed).toEqual({ code: 4503, reason: 'refused' })
  await waiting
})

test('bytes and text are sent as they are', async () => {
  const device = await openDevice(url)
  device.sendRaw(Uint8Array.of(0x91, 0x06))
  device.sendRaw('text')
  await until(() => heard.length === 2, 'both arrive')
  expect(heard).toEqual([[6], 'text'])
})

test('terminate resets the connection', async () => {
  const device = await openDevice(url)
  const fault = once(line, 'error').then(([error]) => error)
  device.terminate()
  expect(await fault).toMatchObject({ code: 'ECONNRESET' })
  expect((await device.closed).code).toBe(1006)
})

test.each([
  ['reads', false],
  ['has stopped reading', true],
])('terminate ends a socket that %s while the other side closes it', async (_, isPaused) => {
  const device = await openDevice(url)
  if (isPaused) device.pause()
  say([85, 'x'.repeat(8 * 1024 * 1024)])
  hub.close(4409, 'replaced')
  device.terminate()
  expect([4409, 1006]).toContain((await device.closed).code)
})

test('a viewer that pauses hears nothing until it resumes', async () => {
  const viewer = await openViewer(url)
  viewer.pause()
  say([85, 'x'.repeat(32 * 1024 * 1024)])
  viewer.send([18])
  await until(() => heard.length === 1, 'the viewer can still be heard')
  expect(viewer.frames).toEqual([])
  expect(hub.bufferedAmount).toBeGreaterThan(0)
  viewer.resume()
  expect((await viewer.next())[0]).toBe(85)
  expect(hub.bufferedAmount).toBe(0)
})

test('a message that is no frame of the protocol is not passed over', async () => {
  const device = await openDevice(url)
  hub.send('text')
  await expect(device.next()).rejects.toThrow('the hub broke the protocol: a text frame')
})

test('a refused upgrade tells its status', async () => {
  expect(await upgradeStatus(`${url}/v1/device`)).toMatchObject({ status: 101 })
  expect(await upgradeStatus(`${url}/v1/device`, { 'sec-websocket-version': '1' })).toMatchObject({
    status: 400,
  })
  expect(await upgradeStatus(`${url}/v1/device`, { upgrade: null, connection: null })).toMatchObject({
    status: 426,
  })
  server.options.verifyClient = (_info, decide) => decide(false, 429, 'slow', { 'Retry-After': '7' })
  expect(await upgradeStatus(`${url}/v1/device`)).toMatchObject({
    status: 429,
    headers: { 'retry-after': '7' },
  })
  await expect(openDevice(url)).rejects.toThrow('the upgrade was refused with HTTP 429')
})
