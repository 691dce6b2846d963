/**
 * Every route of the API with every kind of caller, and with a second user who wants what is not theirs. The routes
 * are the hub's own list: one that has no verdict here fails.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiOptions, createApi } from '../../src/api/api.ts'
import { parseConfig } from '../../src/config.ts'
import { hubToken, secretOf } from '../rig/forgery.ts'
import { startHub, type TestDevice, type TestHub, type TestUser } from '../rig/hub.ts'
import { quickestKind, type TestDatabase } from '../rig/kinds.ts'
import { ERROR, GONE, LIVE, POINTS, pointsFrame, SNAP, SUB } from '../rig/points.ts'
import { until } from '../rig/until.ts'
import { welcomedDevice, welcomedViewer } from '../rig/welcomed.ts'
import { openDevice, openStats, openViewer } from '../rig/wire.ts'

/** Something of the owner's, new for each attempt, so that none spoils the next. */
interface Things {
  owner: TestUser
  device: TestDevice
  shareId: number
  shareToken: string
  sessionId: number
}

/** Who asks. `owner` is whose things they are, `stranger` another user. */
const CALLERS = ['nobody', 'share', 'stranger', 'owner', 'admin', 'operator'] as const
type Caller = (typeof CALLERS)[number]

interface Verdict {
  path?: (things: Things) => string
  body?: (things: Things) => unknown
  /** The status for each; a route that asks for no token answers all alike. */
  status: Record<Caller, number> | 'public'
}

const CANARY = 'A name that only its owner knows'
const HOUR_MS = 3_600_000

/** For things of one user: a stranger does not even hear that they are there. */
const ofOwner = (done: number) => ({
  nobody: 401,
  share: 403,
  stranger: 404,
  owner: done,
  admin: done,
  operator: done,
})
/** For lists of one's own: a stranger has their own. */
const ofCaller = (done: number) => ({ ...ofOwner(done), stranger: done })
const ofAdmins = (done: number) => ({ ...ofOwner(done), stranger: 403, owner: 403 })
const device = ({ device }: Things) => `/v1/devices/${device.id}`
const user = ({ owner }: Things) => `/v1/users/${owner.id}`
const session = ({ sessionId }: Things) => `/v1/sessions/${sessionId}`
const inAnHour = () => new Date(Date.now() + HOUR_MS).toISOString()

const VERDICTS: Record<string, Verdict> = {
  'GET /healthz': { status: 'public' },
  'GET /readyz': { status: 'public' },
  'GET /metrics': { status: 'public' },
  'GET /v1/me': { status: { ...ofCaller(200), operator: 403 } },
  'GET /v1/devices': { status: ofCaller(200) },
  'POST /v1/devices': {
    body: ({ owner }) => ({ name: CANARY, userId: owner.id, withKey: true }),
    status: { ...ofOwner(201), stranger: 403 },
  },
  'GET /v1/devices/{id}': { path: device, status: ofOwner(200) },
  'PATCH /v1/devices/{id}': { path: device, body: () => ({ color: 'pink' }), status: ofOwner(200) },
  'DELETE /v1/devices/{id}': { path: device, status: ofOwner(204) },
  'POST /v1/devices/{id}/key': { path: (things) => `${device(things)}/key`, status: ofOwner(201) },
  'GET /v1/shares': { status: ofCaller(200) },
  'POST /v1/shares': {
    body: ({ device }) => ({ deviceIds: [device.id], expiresAt: inAnHour() }),
    status: ofOwner(201),
  },
  'DELETE /v1/shares/{id}': { path: ({ shareId }) => `/v1/shares/${shareId}`, status: ofOwner(204) },
  'GET /v1/users': { status: ofAdmins(200) },
  'POST /v1/users': {
    body: ({ owner }) => ({ email: `by-${Math.random().toString(36).slice(2)}-${owner.email}` }),
    status: ofAdmins(201),
  },
  'PATCH /v1/users/{id}': { path: user, body: () => ({ name: 'Renamed' }), status: ofAdmins(200) },
  'POST /v1/users/{id}/tokens': { path: (things) => `${user(things)}/tokens`, status: ofAdmins(201) },
  'POST /v1/devices/{id}/pairing': { path: (things) => `${device(things)}/pairing`, status: ofOwner(201) },
  'GET /v1/devices/{id}/sessions': { path: (things) => `${device(things)}/sessions`, status: ofOwner(200) },
  'GET /v1/devices/{id}/points': { path: (things) => `${device(things)}/points`, status: ofOwner(200) },
  'GET /v1/sessions/{id}': { path: session, status: ofOwner(200) },
  'GET /v1/sessions/{id}/track': { path: (things) => `${session(things)}/track`, status: ofOwner(200) },
  'POST /v1/pair': { body: () => ({ pairingToken: 'x' }), status: 'public' },
  'GET /v1/config': { status: 'public' },
  'GET /openapi.json': { status: 'public' },
  'GET /v1/errors': { status: ofAdmins(200) },
}

/** What the hub serves, by the table that it serves it from; nothing here is called. */
const { limits } = parseConfig({})
const ROUTES = Object.keys(
  createApi({ limits, ops: { audit: {} }, access: { rights: {} } } as unknown as ApiOptions),
)

let database: TestDatabase
let hub: TestHub
let people: Record<'stranger' | 'admin' | 'owner', TestUser>

beforeAll(async () => {
  database = await quickestKind.create()
  // What the hub notes by itself, when a device or a user was there last, is not written between two looks.
  const env = { ALZY_SHARES_PER_USER_MAX: '100000', ALZY_LAST_SEEN_FLUSH_MS: '600000' }
  hub = await startHub({ database, env })
  people = {
    stranger: await hub.addUser(),
    owner: await hub.addUser(),
    admin: await hub.addUser({ role: 'admin' }),
  }
})
afterAll(async () => {
  await hub?.end()
  await database?.drop()
})

async function makeThings(): Promise<Things> {
  const { owner } = people
  const device = await hub.addDevice(owner, CANARY)
  const body = { deviceIds: [device.id], expiresAt: inAnHour() }
  const shared = await hub.request('POST', '/v1/shares', body, owner.token)
  const socket = await welcomedDevice(hub.ws, device)
  socket.send(pointsFrame(1, Date.now(), 2))
  await socket.ack(1)
  await socket.close()
  // The embedded database is the hub's alone, and then the first session will do: it is the owner's as well.
  const [row] = await database
    .query('select id from sessions where device_id = $1::int', [device.id])
    .catch(() => [{ id: 1 }])
  return {
    owner,
    device,
    shareId: shared.json.share.id,
    shareToken: shared.json.token,
    sessionId: row!.id as number,
  }
}

const tokenOf = (caller: Caller, things: Things): string | null | undefined =>
  ({
    nobody: null,
    operator: undefined,
    share: things.shareToken,
    stranger: people.stranger.token,
    owner: people.owner.token,
    admin: people.admin.token,
  })[caller]

async function attempt(route: string, caller: Caller, things: Things) {
  const [method, place] = route.split(' ') as [string, string]
  const { path = () => place, body } = VERDICTS[route]!
  return ask(method, path(things), body?.(things), tokenOf(caller, things))
}

async function ask(method: string, path: string, body: unknown, token: string | null | undefined) {
  const bearer = token === undefined ? await operator() : token
  const response = await fetch(hub.http + path, {
    method,
    headers: {
      ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() }
}

async function operator(): Promise<string> {
  const exp = Math.floor(Date.now() / 1000) + 60
  return hubToken(await secretOf(database), { claims: { sub: 'operator', exp } })
}

test('every route has a verdict, and every verdict a route', () => {
  expect(Object.keys(VERDICTS).sort()).toEqual([...ROUTES].sort())
})

describe.each(Object.keys(VERDICTS))('%s', (route) => {
  const { status } = VERDICTS[route]!

  test.each(CALLERS)('answers %s as it must', async (caller) => {
    const things = await makeThings()
    const answer = await attempt(route, caller, things)
    if (status === 'public') {
      const other = await attempt(route, caller === 'nobody' ? 'owner' : 'nobody', things)
      expect(answer.status).toBe(other.status)
      expect(answer.status).not.toBe(401)
      return
    }
    expect(answer.status, answer.text).toBe(status[caller])
    if (answer.status < 400) return
    expect(answer.type).toBe('application/problem+json')
    expect(JSON.parse(answer.text)).toMatchObject({ type: 'about:blank', status: answer.status })
  })

  test('shows a stranger nothing of the owner, and changes nothing', async () => {
    const things = await makeThings()
    const state = async () => [
      (await hub.request('GET', device(things))).json,
      (await hub.request('GET', '/v1/shares', undefined, people.owner.token)).json,
      (await hub.request('GET', `/v1/users?email=${people.owner.email}`)).json.users[0],
    ]
    const before = await state()
    for (const caller of ['stranger', 'share', 'nobody'] as const) {
      const { text } = await attempt(route, caller, things)
      for (const canary of [CANARY, people.owner.email, things.device.deviceKey, things.shareToken]) {
        expect(text, `${caller} is shown something`).not.toContain(canary)
      }
    }
    expect(await state()).toEqual(before)
  })
})

test.each([
  ['/v1/devices?userId=', 403],
  ['/v1/users?email=', 403],
])('a stranger who asks %s for the owner is told %i', async (path, status) => {
  const asked = path + (path.includes('email') ? people.owner.email : people.owner.id)
  expect((await hub.request('GET', asked, undefined, people.stranger.token)).status).toBe(status)
})

describe('admins', () => {
  test('cannot demote or deactivate themselves; another one, or the operator, can', async () => {
    const admin = await hub.addUser({ role: 'admin' })
    const change = (body: unknown, token?: string) =>
      hub.request('PATCH', `/v1/users/${admin.id}`, body, token)
    for (const body of [{ role: 'user' }, { isActive: false }, { isActive: false, name: 'x' }]) {
      expect((await change(body, admin.token)).status).toBe(409)
    }
    expect((await change({ name: 'Ann', role: 'admin', isActive: true }, admin.token)).json).toMatchObject({
      name: 'Ann',
      role: 'admin',
    })
    expect((await change({ role: 'user' }, people.admin.token)).json.role).toBe('user')
    // What was true when the token was made is not asked of the token.
    expect((await change({ name: 'Still?' }, admin.token)).status).toBe(403)
    expect((await change({ role: 'admin' })).json.role).toBe('admin')
    expect((await hub.request('PATCH', '/v1/users/2000000000', { name: 'x' })).status).toBe(404)
  })

  test.each<[string, object, string]>([
    ['a role that is none', { role: 'king' }, 'role'],
    ['an activity that is none', { isActive: 'no' }, 'isActive'],
    ['an empty name', { name: ' ' }, 'name'],
    ['a field too many', { email: 'x@example.org' }, 'email'],
    ['providers that are a list', { providers: [] }, 'providers'],
    ['an issuer that is no address', { providers: { me: { sub: '1' } } }, 'providers.me'],
    ...['\0', '\ud800', '\udc00', ' '].map((text): [string, object, string] => [
      `an issuer with ${JSON.stringify(text)} in it`,
      { providers: { [`https://a.example/${text}b`]: { sub: '1' } } },
      `providers.https://a.example/${text}b`,
    ]),
    [
      'a provider without a subject',
      { providers: { 'https://a.example': {} } },
      'providers.https://a.example.sub',
    ],
    [
      'a subject with a zero byte',
      { providers: { 'https://a.example': { sub: 'a\0' } } },
      'providers.https://a.example.sub',
    ],
    [
      'too many issuers',
      {
        providers: Object.fromEntries(
          Array.from({ length: 17 }, (_, i) => [`https://${i}.example`, { sub: '1' }]),
        ),
      },
      'providers',
    ],
  ])('cannot write %s', async (_, body, field) => {
    const answer = await hub.request('PATCH', `/v1/users/${people.owner.id}`, body)
    expect([answer.status, answer.json.errors?.map((error: { field: string }) => error.field)]).toEqual([
      400,
      [field],
    ])
  })
})

describe('a stranger at a socket', () => {
  test('/v1/live sees nothing of the owner, whatever is asked for, and hears nothing', async () => {
    const things = await makeThings()
    const viewer = await welcomedViewer(hub.ws, { token: people.stranger.token })
    const own = await hub.addDevice(people.stranger)
    const snapshot = async () => (await viewer.snapshot()).map(([id]) => id)
    for (const sub of [[[people.owner.id]], [[]], [[people.owner.id, people.stranger.id]]]) {
      viewer.send([SUB, ...sub])
      expect((await viewer.next(ERROR)).slice(0, 2)).toEqual([ERROR, 4403])
    }
    viewer.send([SUB, null, [things.device.id]])
    expect(await snapshot()).toEqual([])
    viewer.send([SUB])
    expect(await snapshot()).toEqual([own.id])
    const theirs = await welcomedDevice(hub.ws, things.device)
    theirs.send(pointsFrame(1, Date.now() + 5))
    await theirs.ack(1)
    await hub.request('DELETE', `/v1/devices/${things.device.id}`)
    const mine = await welcomedDevice(hub.ws, own)
    mine.send(pointsFrame(1, Date.now()))
    await until(() => viewer.frames.some(([type]) => type === LIVE), 'a point of its own')
    const about = viewer.frames
      .filter(([type]) => (type as number) > SNAP && type !== 90)
      .map(([, about]) => (Array.isArray(about) ? about[0] : about))
    expect(new Set(about)).toEqual(new Set([own.id]))
    expect(viewer.frames.some(([type]) => type === GONE)).toBe(false)
    for (const socket of [viewer, mine]) await socket.close()
  })

  test('/v1/stats is refused', async () => {
    const socket = await openStats(hub.ws, { hello: false })
    socket.send([1, people.stranger.token])
    expect((await socket.closed).code).toBe(4503)
  })

  test.each([
    ['/v1/device with a token of the owner', openDevice, () => people.owner.token],
    ['/v1/live with the key of a device', openViewer, async () => (await makeThings()).device.deviceKey],
    ['/v1/stats with the key of a device', openStats, async () => (await makeThings()).device.deviceKey],
    ['/v1/live as the operator', openViewer, operator],
    ['/v1/stats as the operator', openStats, operator],
    ['/v1/device with the token of a share', openDevice, async () => (await makeThings()).shareToken],
    ['/v1/stats with the token of a share', openStats, async () => (await makeThings()).shareToken],
  ] as const)('%s is refused with 4503', async (_, open, credential) => {
    const socket = await open(hub.ws, { hello: false })
    socket.send([1, await credential()])
    expect((await socket.closed).code).toBe(4503)
  })

  test.each([
    ['/v1/live', openViewer],
    ['/v1/stats', openStats],
  ] as const)('%s says who it is before anything else', async (_, open) => {
    const socket = await open(hub.ws, { hello: false })
    socket.send([SUB])
    expect((await socket.closed).code).toBe(4500)
  })

  test('/v1/device says which it is before anything else', async () => {
    const socket = await openDevice(hub.ws, { hello: false })
    socket.send([POINTS, 1, null, Date.now(), [[0, 1, 1]]])
    expect((await socket.closed).code).toBe(4500)
  })
})
