/** A store that lets one wait: what a device and its viewers are told before the commit, and what only after it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectDatabase } from '../../src/store/line/connection.ts'
import { startHub, type TestHub } from '../rig/hub.ts'
import { createPostgres, type TestDatabase } from '../rig/kinds.ts'
import {
  ACK,
  BACKFILLED,
  GOAWAY,
  LIVE,
  PAUSE,
  PING,
  PONG,
  pointsFrame,
  SESSION,
  SESSION_CHANGE,
  SUB,
} from '../rig/points.ts'
import { postgresMissing } from '../rig/sharedPostgres.ts'
import { welcomedDevice, welcomedViewer } from '../rig/welcomed.ts'

describe.skipIf(postgresMissing !== null)(`a store that lets one wait ${postgresMissing ?? ''}`, () => {
  let database: TestDatabase
  let hub: TestHub

  beforeAll(async () => {
    database = await createPostgres()
    // Waiting for a lock must not yet be an absence of the database.
    const env = { ALZY_PAUSE_AFTER_MS: '500', ALZY_WRITE_TIMEOUT_MS: '120000', ALZY_SHUTDOWN_MS: '60000' }
    hub = await startHub({ database, env })
  })
  afterAll(async () => {
    await hub?.end()
    await database?.drop()
  })

  test('makes the hub say PAUSE, and BACKFILLED and ACK only after the commit', async () => {
    const user = await hub.addUser()
    const device = await hub.addDevice(user)
    const viewer = await welcomedViewer(hub.ws, { token: user.token })
    viewer.send([SUB])
    await viewer.snapshot()
    const socket = await welcomedDevice(hub.ws, device)
    const release = await lockTable(database, 'points')
    try {
      socket.send(pointsFrame(1, Date.UTC(2020, 5, 1), 10))
      await viewer.next(LIVE)
      const [, retryAfterMs] = await socket.next(PAUSE)
      expect(retryAfterMs).toBeGreaterThan(0)
      expect(await hub.metric('alzy_lanes_away')).toBe(0)
      // Whatever was said before this answer has arrived by now.
      viewer.send([PING, 7])
      await viewer.next(PONG)
      expect(viewer.frames.filter(([type]) => type === BACKFILLED)).toEqual([])
      expect(socket.frames.filter(([type]) => type === ACK)).toEqual([])
    } finally {
      await release()
    }
    expect((await socket.ack(1)).seq).toBe(1)
    await viewer.next(BACKFILLED)
    for (const one of [socket, viewer]) await one.close()
  })

  test('shows a snapshot ahead of the commit, and whoever has got it learns what came of that', async () => {
    const user = await hub.addUser()
    const socket = await welcomedDevice(hub.ws, await hub.addDevice(user))
    const startMs = Date.now()
    socket.send([SESSION, 1, startMs, 0, startMs])
    socket.send(pointsFrame(2, startMs, 1, startMs))
    await socket.ack(2)
    const viewer = await welcomedViewer(hub.ws, { token: user.token })
    const release = await lockTable(database, 'sessions')
    try {
      socket.send([SESSION, 3, startMs, 1, startMs + 1])
      socket.send([PING, 1])
      await socket.next(PONG)
      viewer.send([SUB])
      const [shown] = await viewer.snapshot()
      expect((shown![9] as unknown[]).slice(0, 2)).toEqual([startMs, 'paused'])
      socket.send([SESSION, 4, startMs, 2, startMs + 2])
      socket.send([PING, 2])
      await socket.next(PONG)
    } finally {
      await release()
    }
    await socket.ack(4)
    expect((await viewer.next(SESSION_CHANGE)).slice(5)).toEqual([startMs, 'active', null])
    for (const one of [socket, viewer]) await one.close()
  })

  test('gets all the time there is from a hub that is told to stop: what it took is acknowledged before the close', async () => {
    const socket = await welcomedDevice(hub.ws, await hub.addDevice(await hub.addUser()))
    const release = await lockTable(database, 'points')
    let ended: ReturnType<TestHub['end']>
    try {
      socket.send(pointsFrame(1, Date.now()))
      socket.send([PING, 1])
      await socket.next(PONG)
      ended = hub.end('SIGTERM')
      await socket.next(GOAWAY)
      expect(socket.frames.filter(([type]) => type === ACK)).toEqual([])
    } finally {
      await release()
    }
    expect((await socket.closed).code).toBe(1012)
    expect((await socket.ack(1)).seq).toBe(1)
    expect(await ended).toBe(0)
  })
})

/** Nobody can write to the table until what this resolves with is called. */
async function lockTable({ env }: TestDatabase, name: 'points' | 'sessions'): Promise<() => Promise<void>> {
  const options = { name: 'outsider', connections: 1, timeoutMs: 60_000, onNotice: () => {} }
  const outsider = connectDatabase({ url: env.DATABASE_URL! }, options)
  await outsider.runScript('begin')
  await outsider.runScript(`lock table ${name} in exclusive mode`)
  return async () => {
    await outsider.runScript('rollback')
    await outsider.close()
  }
}
