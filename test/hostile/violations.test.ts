/** Each violation of HTTP, of WebSocket and of the way in, on a connection of its own; the hub serves others all the time. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startHub, type TestHub } from '../rig/hub.ts'
import { quickestKind, type TestDatabase } from '../rig/kinds.ts'
import { openRawSocket, type RawSocket, upgradeHead, wsFrame } from './rawSocket.ts'
import { VIOLATIONS, type Violation } from './violations.ts'

let database: TestDatabase
let hub: TestHub

beforeAll(async () => {
  database = await quickestKind.create()
  hub = await startHub({ database })
})
afterAll(async () => {
  await hub?.end()
  await database?.drop()
})

// Together: some end only by a deadline of the server.
test.concurrent.each(VIOLATIONS)('$name', async (violation) => {
  const socket = await openRawSocket(hub.port)
  try {
    expect(await outcomeOf(socket, violation)).toEqual(violation.outcome)
  } finally {
    socket.destroy()
  }
})

test.concurrent('a second request behind one that waits, and bytes behind a request, harm nobody', async () => {
  const request = 'GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n'
  const pipelined = await openRawSocket(hub.port)
  pipelined.write(request.repeat(50))
  await pipelined.wait(() => pipelined.status === 200, 'an answer')
  pipelined.destroy()
  const eager = await openRawSocket(hub.port)
  eager.write(upgradeHead('/v1/device', { subprotocol: 'alzy.device.v1' }) + request)
  await eager.wait(() => eager.status !== null, 'an answer')
  eager.destroy()
})

test.concurrent('a head that never ends is ended by the hub', async () => {
  const socket = await openRawSocket(hub.port)
  socket.write('GET /v1/device HTTP/1.1\r\n')
  const drip = setInterval(() => socket.write('X: x\r\n'), 500)
  try {
    await socket.wait(() => socket.isEnded, 'the end', 40_000)
  } finally {
    clearInterval(drip)
  }
  expect(socket.isEnded).toBe(true)
})

test('after all of that the hub has no fault to report', async () => {
  expect(hub.process.exitCode).toBeNull()
  expect(await hub.metric('alzy_handler_faults_total')).toBe(0)
})

async function outcomeOf(
  socket: RawSocket,
  { head, frames, outcome }: Violation,
): Promise<Violation['outcome']> {
  socket.write(head ?? upgradeHead('/v1/device', { subprotocol: 'alzy.device.v1' }))
  const isAnswered = await socket.wait(() => socket.status !== null, 'an answer or the end')
  if (head !== undefined) {
    if (outcome === 'end') {
      // Some are told why; none is served.
      expect(socket.status ?? 400).toBeGreaterThanOrEqual(400)
      return 'end'
    }
    return isAnswered ? { status: socket.status! } : 'end'
  }
  expect(socket.status).toBe(101)
  socket.write(frames!)
  if (outcome === 'lives') {
    const pongs = socket.pongs
    socket.write(wsFrame('still there', { opcode: 9 }))
    return (await socket.wait(() => socket.pongs > pongs, 'a pong')) ? 'lives' : 'end'
  }
  await socket.wait(() => socket.code !== null, 'a close')
  return { close: socket.code ?? 'none' }
}
