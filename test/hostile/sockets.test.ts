/**
 * Hostile frames on live sockets of every kind, each row of them with the end that the protocol says, while devices stream
 * and a new one comes again and again: it is served, the hub lives, and its memory stays what it was.
 */

import { encode } from '@msgpack/msgpack'
import { expect } from 'vitest'
import { IS_LONG, type Stage, scenario } from '../fault/scenario.ts'
import { BATCH_POINTS_MAX } from '../protocol/frames.ts'
import { withoutFloat32 } from '../protocol/verdict.ts'
import { type Chance, createChance } from '../rig/chance.ts'
import type { TestDevice } from '../rig/hub.ts'
import { ERROR, HELLO, PING, PONG, pointsFrame, WELCOME } from '../rig/points.ts'
import { welcomedDevice } from '../rig/welcomed.ts'
import { expectedFirst, expectedOf, type Place } from './expected.ts'
import { createHostileFrames } from './frames.ts'
import { openRawSocket, type RawSocket, upgradeHead, wsFrame } from './rawSocket.ts'

const FRAMES_PER_ROUND = IS_LONG ? 5_000 : 2_000
const SOCKETS = 8
/** Below what a viewer may send at once: larger ones have their place in violations.ts. */
const FRAME_BYTES_MAX = 8_000
const FRAMES_PER_SOCKET_MAX = 20
/** Until then code is compiled and pools grow. */
const WARM_ROUNDS = 3
const RESIDENT_BYTES_MORE_MAX = 64 * 1024 * 1024
const NONCE = 424_242
const PLACES = {
  device: { path: '/v1/device', subprotocol: 'alzy.device.v1' },
  viewer: { path: '/v1/live', subprotocol: 'alzy.live.v1' },
  stats: { path: '/v1/stats', subprotocol: 'alzy.stats.v1' },
} as const

interface Attacker {
  chance: Chance
  credentials: Record<Place, string>
  next: Record<Place, () => Uint8Array>
}

let attackers: Attacker[] = []
let newcomer: TestDevice
let warmBytes = 0

scenario(
  {
    fault: 'hostile frames on every kind of socket; measured: a new device from its connection to its ACK',
    tries: { short: 11, long: 101 },
    devices: 4,
    env: {
      ALZY_BATCH_POINTS_MAX: String(BATCH_POINTS_MAX),
      // What is sent too often is not the matter here.
      ALZY_DEVICE_FRAMES_BURST: '10000000',
      ALZY_DEVICE_SESSIONS_BURST: '1000000',
      ALZY_VIEWER_FRAMES_BURST: '100000',
      ALZY_REFUSED_ROWS_PER_HOUR_MAX: '1000000',
    },
    tryMs: 120_000,
  },
  async (on, round) => {
    if (round === 1) await hire(on)
    let isOver = false
    const guest = comeAgainAndAgain(on, () => isOver)
    const judged = await Promise.all(attackers.map((attacker) => attack(on, attacker))).finally(() => {
      isOver = true
    })
    expect(await guest, 'newcomers that were served').toBeGreaterThan(0)
    expect(judged.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(FRAMES_PER_ROUND)
    expect(on.hub.process.exitCode).toBeNull()
    expect(await on.hub.metric('alzy_handler_faults_total')).toBe(0)
    const bytes = await on.hub.metric('process_resident_memory_bytes')
    if (round <= WARM_ROUNDS) warmBytes = bytes
    expect(bytes - warmBytes, 'memory beyond that of a warm hub').toBeLessThan(RESIDENT_BYTES_MORE_MAX)
  },
)

async function hire(on: Stage): Promise<void> {
  newcomer = await on.hub.addDevice(on.user)
  const admin = await on.hub.addUser({ role: 'admin' })
  attackers = []
  for (let i = 0; i < SOCKETS; i++) {
    const chance = on.chance.fork(`attacker ${i}`)
    const { deviceKey } = await on.hub.addDevice(on.user)
    const ofViewer = createHostileFrames(createChance(chance.whole(0, 2 ** 31), 'viewer'), 'viewer')
    const ofDevice = createHostileFrames(createChance(chance.whole(0, 2 ** 31), 'device'), 'device')
    attackers.push({
      chance,
      credentials: { device: deviceKey, viewer: on.user.token, stats: admin.token },
      next: { device: ofDevice, viewer: ofViewer, stats: ofViewer },
    })
  }
}

/** Resolves with how often a device was served that connects anew each time. */
async function comeAgainAndAgain(on: Stage, isOver: () => boolean): Promise<number> {
  for (let served = 0; ; served++) {
    if (served > 0 && isOver()) return served
    const startedMs = performance.now()
    const socket = await welcomedDevice(on.url(), newcomer)
    socket.send(pointsFrame(1, Date.now()))
    await socket.ack(1)
    on.measured(performance.now() - startedMs)
    await socket.close()
  }
}

/** Its part of a round; resolves with how many frames the hub had to judge. */
async function attack(on: Stage, attacker: Attacker): Promise<number> {
  let judged = 0
  while (judged < FRAMES_PER_ROUND / SOCKETS) {
    const place = attacker.chance.pick(['device', 'device', 'viewer', 'stats'] as const)
    const socket = await openRawSocket(on.hub.port)
    try {
      socket.write(upgradeHead(PLACES[place].path, PLACES[place]))
      await socket.wait(() => socket.status !== null, 'an answer')
      expect(socket.status).toBe(101)
      const isStranger = attacker.chance.yes(0.2)
      judged += isStranger
        ? await asStranger(socket, attacker, place)
        : await asMember(socket, attacker, place)
    } finally {
      socket.destroy()
    }
  }
  return judged
}

async function asStranger(socket: RawSocket, attacker: Attacker, place: Place): Promise<number> {
  const bytes = frameOf(attacker, place)
  socket.write(wsFrame(bytes))
  await socket.wait(() => socket.code !== null, 'the end of a stranger')
  expect(socket.code, hex([bytes])).toBe(expectedFirst(place, bytes, BATCH_POINTS_MAX))
  return 1
}

async function asMember(socket: RawSocket, attacker: Attacker, place: Place): Promise<number> {
  socket.write(wsFrame(encode([HELLO, attacker.credentials[place]])))
  expect(await socket.wait(() => has(socket, WELCOME), 'WELCOME'), String(socket.code)).toBe(true)
  const rows = Array.from({ length: FRAMES_PER_SOCKET_MAX }, () => frameOf(attacker, place))
  const expected = expectedOf(place, rows, BATCH_POINTS_MAX)
  const ping = encode([PING, NONCE])
  socket.write(Buffer.concat([...rows, ping].map((bytes) => wsFrame(bytes))))
  const isAnswered = () => socket.messages.some(([type, nonce]) => type === PONG && nonce === NONCE)
  const isStaying = expected.codes.length === 0
  await socket.wait(isStaying ? isAnswered : () => socket.code !== null, 'an end or an answer')
  const told = hex(rows.slice(0, expected.frames))
  if (isStaying) expect(isAnswered(), `closed with ${socket.code}: ${told}`).toBe(true)
  else expect(expected.codes, told).toContain(socket.code)
  if (expected.codes.length === 1 && socket.code === 4500 && expected.ref !== undefined) {
    const error = socket.messages.findLast(([type, code]) => type === ERROR && code === 4500)
    expect(error?.[3] ?? null, told).toBe(expected.ref)
  }
  return expected.frames
}

function has(socket: RawSocket, wanted: number): boolean {
  return socket.messages.some(([type]) => type === wanted)
}

function frameOf({ next }: Attacker, place: Place): Uint8Array {
  for (;;) {
    const bytes = withoutFloat32(next[place]())
    // A library takes this key of a map for an attack, where the hub ignores the map.
    if (bytes.length <= FRAME_BYTES_MAX && !Buffer.from(bytes).includes('__proto__')) return bytes
  }
}

function hex(rows: readonly Uint8Array[]): string {
  return rows.map((bytes) => Buffer.from(bytes).toString('hex')).join(' ')
}
