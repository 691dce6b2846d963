/** Pairing as phones and their owners see it: once, repeatable by whoever did it, and telling nobody else anything. */
import { createHash, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { describeOnEachDatabase } from '../rig/eachDatabase.ts'
import type { Answer, TestUser } from '../rig/hub.ts'
import { DEVICE, HELLO, pointsFrame, SUB } from '../rig/points.ts'
import { post } from '../rig/post.ts'
import { startProxy } from '../rig/proxy.ts'
import { readsOf } from '../rig/reads.ts'
import { until } from '../rig/until.ts'
import { welcomedDevice, welcomedViewer } from '../rig/welcomed.ts'
import { openDevice } from '../rig/wire.ts'

/** Nobody guesses here; and but for the looks at rights nothing asks the database that no test does. */
const QUIET = {
  ALZY_PAIRING_TRIES_BURST: '100000',
  ALZY_PAIRING_TRIES_BURST_IN_ALL: '100000',
  ALZY_SESSION_SWEEP_MS: '3600000',
  ALZY_LAST_SEEN_FLUSH_MS: '600000',
  ALZY_LOG_LEVEL: 'trace',
}
/** Several starts of the embedded database. */
const GIVE_UP_MS = 600_000
const secretOf = () => randomBytes(32).toString('base64url')
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

describeOnEachDatabase('pairing', QUIET, (on) => {
  /** Everything that must be neither in the database nor in the log. */
  const canaries: string[] = []

  const pair = async (body: unknown): Promise<Answer> => {
    const answer = await on.hub.request('POST', '/v1/pair', body, null)
    const secrets = [(body as { secret?: unknown }).secret, answer.json.deviceKey?.slice(-43)]
    for (const secret of secrets) {
      if (typeof secret === 'string' && secret.length === 43) canaries.push(secret)
    }
    return answer
  }

  async function waiting(user?: TestUser) {
    const owner = user ?? (await on.hub.addUser())
    const { status, json } = await on.hub.request('POST', '/v1/devices', { name: 'Phone' }, owner.token)
    expect(status).toBe(201)
    canaries.push(json.pairingToken)
    return { owner, id: json.device.id as number, pairingToken: json.pairingToken as string, json }
  }

  async function pairAgain({ id, owner }: { id: number; owner: TestUser }): Promise<string> {
    const { status, json } = await on.hub.request('POST', `/v1/devices/${id}/pairing`, undefined, owner.token)
    expect([status, json.device.id]).toEqual([201, id])
    canaries.push(json.pairingToken)
    return json.pairingToken
  }

  async function closeOf(deviceKey: string): Promise<number> {
    const socket = await openDevice(on.hub.ws, { hello: false })
    socket.send([HELLO, deviceKey])
    return (await socket.closed).code
  }

  test('begins with a link that is good for ten minutes and ends with a key that connects', async () => {
    const { owner, id, json } = await waiting()
    const { device, pairingToken, pairingUrl, expiresAt, ...rest } = json
    expect(device).toMatchObject({ id, userId: owner.id, platform: 'android', pairedAt: null })
    expect(pairingToken).toMatch(/^[A-Za-z0-9_-]{22}$/)
    expect(pairingUrl).toBe(`${on.hub.http}/track#pair=${pairingToken}`)
    expect(Math.round((Date.parse(expiresAt) - Date.now()) / 60_000)).toBe(10)
    expect(rest).toEqual({})

    const paired = await pair({ pairingToken })
    expect(paired.status).toBe(200)
    expect(Object.keys(paired.json)).toEqual(['deviceId', 'deviceKey'])
    expect(paired.json.deviceKey).toMatch(new RegExp(`^alzy_${id}_[A-Za-z0-9_-]{43}$`))
    const socket = await welcomedDevice(on.hub.ws, paired.json)
    expect((await socket.welcome).deviceId).toBe(id)
    socket.send(pointsFrame(1, Date.now()))
    await socket.ack(1)
    await socket.close()
    const shown = await on.hub.request('GET', `/v1/devices/${id}`, undefined, owner.token)
    expect(Date.parse(shown.json.pairedAt)).toBeGreaterThan(Date.parse(device.createdAt))
  })

  test('takes the device’s own secret, platform and name, and viewers see them', async () => {
    const { owner, id, pairingToken } = await waiting()
    const viewer = await welcomedViewer(on.hub.ws, { token: owner.token })
    viewer.send([SUB])
    await viewer.snapshot()
    const secret = secretOf()
    const paired = await pair({ pairingToken, secret, platform: 'ios', name: ' Ann’s phone ' })
    expect(paired).toEqual({ status: 200, json: { deviceId: id, deviceKey: `alzy_${id}_${secret}` } })
    // The word that it is new may come late, and first.
    const told = () => viewer.frames.filter(([type]) => type === DEVICE).at(-1)?.[1] as unknown[] | undefined
    await until(() => told()?.[4] === 'ios', 'the viewer to be told')
    expect(told()!.slice(0, 5)).toEqual([id, owner.id, 'Ann’s phone', 'blue', 'ios'])
    await viewer.close()
  })

  test('whose answer is lost is repeated, which costs nothing: not the socket, and not what was renamed since', async () => {
    const { owner, id, pairingToken } = await waiting()
    const secret = secretOf()
    const shown = { pairingToken, secret, name: 'Phone of the box' }
    const proxy = await startProxy({ host: '127.0.0.1', port: on.hub.port })
    proxy.hook((direction) => (direction === 'down' ? 'rst' : undefined))
    await expect(post(`http://127.0.0.1:${proxy.port}/v1/pair`, shown)).rejects.toThrow()
    expect(proxy.counts.cut).toBe(1)
    await proxy.close()

    const deviceKey = `alzy_${id}_${secret}`
    const socket = await welcomedDevice(on.hub.ws, { deviceKey })
    await on.hub.request('PATCH', `/v1/devices/${id}`, { name: 'Renamed' }, owner.token)
    const before = await on.hub.request('GET', `/v1/devices/${id}`, undefined, owner.token)
    for (let i = 0; i < 3; i++) {
      expect(await pair(shown)).toEqual({ status: 200, json: { deviceId: id, deviceKey } })
    }
    const after = await on.hub.request('GET', `/v1/devices/${id}`, undefined, owner.token)
    expect(after.json).toEqual(before.json)
    expect(after.json.name).toBe('Renamed')
    socket.send(pointsFrame(1, Date.now()))
    await socket.ack(1)
    expect(socket.isOpen()).toBe(true)
    await socket.close()
  })

  test('raced by 50 devices is won by one; all others are told the same', async () => {
    const { id, pairingToken } = await waiting()
    const unknown = await pair({ pairingToken: 'x' })
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => pair({ pairingToken, ...(i % 2 ? { secret: secretOf() } : {}) })),
    )
    const [won, lost] = [200, 403].map((status) => answers.filter((answer) => answer.status === status))
    expect([won!.length, lost!.length]).toEqual([1, 49])
    for (const answer of lost!) expect(answer).toEqual(unknown)
    const socket = await welcomedDevice(on.hub.ws, won![0]!.json)
    expect((await socket.welcome).deviceId).toBe(id)
    await socket.close()
  })

  test('raced by 50 requests of one device gives all of them the same key', async () => {
    const { id, pairingToken } = await waiting()
    const secret = secretOf()
    const answers = await Promise.all(Array.from({ length: 50 }, () => pair({ pairingToken, secret })))
    const key = { status: 200, json: { deviceId: id, deviceKey: `alzy_${id}_${secret}` } }
    expect(answers).toEqual(Array(50).fill(key))
    expect(await closeOf(`alzy_${id}_${secretOf()}`)).toBe(4503)
  })

  test('again replaces the key: the old socket is closed, the old key refused, and viewers see the device', async () => {
    const { owner, id, pairingToken } = await waiting()
    const old = (await pair({ pairingToken })).json
    const socket = await welcomedDevice(on.hub.ws, old)
    const viewer = await welcomedViewer(on.hub.ws, { token: owner.token })
    viewer.send([SUB])
    await viewer.snapshot()
    const again = await pairAgain({ id, owner })
    expect(socket.isOpen()).toBe(true)
    const fresh = (await pair({ pairingToken: again })).json
    expect((await socket.closed).code).toBe(4503)
    expect((await viewer.next(DEVICE))[1]).toMatchObject({ 0: id })
    expect(await closeOf(old.deviceKey)).toBe(4503)
    const back = await welcomedDevice(on.hub.ws, fresh)
    expect((await back.welcome).deviceId).toBe(id)
    for (const one of [back, viewer]) await one.close()
  })

  test('that cannot be is refused, in the same words and for the same work, whatever the reason', async () => {
    const { owner, id, pairingToken } = await waiting()
    const used = { pairingToken, secret: secretOf() }
    await pair(used)
    const hubMade = await waiting()
    await pair({ pairingToken: hubMade.pairingToken })
    const superseded = await waiting()
    await pairAgain(superseded)
    const keyed = await waiting()
    await on.hub.request('POST', `/v1/devices/${keyed.id}/key`, undefined, keyed.owner.token)
    const rekeyed = await waiting()
    const repeated = { pairingToken: rekeyed.pairingToken, secret: secretOf() }
    await pair(repeated)
    await on.hub.request('POST', `/v1/devices/${rekeyed.id}/key`, undefined, rekeyed.owner.token)
    const deleted = await waiting()
    await on.hub.request('DELETE', `/v1/devices/${deleted.id}`, undefined, deleted.owner.token)
    const deactivated = await waiting()
    const asleep = { isActive: false }
    await on.hub.request('PATCH', `/v1/devices/${deactivated.id}`, asleep, deactivated.owner.token)

    const attempts: Record<string, object> = {
      'unknown, of the right shape': { pairingToken: randomBytes(16).toString('base64url') },
      'unknown, of another shape': { pairingToken: 'Ünknown' },
      'one character longer': { pairingToken: `${hubMade.pairingToken}A` },
      'the id of the device': { pairingToken: String(id) },
      'used, with another secret': { ...used, secret: secretOf() },
      'used, without its secret': { pairingToken },
      'used, by whoever sent none': { pairingToken: hubMade.pairingToken },
      'what is kept of it': { pairingToken: sha256(pairingToken) },
      'superseded by a newer one': { pairingToken: superseded.pairingToken },
      'of a device that got a key since': { pairingToken: keyed.pairingToken },
      'used, by a device that got another key since': repeated,
      'of a deleted device': { pairingToken: deleted.pairingToken, secret: secretOf() },
      'of a deactivated device': { pairingToken: deactivated.pairingToken, platform: 'web', name: 'x' },
    }
    for (const [what, attempt] of Object.entries(attempts)) {
      const answer = await pair(attempt)
      expect([what, await readsOf(on.hub, () => pair(attempt))]).toEqual([what, 2])
      expect([what, answer]).toEqual([
        what,
        {
          status: 403,
          json: {
            type: 'about:blank',
            title: 'Forbidden',
            status: 403,
            detail: 'the pairing token is unknown, used or expired; ask for a new one',
          },
        },
      ])
    }
    // Whoever was the first is told the same as ever.
    expect((await pair(used)).status).toBe(200)
    await on.hub.request(
      'PATCH',
      `/v1/devices/${deactivated.id}`,
      { isActive: true },
      deactivated.owner.token,
    )
    expect((await pair({ pairingToken: deactivated.pairingToken })).status).toBe(200)
    expect(await on.hub.request('GET', `/v1/devices/${id}`, undefined, owner.token)).toMatchObject({
      json: { name: 'Phone', platform: 'android' },
    })
  })

  test('is begun by the owner or an admin, for a device that is active', async () => {
    const { owner, id } = await waiting()
    const [stranger, admin] = [await on.hub.addUser(), await on.hub.addUser({ role: 'admin' })]
    const begin = async (token: string | null) =>
      (await on.hub.request('POST', `/v1/devices/${id}/pairing`, undefined, token)).status
    expect(await Promise.all([stranger.token, null, 'x'].map(begin))).toEqual([404, 401, 401])
    expect(await begin(admin.token)).toBe(201)
    await on.hub.request('PATCH', `/v1/devices/${id}`, { isActive: false }, owner.token)
    expect(await begin(owner.token)).toBe(409)
    await on.hub.request('DELETE', `/v1/devices/${id}`, undefined, owner.token)
    expect(await begin(owner.token)).toBe(404)
  })

  test.each<[string, string, unknown]>([
    ['no body', '', undefined],
    ['a list', '', []],
    ['a text', '', 'token'],
    ['null', '', null],
    ['no token', 'pairingToken', {}],
    ['a token that is a number', 'pairingToken', { pairingToken: 7 }],
    ['a token that is null', 'pairingToken', { pairingToken: null }],
    ['a token that is empty', 'pairingToken', { pairingToken: '' }],
    ['a token that has no end', 'pairingToken', { pairingToken: 'x'.repeat(129) }],
    ['a secret that is a number', 'secret', { pairingToken: 'x', secret: 7 }],
    ['a secret that is null', 'secret', { pairingToken: 'x', secret: null }],
    ['a secret that is too short', 'secret', { pairingToken: 'x', secret: 'A'.repeat(42) }],
    ['a secret that is too long', 'secret', { pairingToken: 'x', secret: 'A'.repeat(44) }],
    ['a secret of other characters', 'secret', { pairingToken: 'x', secret: `${'A'.repeat(42)}+` }],
    ['a secret with a line end', 'secret', { pairingToken: 'x', secret: `${'A'.repeat(43)}\n` }],
    ['a platform that is none', 'platform', { pairingToken: 'x', platform: 'symbian' }],
    ['a platform that is a number', 'platform', { pairingToken: 'x', platform: 1 }],
    ['a name that is empty', 'name', { pairingToken: 'x', name: ' ' }],
    ['a name that has no end', 'name', { pairingToken: 'x', name: 'x'.repeat(201) }],
    ['a name that no database takes', 'name', { pairingToken: 'x', name: 'a\0b' }],
    ['a name that is a list', 'name', { pairingToken: 'x', name: ['x'] }],
    ['a field too many', 'deviceId', { pairingToken: 'x', deviceId: 1 }],
    ['a field that every object has', '__proto__', JSON.parse('{"pairingToken":"x","__proto__":{}}')],
  ])('with %s is answered with a problem that names the field', async (_, field, body) => {
    const ask = () => on.hub.request('POST', '/v1/pair', body, null)
    const answer = await ask()
    expect(answer.status).toBe(400)
    expect(answer.json).toMatchObject({ type: 'about:blank', status: 400, title: 'Bad Request' })
    expect(answer.json.errors.map((error: { field: string }) => error.field)).toEqual([field])
    expect(await readsOf(on.hub, ask)).toBe(0)
  })

  test.each<[string, string, string, unknown, number]>([
    ['a body', '/v1/devices/{id}/pairing', 'ttlMs', { ttlMs: 1 }, 400],
    ['a query', '/v1/devices/{id}/pairing?ttlMs=1', 'ttlMs', undefined, 400],
    ['an id that is none', '/v1/devices/me/pairing', 'id', undefined, 400],
    ['a key that is half wanted', '/v1/devices', 'withKey', { name: 'x', withKey: 'no' }, 400],
  ])(
    'that is begun with %s is answered with a problem that names the field',
    async (_, path, field, body) => {
      const { id, owner } = await waiting()
      const answer = await on.hub.request('POST', path.replace('{id}', String(id)), body, owner.token)
      expect([answer.status, answer.json.errors?.[0]?.field]).toEqual([400, field])
    },
  )

  test('leaves no token, secret or key in the database or in the log', { timeout: GIVE_UP_MS }, async () => {
    const [open, used, secret] = [await waiting(), await waiting(), secretOf()]
    await pair({ pairingToken: used.pairingToken, secret })
    const rows = await on.rows('select id, to_jsonb(d)::text as text from devices d')
    await on.hub.end()
    const rowOf = (id: number) => JSON.parse(rows.find((row) => row.id === id)!.text as string)
    expect(rowOf(open.id).pairing_token_hash).toBe(sha256(open.pairingToken))
    expect(rowOf(used.id).device_key_hash).toBe(sha256(`alzy_${used.id}_${secret}`))
    const kept = JSON.stringify([rows, on.hub.log])
    expect(kept).toContain('"ready"')
    expect(canaries.length).toBeGreaterThan(50)
    for (const canary of canaries) expect(kept.includes(canary), 'a secret was kept').toBe(false)
  })

  test('is over when the token expires, also for whoever redeemed it, and when the user is deactivated', {
    timeout: GIVE_UP_MS,
  }, async () => {
    await on.restart()
    const [open, redeemed, asleep] = [await waiting(), await waiting(), await waiting()]
    const shown = { pairingToken: redeemed.pairingToken, secret: secretOf() }
    expect((await pair(shown)).status).toBe(200)
    expect((await pair(shown)).status).toBe(200)
    await on.rows(
      `with slept as (update users set is_active = false where id = $1)
       update devices set pairing_expires_at = now() where id in ($2, $3)`,
      [asleep.owner.id, open.id, redeemed.id],
    )
    await on.restart()
    const unknown = await pair({ pairingToken: 'x' })
    expect(unknown.status).toBe(403)
    expect(await pair(shown)).toEqual(unknown)
    expect(await pair({ pairingToken: open.pairingToken })).toEqual(unknown)
    expect(await pair({ pairingToken: asleep.pairingToken })).toEqual(unknown)
    // As the operator, who may ask for any device.
    expect((await on.hub.request('POST', `/v1/devices/${asleep.id}/pairing`)).status).toBe(409)
    const more = { name: 'x', userId: asleep.owner.id }
    expect((await on.hub.request('POST', '/v1/devices', more)).status).toBe(404)
    const socket = await welcomedDevice(on.hub.ws, { deviceKey: `alzy_${redeemed.id}_${shown.secret}` })
    await socket.close()
  })
})

/** Few tries, and new ones soon enough for a test to see them come. */
const LIMITED = {
  ALZY_PAIRING_TRIES_BURST: '5',
  ALZY_PAIRING_TRIES_PER_MIN: '60',
  ALZY_PAIRING_TRIES_BURST_IN_ALL: '40',
  ALZY_PAIRING_TRIES_PER_MIN_IN_ALL: '120',
}

describeOnEachDatabase('guessing pairing tokens', LIMITED, (on) => {
  const guess = (address: string) =>
    post(`${on.hub.http}/v1/pair`, { pairingToken: randomBytes(16).toString('base64url') }, address)
  const honest = async () => {
    const { json } = await on.hub.request('POST', '/v1/devices', { name: 'x', userId: owner.id })
    return json.pairingToken as string
  }
  let owner: TestUser

  /** Guesses more often than is allowed, and all at once: one by one a slow machine would be within the rate. */
  async function guessBeyondLimit(address: string): Promise<{ heard: number; limited: number }> {
    const answers = await Promise.all(Array.from({ length: 20 }, () => guess(address)))
    const limited = answers.filter(({ status }) => status === 429)
    for (const { headers, text } of limited) {
      expect(Number(headers['retry-after'])).toBe(1)
      expect(headers['content-type']).toBe('application/problem+json')
      expect(JSON.parse(text)).toMatchObject({ status: 429, title: 'Too Many Requests' })
    }
    expect(answers.filter(({ status }) => status === 403).length).toBe(answers.length - limited.length)
    return { heard: answers.length - limited.length, limited: limited.length }
  }

  /** As a client that honours Retry-After does. */
  async function pairPatiently(pairingToken: string, address: string) {
    for (;;) {
      const answer = await post(`${on.hub.http}/v1/pair`, { pairingToken }, address)
      if (answer.status !== 429) return answer
      const waitS = Number(answer.headers['retry-after'])
      await new Promise((resolve) => setTimeout(resolve, waitS * 1_000))
    }
  }

  test('is limited per address; others do not notice, and whoever is honest gets in afterwards', async () => {
    owner = await on.hub.addUser()
    const token = await honest()
    const { heard, limited } = await guessBeyondLimit('127.0.0.2')
    expect(heard).toBeGreaterThanOrEqual(5)
    expect(limited).toBeGreaterThan(0)
    expect(await on.hub.metric('alzy_pairing_tries_limited_total')).toBe(limited)
    expect(await on.hub.metric('alzy_pairing_tries_limited_in_all_total')).toBe(0)
    expect((await post(`${on.hub.http}/v1/pair`, { pairingToken: token }, '127.0.0.3')).status).toBe(200)
    expect((await pairPatiently(await honest(), '127.0.0.2')).status).toBe(200)
  })

  test('from many addresses is limited in all, and whoever is honest gets in afterwards', async () => {
    const token = await honest()
    const refused = async () => on.hub.metric('alzy_pairing_tries_limited_in_all_total')
    // From each no more than it alone may, and from many at once.
    let host = 10
    while ((await refused()) === 0) {
      const hosts = Array.from({ length: 40 }, (_, i) => `127.0.0.${host + (i >> 2)}`)
      host += 10
      expect(host).toBeLessThan(250)
      await Promise.all(hosts.map(guess))
    }
    expect(await on.hub.metric('alzy_pairings_refused_total')).toBeGreaterThanOrEqual(40)
    expect((await pairPatiently(token, '127.0.0.9')).status).toBe(200)
  })
})
