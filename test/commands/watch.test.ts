import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type WatchOptions, watch } from '../../src/commands/watch.ts'
import { SUBPROTOCOL, TYPE } from '../../src/protocol/messages.ts'
import { openScriptedHub, type Peer, type ScriptedHub, type Wire } from '../client/scriptedHub.ts'
import { createTestIo } from './terminal.ts'

let hub: ScriptedHub
let tty: ReturnType<typeof createTestIo>
let running: Promise<number>

beforeEach(async () => {
  hub = await openScriptedHub(SUBPROTOCOL.live)
  tty = createTestIo()
})
afterEach(async () => {
  tty.interrupt()
  await running.catch(() => {})
  await hub.close()
})

const NOW_MS = Date.UTC(2026, 0, 26, 16)
const WELCOME: Wire = [TYPE.welcome, 7, 'admin', NOW_MS, NOW_MS + 3_600_000, 30]
/** Ten metres up, 8.25 m/s to the east. */
const point = (dtMs: number, lat: number): Wire => [dtMs, lat, -29_235_430, null, 825, 9_000, 1_000, 2]
const BUS: Wire = [3, 7, 'Bus\u001b[2J 7', 'green', 'android', true, NOW_MS, 1_000, 5, null]

/** Begins to watch, and answers HELLO. */
async function watched(options: Partial<WatchOptions> = {}): Promise<Peer> {
  running = watch({ url: hub.url, token: 'T', ...options }, tty.io)
  const peer = await hub.accept()
  expect((await peer.next()).slice(0, 2)).toEqual([TYPE.hello, 'T'])
  peer.say(...WELCOME)
  return peer
}

/** What was printed on stdout, once the watcher has read everything it was sent. */
async function printed(peer: Peer): Promise<string[]> {
  await peer.settled()
  const lines = tty.texts.stdout.split('\n').slice(0, -1)
  tty.texts.stdout = ''
  return lines
}

/** From a snapshot of one bus on. */
async function watchedBus(options: Partial<WatchOptions> = {}): Promise<Peer> {
  const peer = await watched(options)
  peer.say(TYPE.snap, 0, true, [BUS])
  await printed(peer)
  return peer
}

describe('for people', () => {
  test('a snapshot is a list, and names cannot write control characters', async () => {
    const peer = await watched()
    const last: Wire = [NOW_MS, 'paused', NOW_MS + 500, 534_450_260, -29_235_430, null, null, null, null, 0]
    peer.say(TYPE.snap, 0, false, [BUS])
    peer.say(TYPE.snap, 1, true, [[4, 7, 'Tram', 'red', 'ios', false, null, 1_000, 1, last]])
    expect(await printed(peer)).toEqual([
      'showing 2 devices',
      '  Bus\uFFFD[2J 7  online  no point yet',
      '  2026-01-26T16:00:00.500Z  Tram  53.44503 -2.92354  paused  offline',
    ])
    expect(tty.texts.stderr).toBe(`connected to ${hub.url} as user 7 (admin)\n`)
  })

  test('points, presence, sessions, backfills and ends are a line each', async () => {
    const peer = await watchedBus()
    peer.say(TYPE.live, 3, 1_000, 6, NOW_MS, NOW_MS + 1_000, [point(0, 534_450_260), point(2_000, -1)])
    peer.say(TYPE.presence, 3, 1_000, 7, false, NOW_MS + 9_000)
    peer.say(TYPE.sessionChange, 3, 1_000, 8, 44, NOW_MS, 'ended', NOW_MS + 60_000)
    peer.say(TYPE.backfilled, 3, 1_000, 9, NOW_MS - 5_000, NOW_MS - 1_000)
    peer.say(TYPE.device, [3, 7, 'Bus 8', 'red', 'android', false, NOW_MS, 1_000, 9, null])
    peer.say(TYPE.gone, 3)
    const name = 'Bus\uFFFD[2J 7'
    expect(await printed(peer)).toEqual([
      `2026-01-26T16:00:01.000Z  ${name}  53.44503 -2.92354  8.3 m/s  active`,
      `2026-01-26T16:00:03.000Z  ${name}  -0.00000 -2.92354  8.3 m/s  active`,
      `2026-01-26T16:00:09.000Z  ${name}  offline`,
      `2026-01-26T16:01:00.000Z  ${name}  session 44 ended`,
      `2026-01-26T15:59:59.000Z  ${name}  backfilled from 2026-01-26T15:59:55.000Z`,
      '2026-01-26T16:00:03.000Z  Bus 8  -0.00000 -2.92354  8.3 m/s  ended  offline',
      'device 3 is gone',
    ])
  })
})

describe('for programs', () => {
  test('each line is one object with ISO times and plain units', async () => {
    const peer = await watchedBus({ json: true })
    peer.say(TYPE.live, 3, 1_000, 6, NOW_MS, NOW_MS + 1_000, [point(0, 534_450_260)])
    peer.say(TYPE.sessionChange, 3, 1_000, 7, 44, NOW_MS, 'paused', null)
    peer.say(TYPE.presence, 3, 1_000, 8, true, NOW_MS)
    peer.say(TYPE.backfilled, 3, 1_000, 9, NOW_MS - 5_000, NOW_MS - 1_000)
    peer.say(TYPE.gone, 3)
    const named = { deviceId: 3, userId: 7, name: 'Bus\u001b[2J 7' }
    expect((await printed(peer)).map((line) => JSON.parse(line))).toEqual([
      {
        type: 'point',
        ...named,
        time: '2026-01-26T16:00:01.000Z',
        lat: 53.445026,
        lng: -2.923543,
        accuracy: null,
        speed: 8.25,
        heading: 90,
        altitude: 10,
        source: 'fused',
        session: '2026-01-26T16:00:00.000Z',
        status: 'active',
      },
      {
        type: 'session',
        ...named,
        sessionId: 44,
        status: 'paused',
        started: '2026-01-26T16:00:00.000Z',
        ended: null,
      },
      { type: 'presence', ...named, online: true, lastSeen: '2026-01-26T16:00:00.000Z' },
      {
        type: 'backfilled',
        ...named,
        from: '2026-01-26T15:59:55.000Z',
        to: '2026-01-26T15:59:59.000Z',
      },
      { type: 'gone', deviceId: 3 },
    ])
  })

  test('a snapshot is one object, and what a slow line skipped shows as the newest point', async () => {
    const peer = await watched({ json: true })
    peer.say(TYPE.snap, 0, true, [BUS])
    const device = {
      deviceId: 3,
      userId: 7,
      name: 'Bus\u001b[2J 7',
      color: 'green',
      platform: 'android',
      online: true,
      lastSeen: '2026-01-26T16:00:00.000Z',
      status: null,
      last: null,
    }
    expect((await printed(peer)).map((line) => JSON.parse(line))).toEqual([
      { type: 'snapshot', devices: [device] },
    ])
    const last: Wire = [NOW_MS, 'active', NOW_MS + 500, 534_450_260, -29_235_430, null, null, null, null, 0]
    for (const _ of [1, 2]) peer.say(TYPE.snap, 1, true, [[...BUS.slice(0, 8), 9, last]])
    const skipped = (await printed(peer)).map((line) => JSON.parse(line))
    expect(skipped).toMatchObject([{ type: 'point', deviceId: 3, time: '2026-01-26T16:00:00.500Z' }])
  })
})

test('another user is asked for by id', async () => {
  const peer = await watched({ user: 12 })
  expect(await peer.next()).toEqual([TYPE.sub, [12], null])
})

test('without an id the token’s own user is asked for', async () => {
  const peer = await watched()
  expect(await peer.next()).toEqual([TYPE.sub, null, null])
})

test('a user that may not be watched ends it with the hub’s reason', async () => {
  const peer = await watched({ user: 12 })
  peer.say(TYPE.error, 4403, 'admins only', null)
  await expect(running).rejects.toThrow('the hub refuses to show this: admins only')
})

test('a token that the hub refuses ends it', async () => {
  running = watch({ url: hub.url, token: 'T' }, tty.io)
  const peer = await hub.accept()
  peer.close(4503)
  await expect(running).rejects.toThrow('the hub refuses the token')
})

test('a token that has expired ends it', async () => {
  const peer = await watched()
  peer.close(4451)
  await expect(running).rejects.toThrow('the token has expired')
})

test('a server that is no hub ends it', async () => {
  hub.refuse('404 Not Found')
  running = watch({ url: hub.url, token: 'T' }, tty.io)
  await expect(running).rejects.toThrow(`no alzy hub of this version at ${hub.url} (HTTP 404)`)
})

test('a hub that is not there ends it, one that goes away does not', async () => {
  const peer = await watched()
  peer.cut()
  const again = await hub.accept()
  await again.next()
  again.say(...WELCOME)
  await again.settled()
  expect(tty.texts.stderr).toMatch(/connected to .*\nwaiting for the hub \(.*\)\nconnected to .*\n/)

  const nowhere = watch({ url: 'http://127.0.0.1:1', token: 'T' }, createTestIo().io)
  await expect(nowhere).rejects.toThrow(
    /^hub not reachable at http:\/\/127\.0\.0\.1:1 \(.*\): is it running\?$/,
  )
})

test('Ctrl-C ends it well', async () => {
  const peer = await watched()
  tty.interrupt()
  expect(await running).toBe(0)
  expect(await peer.closed).toBe(1000)
})

test('it ends when nobody reads its output any more', async () => {
  const peer = await watchedBus()
  tty.io.stdout.destroy(new Error('EPIPE'))
  expect(await running).toBe(0)
  expect(await peer.closed).toBe(1000)
})
