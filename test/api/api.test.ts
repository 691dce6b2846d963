/** The HTTP API and the commands that use it: who may do what, and what a wrong request is told. */
import { expect, test } from 'vitest'
import { describeOnEachDatabase } from '../rig/eachDatabase.ts'
import { runAlzy } from '../rig/hub.ts'

describeOnEachDatabase('the API', {}, (on) => {
  test('tells that the hub lives, is ready, and what it counted', async () => {
    expect(await on.hub.request('GET', '/healthz', undefined, null)).toEqual({
      status: 200,
      json: { status: 'ok' },
    })
    expect((await on.hub.request('GET', '/readyz', undefined, null)).status).toBe(200)
    expect(await on.hub.metric('alzy_devices')).toBe(0)
    expect(await on.hub.metric('process_resident_memory_bytes')).toBeGreaterThan(0)
  })

  test('knows a user by the token', async () => {
    const user = await on.hub.addUser()
    const { json } = await on.hub.request('GET', '/v1/me', undefined, user.token)
    expect(json).toMatchObject({ id: user.id, email: user.email, role: 'user', isActive: true })
  })

  test('shows and changes a user’s own devices, and nobody else’s', async () => {
    const [alice, bob] = [await on.hub.addUser(), await on.hub.addUser()]
    const hers = await on.hub.addDevice(alice, 'Bike')
    const as = (token: string) => (method: string, path: string, body?: unknown) =>
      on.hub.request(method, path, body, token)
    const [asAlice, asBob] = [as(alice.token), as(bob.token)]
    expect((await asAlice('GET', `/v1/devices/${hers.id}`)).json).toMatchObject({ id: hers.id, name: 'Bike' })
    expect((await asBob('GET', '/v1/devices')).json).toEqual({ devices: [], next: null })
    const strangers = [
      await asBob('GET', `/v1/devices/${hers.id}`),
      await asBob('PATCH', `/v1/devices/${hers.id}`, { name: 'mine' }),
      await asBob('DELETE', `/v1/devices/${hers.id}`),
      await asBob('POST', `/v1/devices/${hers.id}/key`, {}),
    ]
    expect(strangers.map(({ status }) => status)).toEqual([404, 404, 404, 404])
    const forbidden = [
      await asBob('GET', `/v1/devices?userId=${alice.id}`),
      await asBob('POST', '/v1/devices', { name: 'x', userId: alice.id, withKey: true }),
      await asBob('GET', '/v1/users'),
      await asBob('POST', '/v1/users', { email: 'x@example.org' }),
      await asBob('POST', `/v1/users/${alice.id}/tokens`, {}),
    ]
    expect(forbidden.map(({ status }) => status)).toEqual([403, 403, 403, 403, 403])
    const mine = await asBob('POST', '/v1/devices', {
      name: 'Mine',
      color: 'pink',
      platform: 'web',
      withKey: true,
    })
    expect(mine.json.device).toMatchObject({ userId: bob.id, name: 'Mine', color: 'pink', platform: 'web' })
    expect(mine.json.deviceKey).toMatch(new RegExp(`^alzy_${mine.json.device.id}_[A-Za-z0-9_-]{43}$`))
  })

  test('pages lists by what `next` says', async () => {
    const user = await on.hub.addUser()
    const ids = []
    for (let i = 0; i < 5; i++) ids.push((await on.hub.addDevice(user)).id)
    const found: number[] = []
    for (let after: string | null = '0'; after !== null; ) {
      const { json } = await on.hub.request(
        'GET',
        `/v1/devices?limit=2&after=${after}`,
        undefined,
        user.token,
      )
      found.push(...json.devices.map(({ id }: { id: number }) => id))
      after = json.next
    }
    expect(found).toEqual(ids)
  })

  test.each<[string, string, string, unknown, number, string | null]>([
    ['an address that is none', 'POST', '/v1/users', { email: 'nobody' }, 400, 'email'],
    ['a role that is none', 'POST', '/v1/users', { email: 'a@example.org', role: 'king' }, 400, 'role'],
    ['a field too many', 'POST', '/v1/users', { email: 'a@example.org', admin: true }, 400, 'admin'],
    ['no body', 'POST', '/v1/users', undefined, 400, ''],
    ['a list for a body', 'POST', '/v1/users', [], 400, ''],
    ['an id that is none', 'POST', '/v1/users/me/tokens', {}, 400, 'id'],
    ['a user who is not there', 'POST', '/v1/users/999999/tokens', {}, 404, null],
    ['a lifetime without end', 'POST', '/v1/users/1/tokens', { ttlS: 1e12 }, 400, 'ttlS'],
    [
      'a color that is none',
      'POST',
      '/v1/devices',
      { name: 'x', userId: 1, color: 'mauve', withKey: true },
      400,
      'color',
    ],
    ['an empty name', 'POST', '/v1/devices', { name: ' ', userId: 1, withKey: true }, 400, 'name'],
    ['a limit that is none', 'GET', '/v1/devices?limit=0', undefined, 400, 'limit'],
    ['an unknown query', 'GET', '/v1/devices?colour=red', undefined, 400, 'colour'],
    ['an id beyond all ids', 'GET', '/v1/devices/99999999999', undefined, 400, 'id'],
    ['a place that is none', 'GET', '/v1/nothing', undefined, 404, null],
    ['a method that is none', 'DELETE', '/v1/users', undefined, 405, null],
  ])('answers %s with a problem that names the field', async (_, method, path, body, status, field) => {
    const answer = await on.hub.request(method, path, body)
    expect(answer.json).toMatchObject({
      type: 'about:blank',
      status,
      title: expect.any(String),
      detail: expect.any(String),
    })
    expect(answer.status).toBe(status)
    if (field !== null)
      expect(answer.json.errors.map((error: { field: string }) => error.field)).toEqual([field])
  })

  test.each([
    ['PUT', '/v1/me', 'GET, HEAD'],
    ['DELETE', '/v1/devices', 'GET, HEAD, POST'],
    ['POST', '/v1/devices/1', 'GET, HEAD, PATCH, DELETE'],
    ['GET', '/v1/pair', 'POST'],
  ])('answers %s %s with what is allowed there', async (method, path, allowed) => {
    const answer = await fetch(on.hub.http + path, { method })
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, allowed])
  })

  test.each([
    ['unknown fields', 5_000, (i: number) => [`f${i}`, 0]],
    ['unknown fields with long names', 60, (i: number) => [`f${i}${'x'.repeat(1_000)}`, 0]],
  ] as const)('names some of many %s, and says how many more there are', async (_, count, field) => {
    const body = Object.fromEntries(Array.from({ length: count }, (_, i) => field(i)))
    const answer = await on.hub.request('POST', '/v1/users', { email: 'a@example.org', ...body })
    expect([answer.status, answer.json.errors.length]).toEqual([400, 20])
    expect(answer.json.errors[0]).toEqual({
      field: expect.stringMatching(/^f0/),
      message: 'there is no such field',
    })
    expect(answer.json.detail).toMatch(new RegExp(`; and ${count - 20} more$`))
    expect(JSON.stringify(answer.json).length).toBeLessThan(16_384)
    const users = 'abcdefghij'
      .split('')
      .flatMap((one) => Array.from({ length: 30 }, (_, i) => `${one}${i}=1`))
    const query = await on.hub.request('GET', `/v1/users?${users.join('&')}`)
    expect([query.status, query.json.errors.length]).toEqual([400, 20])
    expect(query.json.detail).toMatch(/; and 280 more$/)
  })

  test('names some of many items that are wrong', async () => {
    const body = { deviceIds: Array(100).fill('x'), expiresAt: '2100-01-01T00:00:00Z' }
    const answer = await on.hub.request('POST', '/v1/shares', body)
    expect([answer.status, answer.json.errors.length]).toEqual([400, 20])
    expect(answer.json.detail).toMatch(/; and 80 more$/)
  })

  test('answers a body that is too large, no JSON or of another type', async () => {
    const send = async (body: string, type: string) => {
      const headers = { 'content-type': type, authorization: 'Bearer x' }
      return (await fetch(`${on.hub.http}/v1/users`, { method: 'POST', headers, body })).status
    }
    expect(await send('x'.repeat(65_537), 'application/json')).toBe(413)
    expect(await send('{', 'application/json')).toBe(400)
    expect(await send('{}', 'text/plain')).toBe(415)
  })

  test.each([
    ['no token', null],
    ['nonsense', 'nonsense'],
    ['an unsigned token', `${btoa('{"alg":"none"}')}.${btoa('{"sub":"1"}')}.`],
  ])('refuses %s with 401', async (_, token) => {
    const answer = await on.hub.request('GET', '/v1/devices', undefined, token)
    expect([answer.status, answer.json.title]).toEqual([401, 'Unauthorized'])
  })

  test.each([
    ['GET', '/healthz', 200],
    ['GET', '/metrics', 200],
    ['GET', '/openapi.json', 200],
    ['GET', '/v1/me', 401],
    ['GET', '/v1/nothing', 404],
    ['HEAD', '/v1/me', 401],
    ['PUT', '/v1/me', 405],
  ])('%s %s says that its type is what it says', async (method, path, status) => {
    const answer = await fetch(on.hub.http + path, { method })
    expect([answer.status, answer.headers.get('x-content-type-options')]).toEqual([status, 'nosniff'])
    // That is for whoever speaks TLS to say.
    expect(answer.headers.get('strict-transport-security')).toBeNull()
  })

  test('lets browsers of its own origin in, and no others', async () => {
    const status = async (origin: string) =>
      (await fetch(`${on.hub.http}/healthz`, { headers: { origin } })).status
    expect(await status(on.hub.http)).toBe(200)
    expect(await status('https://elsewhere.example')).toBe(403)
  })
})

// Many statements at a time, so that they meet.
describeOnEachDatabase(
  'devices of a user',
  { ALZY_DEVICES_PER_USER_MAX: '5', ALZY_READ_CONNECTIONS: '16' },
  (on) => {
    test('are so many and no more, however many are asked for at once; one that is deleted makes room', async () => {
      const [user, other] = [await on.hub.addUser(), await on.hub.addUser()]
      const refusals = () => on.hub.metric('alzy_user_devices_refused_total')
      const add = () => on.hub.request('POST', '/v1/devices', { name: 'x' }, user.token)
      const answers = await Promise.all(Array.from({ length: 60 }, add))
      const statuses = answers.map(({ status }) => status)
      expect([201, 409].map((status) => statuses.filter((one) => one === status).length)).toEqual([5, 55])
      expect(answers.find(({ status }) => status === 409)!.json).toEqual({
        type: 'about:blank',
        title: 'Conflict',
        status: 409,
        detail:
          'the user has 5 devices, and no more are possible: delete some, or have ALZY_DEVICES_PER_USER_MAX raised',
      })
      expect(await refusals()).toBe(55)
      const { devices } = (await on.hub.request('GET', '/v1/devices', undefined, user.token)).json
      expect(devices.length).toBe(5)
      // One that sleeps is one all the same, and whoever adds it, it is its owner's.
      const place = `/v1/devices/${devices[0].id}`
      await on.hub.request('PATCH', place, { isActive: false }, user.token)
      expect((await on.hub.request('POST', '/v1/devices', { name: 'x', userId: user.id })).status).toBe(409)
      expect((await on.hub.addDevice(other)).id).toBeGreaterThan(0)
      await on.hub.request('DELETE', place, undefined, user.token)
      expect([(await add()).status, (await add()).status]).toEqual([201, 409])
      expect(await refusals()).toBe(57)
    })

    test('that sleep get no key and no pairing token until they are activated', async () => {
      const user = await on.hub.addUser()
      const { id } = await on.hub.addDevice(user)
      const ask = async (what: string) =>
        (await on.hub.request('POST', `/v1/devices/${id}/${what}`, undefined, user.token)).status
      const set = (isActive: boolean) =>
        on.hub.request('PATCH', `/v1/devices/${id}`, { isActive }, user.token)
      await set(false)
      expect([await ask('key'), await ask('pairing')]).toEqual([409, 409])
      await set(true)
      expect([await ask('key'), await ask('pairing')]).toEqual([201, 201])
    })
  },
)

describeOnEachDatabase('the command line', {}, (on) => {
  /** On the hub's own machine: with its secret, and without any token. */
  const local = () => {
    const { ALZY_SECRET, ALZY_DATA_DIR } = on.database.env
    return { ALZY_URL: on.hub.http, ...(ALZY_SECRET ? { ALZY_SECRET } : { ALZY_DATA_DIR: ALZY_DATA_DIR! }) }
  }

  test('adds a user and a device, prints a token, lists and revokes', async () => {
    const added = await runAlzy(
      ['user', 'add', 'ann@example.org', '--name', 'Ann', '--role', 'admin', '--json'],
      local(),
    )
    const user = JSON.parse(added.stdout)
    expect(user).toEqual({ id: expect.any(Number), email: 'ann@example.org', role: 'admin' })
    const token = JSON.parse(
      (await runAlzy(['token', 'ANN@example.org', '--ttl', '2h', '--json'], local())).stdout,
    )
    expect(Object.keys(token)).toEqual(['token', 'expiresAt'])
    const ttlMs = Date.parse(token.expiresAt) - Date.now()
    expect(Math.round(ttlMs / 3_600_000)).toBe(2)

    const remote = { ALZY_URL: on.hub.http, ALZY_TOKEN: token.token }
    const device = JSON.parse(
      (await runAlzy(['device', 'add', 'ann@example.org', 'Bike', '--key', '--json'], remote)).stdout,
    )
    expect(device).toEqual({ deviceId: expect.any(Number), deviceKey: expect.stringMatching(/^alzy_\d+_/) })
    const listed = JSON.parse((await runAlzy(['device', 'list', 'ann@example.org', '--json'], remote)).stdout)
    expect(listed).toMatchObject([{ id: device.deviceId, userId: user.id, name: 'Bike' }])
    expect((await runAlzy(['user', 'list'], remote)).stdout).toMatch(/ann@example\.org +Ann +admin +yes/)
    expect((await runAlzy(['device', 'revoke', String(device.deviceId)], remote)).code).toBe(0)
    expect(
      JSON.parse((await runAlzy(['device', 'list', 'ann@example.org', '--json'], remote)).stdout),
    ).toEqual([])
  })

  test.each<[string, string[], RegExp]>([
    [
      'a user twice',
      ['user', 'add', 'twice@example.org'],
      /^alzy: there is a user with the address twice@example\.org/,
    ],
    [
      'a token of nobody',
      ['token', 'nobody@example.org'],
      /^alzy: there is no user nobody@example\.org; add one with: alzy user add/,
    ],
    ['a device of nobody', ['device', 'add', 'nobody@example.org', 'x', '--key'], /^alzy: there is no user/],
    ['a track that is none', ['replay', process.execPath, '--key', 'k'], /^alzy: .*node.*: /],
    ['a command that is none', ['fly'], /unknown command 'fly'/],
    [
      'a time that is none',
      ['token', 'x@example.org', '--ttl', 'soon'],
      /must be a time such as 30m, 1h or 7d/,
    ],
  ])('says in one line what is wrong with %s', async (what, args, expected) => {
    if (what === 'a user twice') await runAlzy(args, local())
    const { code, stderr, stdout } = await runAlzy(args, local())
    expect(code).not.toBe(0)
    expect(stdout).toBe('')
    expect(stderr).toMatch(expected)
  })

  test('says so when no hub is there', async () => {
    const { code, stderr } = await runAlzy(['user', 'list'], { ...local(), ALZY_URL: 'http://127.0.0.1:9' })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^alzy: hub not reachable at http:\/\/127\.0\.0\.1:9 .*is it running\?\n$/)
  })

  test('says so when it has no credential', async () => {
    const { code, stderr } = await runAlzy(['user', 'list'], { ALZY_URL: on.hub.http })
    expect([code, stderr.split(':')[1]]).toEqual([1, ' no credential'])
  })

  test('knows help for every command', async () => {
    for (const args of [
      [],
      ['serve'],
      ['demo'],
      ['migrate'],
      ['user', 'add'],
      ['token'],
      ['device', 'add'],
      ['replay'],
      ['watch'],
    ]) {
      const { code, stdout } = await runAlzy([...args, '--help'], {})
      expect([code, stdout.startsWith('Usage: alzy')]).toEqual([0, true])
    }
  })

  test('tells how far the database is', async () => {
    await on.hub.end()
    const { code, stdout } = await runAlzy(['migrate', '--status', '--json'], on.database.env)
    expect(code).toBe(0)
    const migrations = JSON.parse(stdout)
    expect(migrations.length).toBeGreaterThan(1)
    for (const { appliedAt } of migrations) expect(Date.parse(appliedAt)).toBeLessThanOrEqual(Date.now())
  })
})
