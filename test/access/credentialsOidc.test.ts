/** People who come with tokens of an OpenID issuer: who they are here, and what happens while its keys change or it is away. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeOnEachDatabase } from '../rig/eachDatabase.ts'
import { startHub, type TestHub } from '../rig/hub.ts'
import { type Issuer, makeKey, startIssuer } from '../rig/issuer.ts'
import { quickestKind, type TestDatabase } from '../rig/kinds.ts'
import { PING, PONG } from '../rig/points.ts'
import { until } from '../rig/until.ts'
import { welcomedViewer } from '../rig/welcomed.ts'
import { openStats, openViewer } from '../rig/wire.ts'

const [HELLO, AUTH, AUTH_OK] = [1, 5, 70]
let issuer: Issuer

beforeAll(async () => {
  issuer = await startIssuer({ path: '/realms/family' })
})
afterAll(() => issuer?.away())

async function closeCodeOf(hub: TestHub, token: string): Promise<number> {
  const socket = await openViewer(hub.ws, { hello: false })
  socket.send([HELLO, token])
  return (await socket.closed).code
}

const me = (hub: TestHub, token: string) => hub.request('GET', '/v1/me', undefined, token)
const status = async (hub: TestHub, token: string) => (await me(hub, token)).status

describeOnEachDatabase(
  'whoever the issuer knows',
  { ALZY_LAST_SEEN_FLUSH_MS: '100', ALZY_OIDC_AUDIENCE: 'alzy-maps', ALZY_OIDC_ISSUER: 'http://127.0.0.1:9' },
  (on, kind) => {
    let provider: (sub: string) => object
    beforeAll(async () => {
      await on.restart(issuer.env)
      provider = (sub) => ({ [issuer.url]: { sub } })
    })

    test('is, the first time, the user of the verified address, and from then on the one of the subject', async () => {
      const user = await on.hub.addUser()
      const email = user.email.toUpperCase()
      const first = await me(on.hub, await issuer.sign({ sub: 'ann', email, email_verified: true }))
      expect(first.json).toMatchObject({ id: user.id, providers: provider('ann') })
      // The address may change at the issuer, or be left out; the subject stays.
      const later = await me(on.hub, await issuer.sign({ sub: 'ann' }))
      expect(later.json.id).toBe(user.id)
      const viewer = await welcomedViewer(on.hub.ws, { token: await issuer.sign({ sub: 'ann' }) })
      expect(await viewer.welcome).toMatchObject({ userId: user.id, role: 'user' })
      await viewer.close()
    })

    test('is found when many first times come at once', async () => {
      const user = await on.hub.addUser()
      const token = await issuer.sign({ sub: 'many', email: user.email, email_verified: true })
      const answers = await Promise.all(Array.from({ length: 20 }, () => me(on.hub, token)))
      expect(new Set(answers.map(({ json }) => json.id))).toEqual(new Set([user.id]))
    })

    test('cannot become a user who is somebody else there, nor two users', async () => {
      const [ann, bob] = [await on.hub.addUser(), await on.hub.addUser()]
      const as = (sub: string, { email }: { email: string }) =>
        issuer.sign({ sub, email, email_verified: true })
      expect((await me(on.hub, await as('first', ann))).json.id).toBe(ann.id)
      expect(await status(on.hub, await as('second', ann))).toBe(401)
      // Known by the subject, whatever the address says.
      expect((await me(on.hub, await as('first', bob))).json.id).toBe(ann.id)
      const taken = await on.hub.request('PATCH', `/v1/users/${bob.id}`, { providers: provider('first') })
      expect([taken.status, taken.json.title]).toEqual([409, 'Conflict'])
      expect((await on.hub.request('PATCH', `/v1/users/${bob.id}`, { providers: {} })).status).toBe(200)
    })

    test('is whom an admin says, until the admin says otherwise', async () => {
      const [ann, bob] = [await on.hub.addUser(), await on.hub.addUser()]
      const token = await issuer.sign({ sub: 'moved' })
      for (const [user, other] of [
        [ann, bob],
        [bob, ann],
      ] as const) {
        expect(await status(on.hub, token)).toBe(401)
        await on.hub.request('PATCH', `/v1/users/${user.id}`, { providers: provider('moved') })
        expect((await me(on.hub, token)).json.id).toBe(user.id)
        await on.hub.request('PATCH', `/v1/users/${user.id}`, { providers: {} })
        expect(other.id).not.toBe(user.id)
      }
    })

    test.each<[string, Record<string, string>]>([
      ['by the API at once', { ALZY_RIGHTS_CHECK_MS: '30000' }],
      ['by the next look of the hub', { ALZY_RIGHTS_CHECK_MS: '100' }],
    ])('loses the sockets of the issuer’s tokens with it, and no others: %s', async (how, limits) => {
      await on.restart({ ...issuer.env, ...limits })
      const admin = await on.hub.addUser({ role: 'admin' })
      const write = (providers: object) => on.hub.request('PATCH', `/v1/users/${admin.id}`, { providers })
      await write({ ...provider('lost'), 'https://other.example': { sub: '1' } })
      const token = await issuer.sign({ sub: 'lost' })
      const sockets = {
        viewer: await openViewer(on.hub.ws, { token }),
        stats: await openStats(on.hub.ws, { token }),
        arrived: await openViewer(on.hub.ws, { token: admin.token }),
        own: await openViewer(on.hub.ws, { token: admin.token }),
        renewed: await openViewer(on.hub.ws, { token }),
      }
      for (const socket of Object.values(sockets)) await socket.welcome
      sockets.arrived.send([AUTH, token])
      sockets.renewed.send([AUTH, admin.token])
      for (const socket of [sockets.arrived, sockets.renewed]) await socket.next(AUTH_OK)
      // What is written again, or besides, is no loss.
      await write(provider('lost'))
      for (const socket of Object.values(sockets)) await answers(socket)
      if (how.includes('API')) await write({})
      else await forget(admin.id)
      for (const name of ['viewer', 'stats', 'arrived'] as const) {
        expect((await sockets[name].closed).code, name).toBe(4503)
      }
      for (const name of ['own', 'renewed'] as const) {
        await answers(sockets[name])
        await sockets[name].close()
      }
      await on.restart(issuer.env)
    })

    async function answers(socket: Awaited<ReturnType<typeof openViewer>>): Promise<void> {
      socket.send([PING, 7])
      await socket.next(PONG)
    }

    /** In the database, where the hub is not alone with it. */
    async function forget(userId: number): Promise<void> {
      if (kind === 'embedded') await on.hub.request('PATCH', `/v1/users/${userId}`, { providers: {} })
      else await on.rows(`update users set providers = '{}' where id = $1::int`, [userId])
    }

    test('has a last login: with the first use of each token over HTTP, and with every HELLO', async () => {
      const user = await on.hub.addUser()
      const { id } = user
      const loginMs = async () => {
        const { json } = await on.hub.request('GET', `/v1/users?email=${user.email}`)
        const { lastLoginAt } = json.users[0]
        return lastLoginAt === null ? 0 : Date.parse(lastLoginAt)
      }
      expect(await loginMs()).toBe(0)
      await me(on.hub, user.token)
      const first = await until(loginMs, 'the first login to be written')
      const viewer = await welcomedViewer(on.hub.ws, { token: user.token })
      const second = await until(async () => ((await loginMs()) > first ? loginMs() : null), 'HELLO to count')
      await viewer.close()
      // The same token again says nothing new: of two users, only the one with the new token moves.
      const other = await on.hub.addUser()
      await me(on.hub, user.token)
      await me(on.hub, other.token)
      await until(async () => {
        const { json } = await on.hub.request('GET', `/v1/users?email=${other.email}`)
        return json.users[0].lastLoginAt
      }, 'the other login to be written')
      expect(await loginMs()).toBe(second)
      const { json } = await on.hub.request('POST', `/v1/users/${id}/tokens`, { ttlS: 60 })
      await me(on.hub, json.token)
      await until(async () => (await loginMs()) > second, 'the new token to count')
    })
  },
)

describe('the keys of the issuer', () => {
  let database: TestDatabase
  let hub: TestHub
  let sub: string
  beforeAll(async () => {
    database = await quickestKind.create()
  })
  afterAll(() => database?.drop())

  /** A hub on its own, and a user whom the issuer knows. */
  async function withHub(env: Record<string, string>, act: () => Promise<void>): Promise<void> {
    hub = await startHub({ database, env: { ...issuer.env, ...env } })
    try {
      const user = await hub.addUser()
      sub = `user ${user.id}`
      await hub.request('PATCH', `/v1/users/${user.id}`, { providers: { [issuer.url]: { sub } } })
      await act()
    } finally {
      await hub.end()
      issuer.answers('well')
      await issuer.away()
      await issuer.back()
    }
  }

  const fetches = () => issuer.asked.filter((path) => path.endsWith('/keys')).length

  test('are fetched once for many, at the address of the issuer with its path', () =>
    withHub({}, async () => {
      const before = fetches()
      const token = await issuer.sign({ sub })
      const all = await Promise.all(Array.from({ length: 30 }, () => status(hub, token)))
      expect(new Set(all)).toEqual(new Set([200]))
      expect(fetches() - before).toBeLessThanOrEqual(1)
      expect(issuer.asked).toContain('/realms/family/.well-known/openid-configuration')
    }))

  test('may change: a new one is found, an old one goes on until it is published no more', () =>
    withHub({ ALZY_OIDC_COOLDOWN_MS: '100', ALZY_OIDC_KEYS_FRESH_MS: '300' }, async () => {
      const old = issuer.keys.at(-1)!
      const token = await issuer.sign({ sub })
      expect(await status(hub, token)).toBe(200)
      const key = await issuer.rotate('ES256')
      const fresh = await issuer.sign({ sub })
      // Perhaps 503 for as long as the hub may not ask again, and never 401.
      const seen = new Set<number>()
      await until(async () => {
        seen.add(await status(hub, fresh))
        return seen.has(200)
      }, 'the new key to be found')
      expect(seen.has(401)).toBe(false)
      expect(await status(hub, token)).toBe(200)
      issuer.forget(old.kid)
      await until(async () => (await status(hub, token)) === 401, 'the old key to be believed no more')
      await until(async () => (await closeCodeOf(hub, token)) === 4503, 'nor on a socket')
      expect(await status(hub, await issuer.sign({ sub }, { key }))).toBe(200)
    }))

  test('are not asked for again and again by whoever makes up names of keys', () =>
    withHub({ ALZY_OIDC_COOLDOWN_MS: '3600000' }, async () => {
      expect(await status(hub, await issuer.sign({ sub }))).toBe(200)
      const before = fetches()
      for (let i = 0; i < 20; i++) {
        const forged = await issuer.sign({ sub }, { key: await makeKey(undefined, 'ES256') })
        // Nobody can say yet whether the issuer has such a key.
        expect(i % 2 ? await status(hub, forged) : await closeCodeOf(hub, forged)).toBe(i % 2 ? 503 : 1013)
      }
      expect(fetches()).toBe(before)
      expect(await status(hub, await issuer.sign({ sub }))).toBe(200)
    }))

  test('that the issuer does not have are refused once it was asked', () =>
    withHub({ ALZY_OIDC_COOLDOWN_MS: '100' }, async () => {
      const forged = await issuer.sign({ sub }, { key: await makeKey() })
      await until(async () => (await status(hub, forged)) === 401, 'it to be refused')
      await until(
        async () => (await closeCodeOf(hub, forged)) === 4503,
        'it to be refused on a socket as well',
      )
    }))

  const misses = () =>
    hub.log.filter(({ msg }) => msg === 'the keys of the OpenID issuer could not be fetched').length

  test('are served on while the issuer is away, hangs, fails, talks nonsense or is another', () =>
    withHub(
      { ALZY_OIDC_COOLDOWN_MS: '100', ALZY_OIDC_TIMEOUT_MS: '500', ALZY_OIDC_KEYS_FRESH_MS: '100' },
      async () => {
        const token = await issuer.sign({ sub })
        await until(async () => (await status(hub, token)) === 200, 'the keys to be there')
        for (const how of ['away', 'hang', 'error', 'nonsense', 'as another'] as const) {
          if (how === 'away') await issuer.away()
          else issuer.answers(how)
          const before = misses()
          const seen = new Set<number>()
          await until(async () => {
            seen.add(await status(hub, token))
            return misses() > before
          }, `the hub to have missed the issuer: ${how}`)
          expect([...seen], how).toEqual([200])
          if (how === 'away') await issuer.back()
        }
      },
    ))

  test('are believed for a time only, and then it is nobody’s fault', () =>
    withHub(
      {
        ALZY_OIDC_COOLDOWN_MS: '100',
        ALZY_OIDC_KEYS_FRESH_MS: '200',
        ALZY_OIDC_KEYS_STALE_MS: '200',
      },
      async () => {
        const token = await issuer.sign({ sub })
        await until(async () => (await status(hub, token)) === 200, 'the keys to be there')
        await issuer.away()
        await until(async () => (await status(hub, token)) === 503, 'the keys to be too old')
        expect((await me(hub, token)).json).toMatchObject({ status: 503, title: 'Service Unavailable' })
        expect(await closeCodeOf(hub, token)).toBe(1013)
        await issuer.back()
        await until(async () => (await status(hub, token)) === 200, 'the issuer to be back')
      },
    ))

  test('that were never there are nobody’s fault: 503 and 1013, until the issuer comes', async () => {
    await issuer.away()
    await withHub({ ALZY_OIDC_COOLDOWN_MS: '100' }, async () => {
      const token = await issuer.sign({ sub })
      expect(await status(hub, token)).toBe(503)
      expect(await closeCodeOf(hub, token)).toBe(1013)
      // The hub's own tokens need nobody else.
      const user = await hub.addUser()
      expect(await status(hub, user.token)).toBe(200)
      await issuer.back()
      await until(async () => (await status(hub, token)) === 200, 'the issuer to be there')
    })
  })
})

test.each<[string, Record<string, string>, RegExp]>([
  ['plain HTTP to elsewhere', { ALZY_OIDC_ISSUER: 'http://id.example.org' }, /^ALZY_OIDC_ISSUER: must be/m],
  ['an address that is none', { ALZY_OIDC_ISSUER: 'id.example.org' }, /^ALZY_OIDC_ISSUER: must be/m],
  ['a query in it', { ALZY_OIDC_ISSUER: 'https://id.example.org?x' }, /^ALZY_OIDC_ISSUER: must be/m],
  ['no audience', { ALZY_OIDC_ISSUER: 'https://id.example.org' }, /^ALZY_OIDC_AUDIENCE: required/m],
  ['no issuer', { ALZY_OIDC_AUDIENCE: 'alzy' }, /^ALZY_OIDC_ISSUER: required/m],
])('the settings of the issuer with %s stop the start', async (_, env, problem) => {
  const { parseConfig } = await import('../../src/config.ts')
  expect(() => parseConfig(env)).toThrow(problem)
})
