/**
 * Every defect that a token or a device key can have, at every kind of place that takes one: refused on the wire, and
 * never told why. The same credential without the defect opens every one of them.
 */
import { once } from 'node:events'
import { connect } from 'node:net'
import { exportJWK } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDeviceKey } from '../../src/access/deviceKey.ts'
import { hubToken, secretOf, tampered, unsigned } from '../rig/forgery.ts'
import { startHub, type TestDevice, type TestHub, type TestUser } from '../rig/hub.ts'
import { AUDIENCE, type Claims, type Issuer, makeKey, type Signing, startIssuer } from '../rig/issuer.ts'
import { quickestKind, type TestDatabase } from '../rig/kinds.ts'
import { openDevice, openStats, openViewer } from '../rig/wire.ts'

const [HELLO, AUTH, AUTH_OK] = [1, 5, 70]
const DAY_S = 24 * 3_600
const SUB = 'the admin at the issuer'

interface World {
  database: TestDatabase
  hub: TestHub
  issuer: Issuer
  secret: string
  /** Whose token opens everything: an admin, whom the issuer knows as SUB. */
  admin: TestUser
  /** Active and unknown to the issuer. */
  user: TestUser
  inactive: TestUser
  device: TestDevice
}

const on = {} as World

beforeAll(async () => {
  on.issuer = await startIssuer()
  on.database = await quickestKind.create()
  on.hub = await startHub({ database: on.database, env: on.issuer.env })
  on.secret = await secretOf(on.database)
  on.admin = await on.hub.addUser({ role: 'admin' })
  on.user = await on.hub.addUser()
  on.inactive = await on.hub.addUser()
  on.device = await on.hub.addDevice(on.user)
  const known = { providers: { [on.issuer.url]: { sub: SUB } } }
  expect((await on.hub.request('PATCH', `/v1/users/${on.admin.id}`, known)).status).toBe(200)
  const off = await on.hub.request('PATCH', `/v1/users/${on.inactive.id}`, { isActive: false })
  expect(off.json.isActive).toBe(false)
})

afterAll(async () => {
  await on.hub?.end()
  await on.issuer?.away()
  await on.database?.drop()
})

const nowS = () => Math.floor(Date.now() / 1000)
const byHub = (claims: Record<string, unknown> = {}, header = {}, secret = on.secret) =>
  hubToken(secret, { claims: { sub: String(on.admin.id), ...claims }, header })
const byIssuer = (claims: Claims = {}, signing: Signing = {}) =>
  on.issuer.sign({ sub: SUB, ...claims }, signing)

type Verdict = 'refused' | 'expired'
type Defect = [what: string, token: () => Promise<string> | string, verdict?: Verdict]

const HUB_DEFECTS: Defect[] = [
  ['the secret of another hub', () => byHub({}, {}, 'the secret of another hub, as long as ours')],
  ['no algorithm', () => unsigned({ sub: String(on.admin.id) })],
  ['HS512', () => byHub({}, { alg: 'HS512' })],
  ['HS384', () => byHub({}, { alg: 'HS384' })],
  ['the type of an ID token', () => byHub({}, { typ: 'JWT' })],
  ['no type', () => byHub({}, { typ: undefined })],
  ['an unknown critical header', () => byHub({}, { crit: ['lock'], lock: 1 })],
  ['another issuer', () => byHub({ iss: 'https://elsewhere.example' })],
  ['no issuer', () => byHub({ iss: undefined })],
  ['another audience', () => byHub({ aud: 'somebody else' })],
  ['no audience', () => byHub({ aud: undefined })],
  ['no expiry', () => byHub({ exp: undefined })],
  ['an expiry that is text', () => byHub({ exp: String(nowS() + 60) })],
  ['no moment of issue', () => byHub({ iat: undefined })],
  ['no subject', () => byHub({ sub: undefined })],
  ['an expiry in the past', () => byHub({ iat: nowS() - 60, exp: nowS() - 1 }), 'expired'],
  ['a life of 91 days', () => byHub({ exp: nowS() + 91 * DAY_S })],
  ['a moment of issue in the future', () => byHub({ iat: nowS() + 600, exp: nowS() + 660 })],
  ['a time before which it is not valid', () => byHub({ nbf: nowS() + 600 })],
  ['a subject who is nobody', () => byHub({ sub: '2000000000' })],
  ['a subject who is inactive', () => byHub({ sub: String(on.inactive.id) })],
  ['a subject beyond all ids', () => byHub({ sub: '4294967297' })],
  ['a subject that is no id', () => byHub({ sub: `${on.admin.id} or 1=1` })],
  ['a subject that is a number', () => byHub({ sub: on.admin.id })],
  ['an unknown scope', () => byHub({ scope: 'admin' })],
  ['the scope of a share and the subject of a user', () => byHub({ scope: 'share' })],
  ['the subject of a share without its scope', () => byHub({ sub: 'share:1' })],
  ['an operator of an hour', () => byHub({ sub: 'operator' })],
  ['another subject than was signed', () => tampered(on.user.token, { sub: String(on.admin.id) })],
  ['a signature cut short', () => byHub().slice(0, -2)],
  ['something after the signature', () => `${byHub()}.e30`],
  ['more characters than a token may have', () => byHub({ pad: 'x'.repeat(4_096) })],
  ['the key of a device', () => on.device.deviceKey],
  ['nothing but dots', () => '..'],
]

const ISSUER_DEFECTS: Defect[] = [
  ['a key of the same name that is not the issuer’s', async () => byIssuer({}, { key: await stolenName() })],
  ['no algorithm', () => unsigned({ iss: on.issuer.url, aud: AUDIENCE, sub: SUB })],
  ['HMAC with the public key', async () => hmacOfIssuer(await on.issuer.publicPem())],
  ['HMAC with the hub’s secret', () => hmacOfIssuer(on.secret)],
  ['a key that it brings along', async () => byIssuer({}, await broughtAlong())],
  ['the type of a logout token', () => byIssuer({}, { header: { typ: 'logout+jwt' } })],
  ['the type of a proof of possession', () => byIssuer({}, { header: { typ: 'dpop+jwt' } })],
  ['the events of a logout token', () => byIssuer({ events: { logout: {} } })],
  ['the issuer’s address with a slash', () => byIssuer({ iss: `${on.issuer.url}/` })],
  ['no issuer', () => byIssuer({ iss: undefined as never })],
  [
    'the name of the hub for an issuer',
    () => byIssuer({ iss: 'alzy', aud: 'alzy', sub: String(on.admin.id) }),
  ],
  ['another audience', () => byIssuer({ aud: 'another-app' })],
  ['several audiences, and none ours', () => byIssuer({ aud: ['another-app', `${AUDIENCE}2`] })],
  ['no audience', () => byIssuer({ aud: undefined as never })],
  ['no expiry', () => byIssuer({ exp: undefined as never })],
  ['no moment of issue', () => byIssuer({ iat: undefined as never })],
  ['no subject', () => byIssuer({ sub: undefined as never })],
  ['an expiry in the past', () => byIssuer({ iat: nowS() - 60, exp: nowS() - 1 }), 'expired'],
  ['a life of 25 hours', () => byIssuer({ exp: nowS() + 25 * 3_600 })],
  ['a moment of issue in the future', () => byIssuer({ iat: nowS() + 600 })],
  ['a time before which it is not valid', () => byIssuer({ nbf: nowS() + 600 })],
  ['an empty subject', () => byIssuer({ sub: '' })],
  ['a subject without end', () => byIssuer({ sub: 'x'.repeat(256) })],
  ['a subject with a zero byte', () => byIssuer({ sub: 'admin\0' })],
  ['a subject who is nobody', () => byIssuer({ sub: 'nobody' })],
  ['an address that is not verified', () => stranger(on.user.email, false)],
  ['an address that says it is verified', () => stranger(on.user.email, 'true')],
  ['an address that nobody has', () => stranger('nobody@example.org', true)],
  ['an address that is none', () => stranger('%', true)],
  ['the address of a user who is inactive', () => stranger(on.inactive.email, true)],
  ['the address of a user who is somebody else there', () => stranger(on.admin.email, true)],
]

const stranger = (email: string, verified: unknown) =>
  byIssuer({ sub: 'a stranger', email, email_verified: verified })

async function stolenName() {
  return makeKey(on.issuer.keys[0]!.kid)
}

function hmacOfIssuer(secret: string): string {
  const claims = { iss: on.issuer.url, aud: AUDIENCE, sub: SUB }
  return hubToken(secret, { claims, header: { typ: 'JWT', kid: on.issuer.keys[0]!.kid } })
}

async function broughtAlong(): Promise<Signing> {
  const key = await stolenName()
  const jwk = await exportJWK(key.publicKey)
  return { key, header: { jwk, jku: 'http://127.0.0.1:9/keys', x5u: 'http://127.0.0.1:9/cert' } }
}

/** What becomes of a token there: welcome, or how it was turned away. */
type Place = (token: string) => Promise<'welcome' | Verdict | string>

const SAID: Record<number, Verdict> = { 4503: 'refused', 4451: 'expired' }

/** `welcome` is the status that a caller gets who is known there. */
function overHttp(method: string, path: string, welcome: number, body?: unknown): Place {
  return async (token) => {
    const response = await fetch(on.hub.http + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const { status } = response
    if (status !== 401) return status === welcome ? 'welcome' : `HTTP ${status}`
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(response.headers.get('www-authenticate')).toBe('Bearer')
    const problem = await response.json()
    expect(problem).toMatchObject({ type: 'about:blank', title: 'Unauthorized', status: 401 })
    const said: Record<string, Verdict> = {
      'the token is refused': 'refused',
      'the token has expired': 'expired',
    }
    return said[problem.detail] ?? problem.detail
  }
}

const atHello =
  (open: typeof openViewer): Place =>
  async (token) => {
    const socket = await open(on.hub.ws, { hello: false })
    socket.send([HELLO, token])
    const end = await Promise.race([socket.welcome.then(() => null), socket.closed])
    if (end === null) await socket.close()
    return end === null ? 'welcome' : (SAID[end.code] ?? `close ${end.code}`)
  }

const atAuth =
  (open: typeof openViewer): Place =>
  async (token) => {
    const socket = await open(on.hub.ws, { token: on.admin.token })
    await socket.welcome
    socket.send([AUTH, token])
    const end = await Promise.race([socket.next(AUTH_OK).then(() => null), socket.closed])
    if (end === null) await socket.close()
    return end === null ? 'welcome' : (SAID[end.code] ?? `close ${end.code}`)
  }

const PLACES: [string, Place][] = [
  ['GET /v1/me', overHttp('GET', '/v1/me', 200)],
  ['GET /v1/users', overHttp('GET', '/v1/users', 200)],
  ['POST /v1/shares', overHttp('POST', '/v1/shares', 400, {})],
  ['HELLO on /v1/live', atHello(openViewer)],
  ['HELLO on /v1/stats', atHello(openStats)],
  ['AUTH on /v1/live', atAuth(openViewer)],
  ['AUTH on /v1/stats', atAuth(openStats)],
]
/** A frame has no room for it: what is too long for the protocol is not understood. */
const TOO_LONG = 'more characters than a token may have'

describe.each(PLACES)('%s', (name, place) => {
  test('welcomes a token of the hub without a defect', async () => {
    expect(await place(byHub())).toBe('welcome')
  })

  test.each([
    ['JWT', 'JWT'],
    ['at+jwt', 'at+jwt'],
    ['application/at+jwt', 'application/at+jwt'],
    ['no type', undefined],
  ])('welcomes a token of the issuer without a defect: %s', async (_, typ) => {
    expect(await place(await byIssuer({}, { header: { typ } }))).toBe('welcome')
    expect(await place(await byIssuer({ aud: ['another-app', AUDIENCE] }, { header: { typ } }))).toBe(
      'welcome',
    )
  })

  test.each(HUB_DEFECTS)(
    'turns away a token of the hub with %s',
    async (what, token, verdict = 'refused') => {
      const expected = what === TOO_LONG && !name.includes('/v1/me') && !/^(GET|POST)/.test(name)
      expect(await place(await token())).toBe(expected ? 'close 4500' : verdict)
    },
  )

  test.each(ISSUER_DEFECTS)(
    'turns away a token of the issuer with %s',
    async (_, token, verdict = 'refused') => {
      expect(await place(await token())).toBe(verdict)
    },
  )
})

test('whoever was turned away is linked to nobody', async () => {
  const { json } = await on.hub.request('GET', '/v1/users')
  const known = json.users.filter((user: { providers: object }) => Object.keys(user.providers).length > 0)
  expect(known.map(({ id }: { id: number }) => id)).toEqual([on.admin.id])
})

describe('HELLO on /v1/device', () => {
  async function offer(deviceKey: string): Promise<number | 'welcome'> {
    const socket = await openDevice(on.hub.ws, { hello: false })
    socket.send([HELLO, deviceKey])
    const end = await Promise.race([socket.welcome.then(() => null), socket.closed])
    if (end === null) await socket.close()
    return end === null ? 'welcome' : end.code
  }

  test('welcomes a key without a defect', async () => {
    expect(await offer(on.device.deviceKey)).toBe('welcome')
  })

  const other = async (change: object, user = on.user) => {
    const device = await on.hub.addDevice(user)
    await on.hub.request('PATCH', `/v1/devices/${device.id}`, change)
    return device.deviceKey
  }
  test.each<[string, () => Promise<string> | string]>([
    ['another secret', () => createDeviceKey(on.device.id).deviceKey],
    [
      'the secret of another device',
      async () => on.device.deviceKey.replace(/_\d+_/, `_${(await on.hub.addDevice(on.user)).id}_`),
    ],
    ['a device that never was', () => createDeviceKey(2_000_000_000).deviceKey],
    ['a device that is deactivated', () => other({ isActive: false })],
    [
      'a device that is deleted',
      async () => {
        const { id, deviceKey } = await on.hub.addDevice(on.user)
        await on.hub.request('DELETE', `/v1/devices/${id}`)
        return deviceKey
      },
    ],
    [
      'a key that was replaced',
      async () => {
        const { id, deviceKey } = await on.hub.addDevice(on.user)
        await on.hub.request('POST', `/v1/devices/${id}/key`)
        return deviceKey
      },
    ],
    [
      'an owner who is inactive',
      async () => {
        const owner = await on.hub.addUser()
        const { deviceKey } = await on.hub.addDevice(owner)
        await on.hub.request('PATCH', `/v1/users/${owner.id}`, { isActive: false })
        return deviceKey
      },
    ],
    ['a letter less', () => on.device.deviceKey.slice(0, -1)],
    ['a letter more', () => `${on.device.deviceKey}A`],
    ['another case', () => on.device.deviceKey.toUpperCase()],
    ['the token of an admin', () => on.admin.token],
    ['nothing', () => ''],
  ])('turns away a key with %s', async (_, deviceKey) => {
    expect(await offer(await deviceKey())).toBe(4503)
  })
})

describe('a token of 4 096 characters', () => {
  function longToken(): string {
    const bare = byHub({ pad: '' })
    // A character of the padding takes four thirds of one in base64url.
    const token = byHub({ pad: 'x'.repeat(Math.floor((4_090 - bare.length) * 0.75)) })
    expect(token.length).toBeGreaterThan(4_080)
    expect(token.length).toBeLessThanOrEqual(4_096)
    return token
  }

  test('is within what HTTP and sockets take', async () => {
    const token = longToken()
    for (const [, place] of PLACES) expect(await place(token)).toBe('welcome')
  })

  test('is taken as well from a request that comes in pieces', async () => {
    const socket = connect(on.hub.port, '127.0.0.1')
    await once(socket, 'connect')
    const request = `GET /v1/me HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer ${longToken()}\r\n\r\n`
    socket.write(request.slice(0, 3_000))
    // By the time that this is answered the hub has seen the first piece.
    await on.hub.request('GET', '/healthz')
    socket.write(request.slice(3_000))
    const [answer] = await once(socket, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1.1 200 OK/)
    socket.destroy()
  })
})
