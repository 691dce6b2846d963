/** Devices that come back: let in by memory, which must not outlive their right, nor the database's silence for long. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeOnEachDatabase } from '../rig/eachDatabase.ts'
import { startHub, type TestDevice, type TestHub, type TestUser } from '../rig/hub.ts'
import { createPostgres, type TestDatabase } from '../rig/kinds.ts'
import { HELLO, pointsFrame } from '../rig/points.ts'
import { startProxy } from '../rig/proxy.ts'
import { readsOf } from '../rig/reads.ts'
import { postgresMissing } from '../rig/sharedPostgres.ts'
import { until } from '../rig/until.ts'
import { welcomedDevice } from '../rig/welcomed.ts'
import { openDevice } from '../rig/wire.ts'

const QUIET = { ALZY_SESSION_SWEEP_MS: '3600000', ALZY_LAST_SEEN_FLUSH_MS: '600000' }

/** The code that a HELLO with this key is closed with; 0: it is let in, and leaves again. */
async function closeOf(hub: TestHub, deviceKey: string): Promise<number> {
  const socket = await openDevice(hub.ws, { hello: false })
  socket.send([HELLO, deviceKey])
  const isLetIn = socket.welcome.then(
    () => socket.close().then(() => ({ code: 0 })),
    () => socket.closed,
  )
  return (await isLetIn).code
}

async function visit(hub: TestHub, device: { deviceKey: string }): Promise<void> {
  await (await welcomedDevice(hub.ws, device)).close()
  await until(async () => (await hub.metric('alzy_devices')) === 0, 'the hub to have noticed')
}

const trusted = (hub: TestHub) => hub.metric('alzy_keys_trusted_total')

describeOnEachDatabase('a device that comes back', QUIET, (on) => {
  // Before any other: nothing is to be asked of the database afterwards.
  test('with a wrong key costs what a device costs that nobody knows: one statement', async () => {
    const device = await on.hub.addDevice(await on.hub.addUser())
    await visit(on.hub, device)
    const stranger = await on.hub.addDevice(await on.hub.addUser())
    for (const key of [
      `alzy_${device.id}_${'A'.repeat(43)}`,
      `alzy_${stranger.id}_${'A'.repeat(43)}`,
      `alzy_999999_${'A'.repeat(43)}`,
      'nonsense',
    ]) {
      expect(await closeOf(on.hub, key)).toBe(4503)
      expect([key, await readsOf(on.hub, () => closeOf(on.hub, key))]).toEqual([key, 1])
    }
    const before = await on.hub.metric('alzy_reads_total')
    const socket = await welcomedDevice(on.hub.ws, stranger)
    expect((await socket.welcome).deviceId).toBe(stranger.id)
    // Its right, then whatever else the hub has to know of it, in two statements.
    expect((await on.hub.metric('alzy_reads_total')) - before).toBeGreaterThanOrEqual(3)
    await socket.close()
  })

  test('is let in by memory the second time, and does what it did before', async () => {
    const user = await on.hub.addUser()
    const devices: TestDevice[] = []
    for (let i = 0; i < 20; i++) devices.push(await on.hub.addDevice(user))
    for (let storm = 1; storm <= 2; storm++) {
      const before = await trusted(on.hub)
      const sockets = await Promise.all(devices.map((device) => welcomedDevice(on.hub.ws, device)))
      expect((await trusted(on.hub)) - before).toBe(storm === 1 ? 0 : 20)
      const baseMs = Date.now() - 60_000 + storm
      for (const socket of sockets) socket.send(pointsFrame(1, baseMs))
      await Promise.all(sockets.map((socket) => socket.ack(1)))
      await Promise.all(sockets.map((socket) => socket.close()))
      await until(async () => (await on.hub.metric('alzy_devices')) === 0, 'the hub to have noticed')
    }
  })

  test.each<[string, (device: TestDevice, user: TestUser) => [string, string, unknown?]]>([
    ['got another key', ({ id }) => ['POST', `/v1/devices/${id}/key`]],
    ['was deactivated', ({ id }) => ['PATCH', `/v1/devices/${id}`, { isActive: false }]],
    ['was deleted', ({ id }) => ['DELETE', `/v1/devices/${id}`]],
  ])('but %s meanwhile is refused at once', async (_, change) => {
    const user = await on.hub.addUser()
    const device = await on.hub.addDevice(user)
    await visit(on.hub, device)
    const [before, [method, path, body]] = [await trusted(on.hub), change(device, user)]
    expect((await on.hub.request(method, path, body, user.token)).status).toBeLessThan(300)
    expect(await closeOf(on.hub, device.deviceKey)).toBe(4503)
    expect(await trusted(on.hub)).toBe(before)
  })
})

const title = `a device that comes back to a hub which does not know the latest ${postgresMissing ?? ''}`
describe.skipIf(postgresMissing !== null)(title, () => {
  let database: TestDatabase
  let proxy: Awaited<ReturnType<typeof startProxy>>
  let through: TestDatabase
  let hub: TestHub | null = null

  beforeAll(async () => {
    database = await createPostgres()
    const url = new URL(database.env.DATABASE_URL!)
    proxy = await startProxy({ host: url.hostname, port: Number(url.port) })
    url.port = String(proxy.port)
    through = { ...database, env: { ...database.env, DATABASE_URL: url.href } }
    hub = await startHub({ database: through, env: QUIET })
  })
  afterAll(async () => {
    await hub?.end()
    await proxy?.close()
    await database?.drop()
  })

  test.each<[string, string]>([
    ['another key', `update devices set device_key_hash = repeat('f', 64) where id = $1`],
    ['that it is deactivated', 'update devices set is_active = false where id = $1'],
    ['that it is deleted', 'update devices set deleted_at = now() where id = $1'],
    [
      'that its user is deactivated',
      'update users u set is_active = false from devices d where d.id = $1 and u.id = d.user_id',
    ],
  ])('loses the socket again when the database knows %s', async (_, statement) => {
    const running = hub!
    const device = await running.addDevice(await running.addUser())
    await visit(running, device)
    const before = await trusted(running)
    await database.query(statement, [device.id])
    const socket = await welcomedDevice(running.ws, device)
    expect((await socket.closed).code).toBe(4503)
    expect((await trusted(running)) - before).toBe(1)
    expect(await closeOf(running, device.deviceKey)).toBe(4503)
    expect((await trusted(running)) - before).toBe(1)
  })

  test('is let in while the database is away, for a while; strangers never; and who lost the right loses it then', async () => {
    await hub?.end()
    const env = { ...QUIET, ALZY_READ_TIMEOUT_MS: '3000', ALZY_KEY_TRUST_MS: '10000' }
    hub = await startHub({ database: through, env })
    const running = hub
    const user = await running.addUser()
    const [device, revoked, stranger] = [
      await running.addDevice(user),
      await running.addDevice(user),
      await running.addDevice(user),
    ]
    for (const one of [device, revoked]) await visit(running, one)
    await database.query('update devices set is_active = false where id = $1', [revoked.id])
    // Asked just now, so that the silence begins here.
    expect(await closeOf(running, `alzy_${stranger.id}_${'A'.repeat(43)}`)).toBe(4503)
    proxy.freeze()
    const sockets = [await welcomedDevice(running.ws, device), await welcomedDevice(running.ws, revoked)]
    expect(await closeOf(running, stranger.deviceKey)).toBe(1013)
    expect(proxy.counts.heldBytes).toBeGreaterThan(0)
    await sockets[0]!.close()
    await until(
      async () => (await closeOf(running, device.deviceKey)) === 1013,
      'memory to be believed no more',
    )
    expect(sockets[1]!.isOpen()).toBe(true)
    proxy.thaw()
    expect((await sockets[1]!.closed).code).toBe(4503)
    const back = await until(
      () => welcomedDevice(running.ws, device).catch(() => null),
      'the hub to let it in',
    )
    await back.close()
  })
})
