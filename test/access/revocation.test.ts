/**
 * Rights that are withdrawn while sockets live by them: over the API at once, and in the database by itself, on every
 * hub that runs on it. What nobody took away goes on.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeOnEachDatabase, type HubUnderTest } from '../rig/eachDatabase.ts'
import { startHub, type TestDevice, type TestHub, type TestUser } from '../rig/hub.ts'
import { databaseKinds, type TestDatabase } from '../rig/kinds.ts'
import {
  ACK,
  BACKFILLED,
  GONE,
  LIVE,
  PING,
  PONG,
  PRESENCE,
  pointsFrame,
  SESSION_CHANGE,
  SUB,
} from '../rig/points.ts'
import { until } from '../rig/until.ts'
import { welcomedDevice, welcomedViewer } from '../rig/welcomed.ts'
import { openDevice, openStats, openViewer } from '../rig/wire.ts'

const HELLO = 1
/** The nonce of a PING after the answer of the API. */
const LATE = 8
const ABOUT_DEVICES = [LIVE, PRESENCE, SESSION_CHANGE, BACKFILLED]

/** A user with everything that can be connected, and a second one who has nothing to do with it. */
async function open(hub: TestHub) {
  const [user, watcher] = [await hub.addUser({ role: 'admin' }), await hub.addUser({ role: 'admin' })]
  const [device, other] = [await hub.addDevice(user, 'Car'), await hub.addDevice(user, 'Bike')]
  const theirs = await hub.addDevice(watcher, 'Theirs')
  const share = async (owner: TestUser, shared: TestDevice) => {
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
    const { json } = await hub.request(
      'POST',
      '/v1/shares',
      { deviceIds: [shared.id], expiresAt },
      owner.token,
    )
    return json as { share: { id: number }; token: string }
  }
  const [shared, sharedToo] = [await share(user, device), await share(user, device)]
  const sockets = {
    device: await welcomedDevice(hub.ws, device),
    otherDevice: await welcomedDevice(hub.ws, other),
    theirDevice: await welcomedDevice(hub.ws, theirs),
    viewer: await welcomedViewer(hub.ws, { token: user.token }),
    stats: await openStats(hub.ws, { token: user.token }),
    share: await welcomedViewer(hub.ws, { token: shared.token }),
    otherShare: await welcomedViewer(hub.ws, { token: sharedToo.token }),
    theirViewer: await welcomedViewer(hub.ws, { token: watcher.token }),
    theirStats: await openStats(hub.ws, { token: watcher.token }),
  }
  await sockets.stats.welcome
  await sockets.theirStats.welcome
  for (const name of ['viewer', 'share', 'otherShare'] as const) sockets[name].send([SUB])
  sockets.theirViewer.send([SUB, []])
  for (const name of ['viewer', 'share', 'otherShare', 'theirViewer'] as const) await sockets[name].snapshot()
  return { user, watcher, device, other, shared, sockets }
}

type Opened = Awaited<ReturnType<typeof open>>
type Name = keyof Opened['sockets']

/** These have been closed: nothing that is sent from now on is answered, and not a later look of the hub ends them. */
async function expectClosedAlready(opened: Opened, names: readonly Name[]): Promise<void> {
  const { sockets } = opened
  for (const name of names) sockets[name].send([PING, LATE])
  await expectClosed(opened, names)
  for (const name of names) {
    const answers = sockets[name].frames.filter(([type, nonce]) => type === PONG && nonce === LATE)
    expect(answers, `${name} was open when the API had answered`).toEqual([])
  }
}

/** These are closed with 4503, all others answer still. */
async function expectClosed({ sockets }: Opened, names: readonly Name[]): Promise<void> {
  for (const name of names) {
    await until(() => !sockets[name].isOpen(), `${name} to be closed`)
    expect((await sockets[name].closed).code, name).toBe(4503)
  }
  for (const [name, socket] of Object.entries(sockets)) {
    if (names.includes(name as Name)) continue
    socket.send([PING, 7])
    await until(
      () => socket.frames.some(([type, nonce]) => type === PONG && nonce === 7),
      `${name} to answer`,
    )
  }
}

async function closeAll({ sockets }: Opened): Promise<void> {
  for (const socket of Object.values(sockets)) await socket.close()
}

const EVERYTHING_OF_THE_USER: Name[] = ['device', 'otherDevice', 'viewer', 'stats', 'share', 'otherShare']

/** What is withdrawn, by the API or by SQL, and which sockets that closes. */
interface Withdrawal {
  what: string
  request: (of: Opened) => [method: string, path: string, body?: unknown] | null
  sql: (of: Opened) => [text: string, id: number]
  closes: Name[]
  isGone?: boolean
}

const WITHDRAWALS: Withdrawal[] = [
  {
    what: 'a device is deleted',
    request: ({ device }) => ['DELETE', `/v1/devices/${device.id}`],
    sql: ({ device }) => ['update devices set deleted_at = now() where id = $1::int', device.id],
    closes: ['device'],
    isGone: true,
  },
  {
    what: 'a device is deactivated',
    request: ({ device }) => ['PATCH', `/v1/devices/${device.id}`, { isActive: false }],
    sql: ({ device }) => ['update devices set is_active = false where id = $1::int', device.id],
    closes: ['device'],
    isGone: true,
  },
  {
    what: 'a key is replaced',
    request: ({ device }) => ['POST', `/v1/devices/${device.id}/key`],
    sql: ({ device }) => [
      `update devices set device_key_hash = md5(id::text) || md5('x') where id = $1::int`,
      device.id,
    ],
    closes: ['device'],
  },
  {
    what: 'a key is taken away',
    request: () => null,
    sql: ({ device }) => ['update devices set device_key_hash = null where id = $1::int', device.id],
    closes: ['device'],
  },
  {
    what: 'a user is deactivated',
    request: ({ user }) => ['PATCH', `/v1/users/${user.id}`, { isActive: false }],
    sql: ({ user }) => ['update users set is_active = false where id = $1::int', user.id],
    closes: EVERYTHING_OF_THE_USER,
  },
  {
    what: 'an admin is demoted',
    request: ({ user }) => ['PATCH', `/v1/users/${user.id}`, { role: 'user' }],
    sql: ({ user }) => [`update users set role = 'user' where id = $1::int`, user.id],
    closes: ['viewer', 'stats'],
  },
  {
    what: 'a share is ended',
    request: ({ shared }) => ['DELETE', `/v1/shares/${shared.share.id}`],
    sql: ({ shared }) => ['update shares set ended_at = now() where id = $1::int', shared.share.id],
    closes: ['share'],
  },
  {
    what: 'a share is cut short',
    request: () => null,
    sql: ({ shared }) => ['update shares set expires_at = now() where id = $1::int', shared.share.id],
    closes: ['share'],
  },
]
const ONES_OF_THE_API = WITHDRAWALS.filter(({ request }) => request(noneYet()) !== null)

/** Enough of the shape to ask a withdrawal whether the API has it. */
function noneYet(): Opened {
  return { user: {}, device: {}, shared: { share: {} } } as Opened
}

// So late that nothing but the API itself can have closed what these tests see closed.
describeOnEachDatabase('over the API', { ALZY_RIGHTS_CHECK_MS: '30000' }, (on: HubUnderTest) => {
  test.each(ONES_OF_THE_API)(
    '$what: its sockets are closed, and no others',
    async ({ request, closes, isGone }) => {
      const opened = await open(on.hub)
      const [method, path, body] = request(opened)!
      expect((await on.hub.request(method, path, body)).status).toBeLessThan(300)
      await expectClosedAlready(opened, closes)
      if (isGone)
        for (const name of ['viewer', 'share', 'theirViewer'] as const) {
          expect(await opened.sockets[name].next(GONE)).toEqual([GONE, opened.device.id])
        }
      await closeAll(opened)
    },
  )

  test('a key that is replaced lets the new one in, and never again the old one', async () => {
    const opened = await open(on.hub)
    const { json } = await on.hub.request('POST', `/v1/devices/${opened.device.id}/key`)
    await expectClosedAlready(opened, ['device'])
    const socket = await welcomedDevice(on.hub.ws, json)
    const late = await openDevice(on.hub.ws, { hello: false })
    late.send([HELLO, opened.device.deviceKey])
    expect((await late.closed).code).toBe(4503)
    expect(socket.isOpen()).toBe(true)
    await socket.close()
    await closeAll(opened)
  })

  test('whoever is deactivated cannot come back, and whoever is activated again can', async () => {
    const opened = await open(on.hub)
    const { user, device, shared } = opened
    const codes = async () => {
      const found: (number | 'welcome')[] = []
      for (const [connect, credential] of [
        [openDevice, device.deviceKey],
        [openViewer, user.token],
        [openStats, user.token],
        [openViewer, shared.token],
      ] as const) {
        const socket = await connect(on.hub.ws, { hello: false })
        socket.send([HELLO, credential])
        const end = await Promise.race([socket.welcome.then(() => null), socket.closed])
        found.push(end?.code ?? 'welcome')
        await socket.close()
      }
      return found
    }
    await on.hub.request('PATCH', `/v1/users/${user.id}`, { isActive: false })
    expect(await codes()).toEqual([4503, 4503, 4503, 4503])
    expect((await on.hub.request('GET', '/v1/me', undefined, user.token)).status).toBe(401)
    await on.hub.request('PATCH', `/v1/users/${user.id}`, { isActive: true })
    expect(await codes()).toEqual(['welcome', 'welcome', 'welcome', 'welcome'])
    await closeAll(opened)
  })

  test('a device that is deleted while it sends: what came before is stored, and nothing of it goes live after', async () => {
    const opened = await open(on.hub)
    const { device, sockets } = opened
    const startMs = Date.now() - 50_000
    let sent = 0
    const stored = await on.hub.metric('alzy_points_stored_total')
    const stop = flood(() => {
      const acked = sockets.device.frames.filter(([type]) => type === ACK).at(-1)?.[1] as number | undefined
      if (!sockets.device.isOpen() || sent - (acked ?? 0) >= 100) return
      sent += 1
      sockets.device.send(pointsFrame(sent, startMs + sent * 10))
    })
    await until(
      () => sockets.viewer.frames.some(([type, id]) => type === LIVE && id === device.id),
      'it to be live',
    )
    await on.hub.request('DELETE', `/v1/devices/${device.id}`)
    for (const name of ['viewer', 'share', 'theirViewer'] as const) {
      expect(await sockets[name].next(GONE)).toEqual([GONE, device.id])
    }
    expect((await sockets.device.closed).code).toBe(4503)
    await stop()
    // Another device of the same user says when everything from before has arrived.
    sockets.otherDevice.send(pointsFrame(1, Date.now()))
    await sockets.otherDevice.ack(1)
    for (const name of ['viewer', 'theirViewer'] as const) {
      const { frames } = sockets[name]
      const isOther = ([type, id]: readonly unknown[]) => type === LIVE && id === opened.other.id
      await until(() => frames.some(isOther), 'the other one to be live')
      const end = frames.findIndex(([type, id]) => type === GONE && id === device.id)
      const after = frames
        .slice(end)
        .filter(([type, id]) => ABOUT_DEVICES.includes(type as number) && id === device.id)
      expect(after, name).toEqual([])
    }
    const seen = sockets.viewer.frames.filter(([type, id]) => type === LIVE && id === device.id).length
    expect(seen).toBeGreaterThan(0)
    // All that went live comes to the database, by a lane of its own, and what the other one sent.
    await until(
      async () => (await on.hub.metric('alzy_points_stored_total')) - stored >= seen + 1,
      'what was live to be stored',
    )
    await closeAll(opened)
  })
})

/** Does it again and again until it is stopped. */
function flood(act: () => void): () => Promise<void> {
  let isOn = true
  const done = (async () => {
    while (isOn) {
      act()
      await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  return async () => {
    isOn = false
    await done
  }
}

const postgresql = databaseKinds.find(({ name }) => name === 'postgresql')!
const where = postgresql.missing === null ? 'on PostgreSQL' : `(postgresql: ${postgresql.missing})`

// The embedded database belongs to the hub alone: nobody else can write to it while it runs.
describe.skipIf(postgresql.missing !== null)(`by somebody else ${where}`, () => {
  let database: TestDatabase
  let hub: TestHub
  let second: TestHub
  beforeAll(async () => {
    database = await postgresql.create()
    hub = await startHub({ database })
    second = await startHub({ database })
  })
  afterAll(async () => {
    await hub?.end()
    await second?.end()
    await database?.drop()
  })

  test.each(WITHDRAWALS)(
    'in the database, $what: its sockets are closed, and no others',
    async (withdrawal) => {
      const opened = await open(hub)
      const [text, id] = withdrawal.sql(opened)
      await database.query(text, [id])
      await expectClosed(opened, withdrawal.closes)
      if (withdrawal.isGone)
        for (const name of ['viewer', 'share', 'theirViewer'] as const) {
          expect(await opened.sockets[name].next(GONE)).toEqual([GONE, opened.device.id])
        }
      await closeAll(opened)
    },
  )

  test.each(ONES_OF_THE_API)(
    'over another hub, $what: its sockets are closed, and no others',
    async (withdrawal) => {
      const opened = await open(hub)
      const [method, path, body] = withdrawal.request(opened)!
      expect((await second.request(method, path, body)).status).toBeLessThan(300)
      await expectClosed(opened, withdrawal.closes)
      await closeAll(opened)
    },
  )

  test('a device is activated again, it comes back with the same key', async () => {
    const opened = await open(hub)
    const { device } = opened
    await database.query('update devices set is_active = false where id = $1::int', [device.id])
    await expectClosed(opened, ['device'])
    await database.query('update devices set is_active = true where id = $1::int', [device.id])
    const socket = await until(() => welcomedDevice(hub.ws, device), 'it to be let in')
    socket.send(pointsFrame(1, Date.now()))
    await socket.ack(1)
    await socket.close()
    await closeAll(opened)
  })
})
