/** AUTH: a socket that goes on with a fresh token, and one that may not. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createViewerClient, type ViewerEvent } from '../../src/client/node.ts'
import { createDrivenClock } from '../client/drivenClock.ts'
import { createLine } from '../client/scriptedHub.ts'
import { startHub, type TestHub, type TestUser } from '../rig/hub.ts'
import { type Issuer, startIssuer } from '../rig/issuer.ts'
import { quickestKind, type TestDatabase } from '../rig/kinds.ts'
import { ERROR, LIVE, pointsFrame, SUB } from '../rig/points.ts'
import { until } from '../rig/until.ts'
import { welcomedDevice } from '../rig/welcomed.ts'
import { openStats, openViewer } from '../rig/wire.ts'

const [AUTH, AUTH_OK] = [5, 70]

let issuer: Issuer
let database: TestDatabase
let hub: TestHub

beforeAll(async () => {
  issuer = await startIssuer()
  database = await quickestKind.create()
  hub = await startHub({
    database,
    env: {
      ...issuer.env,
      ALZY_HEARTBEAT_S: '240',
      ALZY_OIDC_COOLDOWN_MS: '100',
      ALZY_OIDC_KEYS_FRESH_MS: '100',
      ALZY_OIDC_KEYS_STALE_MS: '100',
    },
  })
})
afterAll(async () => {
  await hub?.end()
  await issuer?.away()
  await database?.drop()
})

async function tokenOf({ id }: TestUser, ttlS: number): Promise<{ token: string; expiresMs: number }> {
  const { json } = await hub.request('POST', `/v1/users/${id}/tokens`, { ttlS })
  return { token: json.token, expiresMs: Date.parse(json.expiresAt) }
}

/** Enough to come and to send AUTH in, also where there is much else to do, and short enough to wait for. */
const SHORT_S = 8

describe.each([
  ['a viewer', openViewer],
  ['an admin', openStats],
])('%s', (_, open) => {
  async function welcomed(token: string) {
    const socket = await open(hub.ws, { token })
    await socket.welcome
    return socket
  }

  test('goes on with a fresh token beyond the end of the old one', async () => {
    const admin = await hub.addUser({ role: 'admin' })
    const [old, fresh] = [await tokenOf(admin, SHORT_S), await tokenOf(admin, 600)]
    const [socket, other] = [await welcomed(old.token), await welcomed(old.token)]
    socket.send([AUTH, fresh.token])
    expect(await socket.next(AUTH_OK)).toEqual([AUTH_OK, fresh.expiresMs])
    // The one that had no fresh token ends with the old one.
    expect((await other.closed).code).toBe(4451)
    expect(Date.now()).toBeGreaterThanOrEqual(old.expiresMs)
    expect(socket.isOpen()).toBe(true)
    await socket.close()
  })

  test('may have a token of the issuer and go on with one of the hub, since both are of one user', async () => {
    const admin = await hub.addUser({ role: 'admin' })
    const sub = `admin ${admin.id}`
    await hub.request('PATCH', `/v1/users/${admin.id}`, { providers: { [issuer.url]: { sub } } })
    const theirs = await issuer.sign({ sub })
    const socket = await until(() => welcomed(theirs), 'the keys of the issuer to be there')
    const fresh = await tokenOf(admin, 600)
    socket.send([AUTH, fresh.token])
    expect(await socket.next(AUTH_OK)).toEqual([AUTH_OK, fresh.expiresMs])
    await socket.close()
  })

  test('ends with 4503 when the token is of somebody else, whoever that is', async () => {
    const [admin, other] = [await hub.addUser({ role: 'admin' }), await hub.addUser({ role: 'admin' })]
    const socket = await welcomed(admin.token)
    socket.send([AUTH, other.token])
    expect((await socket.closed).code).toBe(4503)
    const device = await hub.addDevice(admin)
    const shared = await hub.request(
      'POST',
      '/v1/shares',
      { deviceIds: [device.id], expiresAt: new Date(Date.now() + 60_000).toISOString() },
      admin.token,
    )
    const again = await welcomed(admin.token)
    again.send([AUTH, shared.json.token])
    expect((await again.closed).code).toBe(4503)
  })

  test('ends as soon as a token says so that ends earlier', async () => {
    const admin = await hub.addUser({ role: 'admin' })
    const socket = await welcomed(admin.token)
    const earlier = await tokenOf(admin, 1)
    socket.send([AUTH, earlier.token])
    expect((await socket.closed).code).toBe(4451)
    expect(Date.now()).toBeGreaterThanOrEqual(earlier.expiresMs)
  })

  test('answers the last of many that were sent at once', async () => {
    const admin = await hub.addUser({ role: 'admin' })
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, i) => tokenOf(admin, 100 + i)))
    const socket = await welcomed(admin.token)
    socket.sendTogether(tokens.map(({ token }) => [AUTH, token]))
    const last = await until(
      () => socket.frames.find(([type, ms]) => type === AUTH_OK && ms === tokens.at(-1)!.expiresMs),
      'the last to be answered',
    )
    expect(last[0]).toBe(AUTH_OK)
    expect(socket.isOpen()).toBe(true)
    await socket.close()
  })

  test('keeps its socket while nobody can check the fresh token, and may try again', async () => {
    const admin = await hub.addUser({ role: 'admin' })
    const sub = `patient ${admin.id}`
    await hub.request('PATCH', `/v1/users/${admin.id}`, { providers: { [issuer.url]: { sub } } })
    const socket = await welcomed(admin.token)
    const fresh = await issuer.sign({ sub })
    await issuer.away()
    await until(
      async () => (await hub.request('GET', '/v1/me', undefined, fresh)).status === 503,
      'the keys to be gone',
    )
    socket.send([AUTH, fresh])
    expect((await socket.next(ERROR)).slice(0, 2)).toEqual([ERROR, 1013])
    await issuer.back()
    await until(async () => {
      socket.send([AUTH, fresh])
      return socket.next(AUTH_OK, 500)
    }, 'the issuer to be back')
    expect(socket.isOpen()).toBe(true)
    await socket.close()
  })

  test.each([
    ['no token', [AUTH]],
    ['a number', [AUTH, 7]],
    ['nil', [AUTH, null]],
  ])('is closed with 4500 for an AUTH with %s', async (_, frame) => {
    const admin = await hub.addUser({ role: 'admin' })
    const socket = await welcomed(admin.token)
    socket.send(frame)
    expect((await socket.closed).code).toBe(4500)
  })

  test('may not begin with it', async () => {
    const admin = await hub.addUser({ role: 'admin' })
    const socket = await open(hub.ws, { hello: false })
    socket.send([AUTH, admin.token])
    expect((await socket.closed).code).toBe(4500)
  })
})

test('the client of the library renews on its socket, and misses nothing', async () => {
  const user = await hub.addUser()
  const device = await welcomedDevice(hub.ws, await hub.addDevice(user))
  const clock = createDrivenClock()
  const events = createLine<ViewerEvent>()
  const seen: ViewerEvent[] = []
  let asked = 0
  const viewer = createViewerClient({
    url: hub.http,
    token: async () => {
      asked += 1
      return (await tokenOf(user, 120)).token
    },
    clock,
    onEvent: (event) => {
      seen.push(event)
      events.put(event)
    },
  })
  async function event(type: ViewerEvent['type']) {
    for (;;) {
      const next = await events.take()
      if (next.type === type) return next
    }
  }
  await event('snapshot')
  const before = asked
  // A minute for the client, and none for the hub.
  clock.advance(60_000)
  await until(() => asked > before, 'a fresh token to be asked for')
  device.send(pointsFrame(1, Date.now()))
  await event('points')
  // Once the answer has come on the same socket, the next renewal is half a minute away.
  await until(() => {
    clock.advance(1_000)
    return asked > before + 1
  }, 'the next one to be asked for')
  expect(seen.filter(({ type }) => type === 'welcome').length).toBe(1)
  expect(seen.filter(({ type }) => type === 'error')).toEqual([])
  viewer.close()
  await device.close()
})

test('a viewer that renews keeps its subscription and its count', async () => {
  const user = await hub.addUser()
  const device = await welcomedDevice(hub.ws, await hub.addDevice(user))
  const viewer = await openViewer(hub.ws, { token: user.token })
  await viewer.welcome
  viewer.send([SUB])
  await viewer.snapshot()
  device.send(pointsFrame(1, Date.now()))
  const [, , , n] = await viewer.next(LIVE)
  viewer.send([AUTH, (await tokenOf(user, 600)).token])
  await viewer.next(AUTH_OK)
  device.send(pointsFrame(2, Date.now() + 1))
  await until(() => viewer.frames.filter(([type]) => type === LIVE).length === 2, 'the next point')
  const counted = viewer.frames.filter(([type]) => [81, 82, 83, 88].includes(type as number)).map((f) => f[3])
  expect(counted).toEqual(counted.map((_, i) => (counted[0] as number) + i))
  expect(counted).toContain(n)
  for (const socket of [viewer, device]) await socket.close()
})
