/** How a hub starts, stops, dies and comes back, and what its devices and viewers notice of it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDeviceClient, createViewerClient } from '../../src/client/node.ts'
import { describeOnEachDatabase } from '../rig/eachDatabase.ts'
import { runAlzy, startHub, type TestHub } from '../rig/hub.ts'
import { createEmbedded, createPostgres, type TestDatabase } from '../rig/kinds.ts'
import { ACK, GOAWAY, HELLO, LIVE, PAUSE, pointsFrame, SUB } from '../rig/points.ts'
import { freePort } from '../rig/ports.ts'
import { startProxy } from '../rig/proxy.ts'
import { postgresMissing } from '../rig/sharedPostgres.ts'
import { until } from '../rig/until.ts'
import { welcomedDevice, welcomedViewer } from '../rig/welcomed.ts'
import { openDevice } from '../rig/wire.ts'

/** Three starts of the embedded database, and clients that back off in between. */
const GIVE_UP_MS = 600_000
const COUNT_STORED =
  'select count(*)::int as rows, count(distinct recorded_at)::int as times from points where device_id = $1'

describeOnEachDatabase('a hub', {}, (on) => {
  test('that is told to stop under load stores and acknowledges what it took, says so, and exits with 0', async () => {
    const user = await on.hub.addUser()
    const device = await on.hub.addDevice(user)
    const socket = await welcomedDevice(on.hub.ws, device)
    const viewer = await welcomedViewer(on.hub.ws, { token: user.token })
    viewer.send([SUB])
    await viewer.snapshot()
    const baseMs = Date.now() - 600_000
    for (let seq = 1; seq <= 150; seq++) socket.send(pointsFrame(seq, baseMs + seq * 1000, 1))
    const exit = on.hub.end('SIGTERM')
    expect((await socket.closed).code).toBe(1012)
    expect((await viewer.closed).code).toBe(1012)
    expect(await exit).toBe(0)
    expect(socket.frames.some(([type]) => type === GOAWAY)).toBe(true)
    expect(viewer.frames.some(([type]) => type === GOAWAY)).toBe(true)
    const acked = Math.max(
      0,
      ...socket.frames.filter(([type]) => type === ACK).map(([, seq]) => seq as number),
    )
    const [row] = await on.rows(COUNT_STORED, [device.id])
    expect(row!.rows).toBeGreaterThanOrEqual(acked)
    expect(row!.rows).toBe(row!.times)
  })

  test('that is killed in the middle of it loses and doubles nothing; clients resume by themselves', {
    timeout: GIVE_UP_MS,
  }, async () => {
    // A port that is asked for, as in life: one that the kernel picked cannot be had again at once.
    const onPort = { ALZY_PORT: String(await freePort()) }
    await on.restart(onPort)
    const user = await on.hub.addUser()
    const { id, deviceKey } = await on.hub.addDevice(user)
    const device = createDeviceClient({ url: on.hub.http, deviceKey })
    const shown = new Set<number>()
    let snapshots = 0
    const viewer = createViewerClient({
      url: on.hub.http,
      token: user.token,
      onEvent: (event) => {
        if (event.type === 'snapshot') snapshots += 1
        if (event.type === 'points') for (const point of event.points) shown.add(point.recordedMs)
      },
    })
    await until(() => snapshots === 1, 'the first snapshot')
    const total = 4_000
    const baseMs = Date.now() - total
    for (let i = 0; i < total; i++) {
      await device.record({ recordedMs: baseMs + i, lat: 46 + i / 1e5, lng: 14 })
      if (i === total / 4) await until(() => device.counts.acknowledged > 0, 'a first ACK')
      if (i === total / 2) expect(await on.hub.end('SIGKILL')).toBe('SIGKILL')
    }
    expect(device.counts.acknowledged).toBeLessThan(total)
    await on.restart(onPort)
    await device.drained()
    expect(device.counts).toMatchObject({ recorded: total, acknowledged: total })
    expect(device.counts.resent).toBeGreaterThan(0)
    await until(() => snapshots >= 2, 'the viewer to come back by itself')
    await device.record({ recordedMs: Date.now(), lat: 46, lng: 14 })
    await until(
      () => shown.size > 0 && Math.max(...shown) > baseMs + total,
      'the viewer to see it move again',
    )
    await device.close()
    viewer.close()
    const [row] = await on.rows(COUNT_STORED, [id])
    expect(row).toMatchObject({ rows: total + 1, times: total + 1 })
  })
})

describe('a hub on the embedded database', () => {
  test('has the data directory for itself', async () => {
    const database = await createEmbedded()
    const hub = await startHub({ database })
    const second = await runAlzy(['serve'], { ...database.env, ALZY_PORT: '0' })
    expect(second.code).toBe(1)
    expect(second.stderr.trim()).toMatch(
      /^the data directory \S+ is in use by another hub; stop it, or set ALZY_DATA_DIR/,
    )
    expect(await hub.end()).toBe(0)
    await database.drop()
  })

  test('does not share its port', async () => {
    const [one, two] = [await createEmbedded(), await createEmbedded()]
    const hub = await startHub({ database: one })
    const second = await runAlzy(['serve'], { ...two.env, ALZY_PORT: String(hub.port) })
    expect([second.code, second.stderr.trim()]).toEqual([
      1,
      `alzy: cannot listen on 127.0.0.1 port ${hub.port}: is it in use?`,
    ])
    await hub.end()
    for (const database of [one, two]) await database.drop()
  })
})

describe('a hub with bad settings', () => {
  test('names every one of them in a line and exits with 1', async () => {
    const { code, stderr } = await runAlzy(['serve'], {
      ALZY_PORT: '99999',
      ALZY_TYPO: '1',
      DATABASE_URL: 'mysql://x',
      ALZY_SECRET: 'short',
      ALZY_WINDOW_POINTS_MAX: 'many',
      ALZY_ORIGINS: 'example.org',
    })
    expect(code).toBe(1)
    const lines = stderr.trim().split('\n')
    expect(lines.map((line) => line.split(':')[0]).sort()).toEqual([
      'ALZY_ORIGINS',
      'ALZY_PORT',
      'ALZY_SECRET',
      'ALZY_TYPO',
      'ALZY_WINDOW_POINTS_MAX',
      'DATABASE_URL',
    ])
  })

  test('wants a secret that all hubs on one database share', async () => {
    const { code, stderr } = await runAlzy(['serve'], { DATABASE_URL: 'postgres://127.0.0.1:1/x' })
    expect([code, stderr.split(':')[0]]).toEqual([1, 'ALZY_SECRET'])
  })
})

describe.skipIf(postgresMissing !== null)(`a hub and its PostgreSQL server${postgresMissing ?? ''}`, () => {
  let database: TestDatabase
  let proxy: Awaited<ReturnType<typeof startProxy>>
  let hub: TestHub | null = null
  let through: TestDatabase

  beforeAll(async () => {
    database = await createPostgres()
    const url = new URL(database.env.DATABASE_URL!)
    proxy = await startProxy({ host: url.hostname, port: Number(url.port) })
    url.port = String(proxy.port)
    through = { ...database, env: { ...database.env, DATABASE_URL: url.href } }
  })
  afterAll(async () => {
    await hub?.end('SIGKILL')
    await proxy.close()
    await database.drop()
  })

  test('that is away at the start: the hub says so, answers 503 and 1013, and is ready once it is there', async () => {
    proxy.refuse()
    hub = await startHub({ database: through, waitsForReady: false, env: { ALZY_WRITE_TIMEOUT_MS: '1500' } })
    const running = hub
    await until(
      () => running.log.some(({ msg }) => String(msg).includes('the database is away')),
      'the hub to say so',
    )
    expect((await fetch(`${hub.http}/healthz`)).status).toBe(200)
    expect((await fetch(`${hub.http}/readyz`)).status).toBe(503)
    const early = await openDevice(hub.ws, { hello: false })
    early.send([HELLO, `alzy_1_${'A'.repeat(43)}`])
    expect((await early.closed).code).toBe(1013)
    proxy.accept()
    await until(async () => (await fetch(`${running.http}/readyz`)).status === 200, 'the hub to be ready')
  })

  const refuseAndCut = (kind: 'fin' | 'rst') => () => {
    proxy.refuse()
    proxy.cut(kind)
  }
  test.each([
    ['closes every connection and refuses new ones', refuseAndCut('fin'), () => proxy.accept()],
    ['resets every connection', refuseAndCut('rst'), () => proxy.accept()],
    ['freezes', () => proxy.freeze(), () => proxy.thaw()],
  ])('that %s: live goes on, nothing is acknowledged, and nothing is lost', async (_, hurt, heal) => {
    const running = hub!
    const user = await running.addUser()
    const device = await running.addDevice(user)
    const socket = await welcomedDevice(running.ws, device)
    const viewer = await welcomedViewer(running.ws, { token: user.token })
    viewer.send([SUB])
    await viewer.snapshot()
    socket.send(pointsFrame(1, Date.now() - 10_000))
    await socket.ack(1)

    hurt()
    const retries = await running.metric('alzy_write_retries_total')
    for (let seq = 2; seq <= 6; seq++) socket.send(pointsFrame(seq, Date.now() - 10_000 + seq))
    await until(() => viewer.frames.filter(([type]) => type === LIVE).length === 6, 'live to go on')
    await socket.next(PAUSE, 20_000)
    await until(async () => (await running.metric('alzy_write_retries_total')) > retries, 'the write to fail')
    expect((await fetch(`${running.http}/readyz`)).status).toBe(503)
    expect(socket.frames.filter(([type, seq]) => type === ACK && (seq as number) > 1)).toEqual([])

    heal()
    await socket.ack(6)
    const [row] = await database.query(COUNT_STORED, [device.id])
    expect(row).toMatchObject({ rows: 6, times: 6 })
    await until(
      async () => (await fetch(`${running.http}/readyz`)).status === 200,
      'the hub to be ready again',
    )
    for (const one of [socket, viewer]) await one.close()
  })

  test('that stays away: the first signal waits for it, the second exits at once', async () => {
    const running = hub!
    const device = await running.addDevice(await running.addUser())
    const socket = await welcomedDevice(running.ws, device)
    proxy.freeze()
    socket.send(pointsFrame(1, Date.now()))
    await until(
      async () => (await running.metric('alzy_backlog_frames')) === 1,
      'the frame to be in the backlog',
    )
    const exit = running.end('SIGTERM')
    await socket.next(GOAWAY)
    running.process.kill('SIGTERM')
    expect(await exit).toBe(130)
    expect(socket.frames.filter(([type]) => type === ACK)).toEqual([])
    hub = null
    proxy.thaw()
  })

  test('that may lose what it acknowledged is refused', async () => {
    const unsafe = await createPostgres()
    const name = new URL(unsafe.env.DATABASE_URL!).pathname.slice(1)
    await unsafe.query(`alter database "${name}" set synchronous_commit = off`)
    const { code, stderr } = await runAlzy(['serve'], { ...unsafe.env, ALZY_PORT: '0' })
    expect(code).toBe(1)
    expect(stderr.trim()).toMatch(/^PostgreSQL runs with synchronous_commit = off: it could lose points/)
    await unsafe.drop()
  })

  test('whose role may not create PostGIS says which command a superuser has to run', async () => {
    const bare = await createPostgres()
    const url = new URL(bare.env.DATABASE_URL!)
    const name = url.pathname.slice(1)
    await bare.query('drop extension postgis_topology cascade; drop extension postgis cascade')
    await bare.query(`create role "${name}" login; grant all on database "${name}" to "${name}"`)
    url.username = name
    const { code, stderr } = await runAlzy(['serve'], { ...bare.env, ALZY_PORT: '0', DATABASE_URL: url.href })
    expect(code).toBe(1)
    expect(stderr.trim()).toMatch(/have a superuser run "create extension postgis;" in this database$/)
    await bare.query(`drop owned by "${name}"; drop role "${name}"`)
    await bare.drop()
  })
})
