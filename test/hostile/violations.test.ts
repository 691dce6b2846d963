/** Each violation of HTTP, of WebSocket and of the way in, on a connection of its own; the hub serves others all the time. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { addFailed, addResult, NOTHING_STORED, ROWS_APART } from '../fault/result.ts'
import { startHub, type TestHub } from '../rig/hub.ts'
import { quickestKind, type TestDatabase } from '../rig/kinds.ts'
import { openRawSocket, type RawSocket, upgradeHead, wsFrame } from './rawSocket.ts'
import { type Outcome, VIOLATIONS } from './violations.ts'

const REQUEST = 'GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n'
const REQUESTS = 50
const TESTS = VIOLATIONS.length + 4
let database: TestDatabase
let hub: TestHub
let passed = 0

beforeAll(async () => {
  database = await quickestKind.create()
  hub = await startHub({ database })
})
afterAll(async () => {
  await hub?.end()
  await database?.drop()
  const line = { fault: ROWS_APART.violations, isLong: process.env.FAULT_LONG === '1' }
  if (passed === TESTS) addResult({ ...line, ...NOTHING_STORED, tries: TESTS - 1, seed: null })
  else addFailed({ ...line, failed: `${TESTS - passed} of ${TESTS}` })
})

// Together: some end only by a deadline of the server.
test.concurrent.each(VIOLATIONS)('$name', async (violation) => {
  await withSocket(async (socket) => {
    socket.write(violation.head ?? upgradeHead('/v1/device', { subprotocol: 'alzy.device.v1' }))
    if (violation.frames === undefined) await checkHead(socket, violation.outcome)
    else await checkFrames(socket, violation.frames, violation.outcome)
  })
})

test.concurrent(`${REQUESTS} requests at once are answered, each of them`, async () => {
  await withSocket(async (socket) => {
    socket.write(REQUEST.repeat(REQUESTS))
    const isAnswered = () => socket.answers.length === REQUESTS
    expect(await socket.wait(isAnswered, `${REQUESTS} answers`), String(socket.answers)).toBe(true)
    expect(new Set(socket.answers)).toEqual(new Set([200]))
  })
})

test.concurrent('bytes behind a request for an upgrade are lost, and HELLO is waited for in vain', async () => {
  await withSocket(async (socket) => {
    socket.write(upgradeHead('/v1/device', { subprotocol: 'alzy.device.v1' }) + REQUEST)
    expect(await socket.wait(() => socket.isEnded, 'the end')).toBe(true)
    expect([socket.answers, socket.code]).toEqual([[101], 4408])
  })
})

test.concurrent('a head that never ends is ended by the hub', async () => {
  await withSocket(async (socket) => {
    socket.write('GET /v1/device HTTP/1.1\r\n')
    const drip = setInterval(() => socket.write('X: x\r\n'), 500)
    try {
      expect(await socket.wait(() => socket.isEnded, 'the end', 40_000)).toBe(true)
      expect(socket.answers).toEqual([])
    } finally {
      clearInterval(drip)
    }
  })
})

test('after all of that the hub has no fault to report', async () => {
  expect(hub.process.exitCode).toBeNull()
  expect(await hub.metric('alzy_handler_faults_total')).toBe(0)
  passed += 1
})

async function withSocket(run: (socket: RawSocket) => Promise<void>): Promise<void> {
  const socket = await openRawSocket(hub.port)
  try {
    await run(socket)
  } finally {
    socket.destroy()
  }
  passed += 1
}

async function checkHead(socket: RawSocket, outcome: Outcome): Promise<void> {
  if (typeof outcome === 'object' && 'end' in outcome) {
    expect(await socket.wait(() => socket.isEnded, 'the end')).toBe(true)
    expect(outcome.end).toContain(socket.status)
    expect(socket.answers.length).toBeLessThan(2)
    return
  }
  expect(await socket.wait(() => socket.status !== null, 'an answer')).toBe(true)
  expect({ status: socket.status }).toEqual(outcome)
}

async function checkFrames(socket: RawSocket, frames: Uint8Array, outcome: Outcome): Promise<void> {
  expect(await socket.wait(() => socket.status !== null, 'an answer')).toBe(true)
  expect(socket.status).toBe(101)
  socket.write(frames)
  if (outcome === 'lives') {
    socket.write(wsFrame('still there', { opcode: 9 }))
    expect(await socket.wait(() => socket.pong === 'still there', 'its pong')).toBe(true)
    return
  }
  expect(await socket.wait(() => socket.isEnded, 'the end')).toBe(true)
  expect({ close: socket.code ?? 'none' }).toEqual(outcome)
}
