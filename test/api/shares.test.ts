/** Shares: what a link shows, to whom, and how it ends. */
import { beforeAll, expect, test } from 'vitest'
import { describeOnEachDatabase, type HubUnderTest } from '../rig/eachDatabase.ts'
import { hubToken, secretOf } from '../rig/forgery.ts'
import type { TestDevice, TestUser } from '../rig/hub.ts'
import { BACKFILLED, DEVICE, ERROR, GONE, LIVE, PRESENCE, pointsFrame, SUB } from '../rig/points.ts'
import { until } from '../rig/until.ts'
import { welcomedDevice, welcomedViewer } from '../rig/welcomed.ts'
import { openStats, openViewer } from '../rig/wire.ts'

const [HELLO, AUTH, AUTH_OK] = [1, 5, 70]
const HOUR_MS = 3_600_000
type Device = readonly unknown[]

const inMs = (ms: number) => new Date(Date.now() + ms).toISOString()
const shownIn = (devices: readonly Device[]) => devices.map(([id]) => id)

// Many statements at a time, so that they meet.
const LIMITS = { ALZY_SHARES_PER_USER_MAX: '5', ALZY_READ_CONNECTIONS: '16' }

describeOnEachDatabase('a share', LIMITS, (on: HubUnderTest) => {
  let owner: TestUser
  let stranger: TestUser
  let [car, bike, hidden, theirs] = [] as TestDevice[] as [TestDevice, TestDevice, TestDevice, TestDevice]

  beforeAll(async () => {
    stranger = await on.hub.addUser()
    theirs = await on.hub.addDevice(stranger, 'Theirs')
  })

  /** A new owner each time, so that no test meets the bound of another. */
  async function newOwner() {
    owner = await on.hub.addUser()
    car = await on.hub.addDevice(owner, 'Car')
    bike = await on.hub.addDevice(owner, 'Bike')
    hidden = await on.hub.addDevice(owner, 'Hidden')
  }

  const make = (body: unknown, token = owner.token) => on.hub.request('POST', '/v1/shares', body, token)
  const makeOf = async (devices: TestDevice[], ms = HOUR_MS) =>
    (await make({ deviceIds: devices.map(({ id }) => id), expiresAt: inMs(ms) })).json
  const end = (id: number, token = owner.token) =>
    on.hub.request('DELETE', `/v1/shares/${id}`, undefined, token)

  async function closeCodeOf(token: string): Promise<number> {
    const socket = await openViewer(on.hub.ws, { hello: false })
    socket.send([HELLO, token])
    return (await socket.closed).code
  }

  test('is made with a link, listed without it, and ended for good', async () => {
    await newOwner()
    const expiresAt = inMs(HOUR_MS)
    const made = await make({ deviceIds: [bike.id, car.id, bike.id], expiresAt })
    expect(made.status).toBe(201)
    const share = { id: expect.any(Number), deviceIds: [car.id, bike.id].sort((a, b) => a - b), expiresAt }
    expect(made.json).toEqual({
      share: { ...share, createdAt: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/), endedAt: null },
      token: expect.any(String),
      url: `${on.hub.http}/#token=${made.json.token}`,
    })
    const listed = await on.hub.request('GET', '/v1/shares', undefined, owner.token)
    expect(listed.json).toEqual({ shares: [made.json.share], next: null })
    expect((await end(made.json.share.id)).status).toBe(204)
    const [ended] = (await on.hub.request('GET', '/v1/shares', undefined, owner.token)).json.shares
    expect(ended).toMatchObject({ id: made.json.share.id, endedAt: expect.any(String) })
    // Ending it again changes nothing.
    expect((await end(made.json.share.id)).status).toBe(204)
    expect((await on.hub.request('GET', '/v1/shares', undefined, owner.token)).json.shares).toEqual([ended])
    expect(await closeCodeOf(made.json.token)).toBe(4503)
  })

  test('is paged by id', async () => {
    await newOwner()
    for (let i = 0; i < 3; i++) await makeOf([car])
    const first = await on.hub.request('GET', '/v1/shares?limit=2', undefined, owner.token)
    const rest = await on.hub.request(
      'GET',
      `/v1/shares?limit=2&after=${first.json.next}`,
      undefined,
      owner.token,
    )
    expect([first.json.shares.length, rest.json.shares.length, rest.json.next]).toEqual([2, 1, null])
  })

  test('is of one’s own devices; an admin shares those of one user, who then owns the share', async () => {
    await newOwner()
    const admin = await on.hub.addUser({ role: 'admin' })
    const body = (...devices: TestDevice[]) => ({
      deviceIds: devices.map(({ id }) => id),
      expiresAt: inMs(HOUR_MS),
    })
    expect((await make(body(car, theirs))).status).toBe(404)
    expect((await make(body({ id: 2_000_000_000, deviceKey: '' }))).status).toBe(404)
    expect((await make(body(car, theirs), admin.token)).json.errors[0].field).toBe('deviceIds')
    const made = await make(body(car), admin.token)
    const viewer = await welcomedViewer(on.hub.ws, { token: made.json.token })
    expect(await viewer.welcome).toMatchObject({ role: 'share', userId: owner.id })
    await viewer.close()
    expect((await end(made.json.share.id, stranger.token)).status).toBe(404)
    expect((await end(made.json.share.id)).status).toBe(204)
    const deleted = await on.hub.addDevice(owner)
    await on.hub.request('DELETE', `/v1/devices/${deleted.id}`)
    expect((await make(body(deleted))).status).toBe(404)
  })

  test.each<[string, () => unknown, string]>([
    ['no devices', () => ({ deviceIds: [], expiresAt: inMs(HOUR_MS) }), 'deviceIds'],
    ['devices that are no list', () => ({ deviceIds: 1, expiresAt: inMs(HOUR_MS) }), 'deviceIds'],
    ['a device that is no id', () => ({ deviceIds: [1.5], expiresAt: inMs(HOUR_MS) }), 'deviceIds.0'],
    [
      'too many devices',
      () => ({ deviceIds: Array.from({ length: 101 }, (_, i) => i + 1), expiresAt: inMs(HOUR_MS) }),
      'deviceIds',
    ],
    ['no end', () => ({ deviceIds: [car.id] }), 'expiresAt'],
    ['an end that is none', () => ({ deviceIds: [car.id], expiresAt: 'tomorrow' }), 'expiresAt'],
    ['an end in the past', () => ({ deviceIds: [car.id], expiresAt: inMs(-1) }), 'expiresAt'],
    ['an end in a year', () => ({ deviceIds: [car.id], expiresAt: inMs(365 * 24 * HOUR_MS) }), 'expiresAt'],
    ['a field too many', () => ({ deviceIds: [car.id], expiresAt: inMs(HOUR_MS), userId: 1 }), 'userId'],
  ])('is not made with %s', async (_, body, field) => {
    const { status, json } = await make(body())
    expect([status, json.errors.map((error: { field: string }) => error.field)]).toEqual([400, [field]])
  })

  test('is one of a bounded number; one that ended or expired makes room', async () => {
    await newOwner()
    const made = []
    for (let i = 0; i < 4; i++) made.push(await makeOf([car]))
    const short = await makeOf([car], 3_000)
    const full = await make({ deviceIds: [car.id], expiresAt: inMs(HOUR_MS) })
    // Unless the short one was over before anybody could ask.
    if (Date.now() < Date.parse(short.share.expiresAt)) expect(full.status).toBe(409)
    await until(
      async () => (await make({ deviceIds: [car.id], expiresAt: inMs(HOUR_MS) })).status === 409,
      'all to be in use',
    )
    await end(made[0].share.id)
    expect((await make({ deviceIds: [car.id], expiresAt: inMs(HOUR_MS) })).status).toBe(201)
  })

  test('is one of so many, however many are asked for at once', async () => {
    await newOwner()
    const refusals = () => on.hub.metric('alzy_user_shares_refused_total')
    const before = await refusals()
    const body = { deviceIds: [car.id], expiresAt: inMs(HOUR_MS) }
    const statuses = (await Promise.all(Array.from({ length: 60 }, () => make(body)))).map(
      ({ status }) => status,
    )
    expect([201, 409].map((status) => statuses.filter((one) => one === status).length)).toEqual([5, 55])
    expect((await refusals()) - before).toBe(55)
  })

  test('shows its devices live, with where they are, and nothing else', async () => {
    await newOwner()
    const { token, share } = await makeOf([car, bike])
    const viewer = await welcomedViewer(on.hub.ws, { token })
    const { userId, role, authExpiresMs } = await viewer.welcome
    expect({ userId, role, authExpiresMs }).toEqual({
      userId: owner.id,
      role: 'share',
      authExpiresMs: Date.parse(share.expiresAt),
    })
    viewer.send([SUB])
    expect(shownIn(await viewer.snapshot())).toEqual([car.id, bike.id])
    const sockets = []
    for (const device of [hidden, theirs, bike, car]) {
      const socket = await welcomedDevice(on.hub.ws, device)
      socket.send(pointsFrame(1, Date.now()))
      await socket.ack(1)
      sockets.push(socket)
    }
    // The car spoke last, so whatever was to come of the others is there.
    await until(() => viewer.frames.some(([type, id]) => type === LIVE && id === car.id), 'the car')
    const about = new Set(
      viewer.frames
        .filter(([type]) => [LIVE, PRESENCE, DEVICE].includes(type as number))
        .map(([, about]) => (Array.isArray(about) ? about[0] : about)),
    )
    expect(about).toEqual(new Set([car.id, bike.id]))
    for (const socket of [viewer, ...sockets]) await socket.close()
  })

  test('can be narrowed and never widened', async () => {
    await newOwner()
    const viewer = await welcomedViewer(on.hub.ws, { token: (await makeOf([car, bike])).token })
    viewer.send([SUB, null, [bike.id, hidden.id, theirs.id]])
    expect(shownIn(await viewer.snapshot())).toEqual([bike.id])
    for (const userIds of [[], [owner.id], [stranger.id], [owner.id, stranger.id]]) {
      viewer.send([SUB, userIds])
      expect((await viewer.next(ERROR)).slice(0, 2)).toEqual([ERROR, 4403])
    }
    viewer.send([SUB, null, []])
    expect(shownIn(await viewer.snapshot())).toEqual([])
    viewer.send([SUB, null, null])
    expect(shownIn(await viewer.snapshot())).toEqual([car.id, bike.id])
    await viewer.close()
  })

  test('shows where a device is and nothing of where it was; that something was stored it does say', async () => {
    await newOwner()
    const socket = await welcomedDevice(on.hub.ws, car)
    const oldMs = Date.now() - 24 * HOUR_MS
    socket.send(pointsFrame(1, oldMs, 50))
    await socket.ack(1)
    const viewer = await welcomedViewer(on.hub.ws, { token: (await makeOf([car])).token })
    viewer.send([SUB])
    const [record] = await viewer.snapshot()
    expect((record![9] as number[])[2]).toBe(oldMs + 49_000)
    // Older than what is shown: of twenty points not one goes live.
    socket.send(pointsFrame(2, oldMs - HOUR_MS, 20))
    await socket.ack(2)
    const told = await viewer.next(BACKFILLED)
    expect(told.slice(4)).toEqual([oldMs - HOUR_MS, oldMs - HOUR_MS + 19_000])
    expect(viewer.frames.filter(([type]) => type === LIVE)).toEqual([])
    for (const one of [socket, viewer]) await one.close()
  })

  test('is told of a device that is deleted, and of one that is renamed', async () => {
    await newOwner()
    const viewer = await welcomedViewer(on.hub.ws, { token: (await makeOf([car, bike])).token })
    viewer.send([SUB])
    await viewer.snapshot()
    await on.hub.request('PATCH', `/v1/devices/${hidden.id}`, { name: 'Still hidden' }, owner.token)
    await on.hub.request('PATCH', `/v1/devices/${car.id}`, { name: 'Van' }, owner.token)
    // The word that they are new may come late, and first.
    const told = () => viewer.frames.filter(([type]) => type === DEVICE).map(([, device]) => device as Device)
    await until(() => told().some(([, , name]) => name === 'Van'), 'it to be told')
    expect(told().at(-1)!.slice(0, 3)).toEqual([car.id, owner.id, 'Van'])
    expect(told().map(([id]) => id)).not.toContain(hidden.id)
    await on.hub.request('DELETE', `/v1/devices/${bike.id}`, undefined, owner.token)
    expect(await viewer.next(GONE)).toEqual([GONE, bike.id])
    viewer.send([SUB])
    expect(shownIn(await viewer.snapshot())).toEqual([car.id])
    await viewer.close()
  })

  test('shows a device that was inactive when it was asked for, once it is activated', async () => {
    await newOwner()
    const set = (device: TestDevice, isActive: boolean, token = owner.token) =>
      on.hub.request('PATCH', `/v1/devices/${device.id}`, { isActive }, token)
    for (const device of [car, hidden]) await set(device, false)
    await set(theirs, false, stranger.token)
    const share = await welcomedViewer(on.hub.ws, { token: (await makeOf([car, bike])).token })
    const narrowed = await welcomedViewer(on.hub.ws, { token: owner.token })
    share.send([SUB])
    narrowed.send([SUB, null, [car.id, bike.id, theirs.id]])
    for (const viewer of [share, narrowed]) expect(shownIn(await viewer.snapshot())).toEqual([bike.id])
    // What is not theirs comes first, so that they would have been told of it by the time they are told of the car.
    await set(theirs, true, stranger.token)
    for (const device of [hidden, car]) await set(device, true)
    const socket = await welcomedDevice(on.hub.ws, car)
    socket.send(pointsFrame(1, Date.now()))
    await socket.ack(1)
    for (const viewer of [share, narrowed]) {
      await until(() => viewer.frames.some(([type, id]) => type === LIVE && id === car.id), 'the car')
      const told = viewer.frames
        .filter(([type]) => type === DEVICE)
        .map(([, device]) => (device as Device)[0])
      expect(new Set(told)).toEqual(new Set([car.id]))
      await viewer.close()
    }
    await socket.close()
  })

  test('opens the live socket and nothing else', async () => {
    await newOwner()
    const { token } = await makeOf([car])
    const refused = await on.hub.request('GET', '/v1/me', undefined, token)
    expect([refused.status, refused.json.title]).toEqual([403, 'Forbidden'])
    const stats = await openStats(on.hub.ws, { hello: false })
    stats.send([HELLO, token])
    expect((await stats.closed).code).toBe(4503)
  })

  test('goes on with AUTH as itself, and not as another share or its owner', async () => {
    await newOwner()
    const [one, other] = [await makeOf([car]), await makeOf([car])]
    const viewer = await welcomedViewer(on.hub.ws, { token: one.token })
    viewer.send([AUTH, one.token])
    expect(await viewer.next(AUTH_OK)).toEqual([AUTH_OK, Date.parse(one.share.expiresAt)])
    viewer.send([AUTH, other.token])
    expect((await viewer.closed).code).toBe(4503)
    const again = await welcomedViewer(on.hub.ws, { token: one.token })
    again.send([AUTH, owner.token])
    expect((await again.closed).code).toBe(4503)
  })

  test('ends with 4503 when it expires, since there is no fresh token for it', async () => {
    await newOwner()
    const { token, share } = await makeOf([car], 8_000)
    const viewer = await welcomedViewer(on.hub.ws, { token })
    expect((await viewer.closed).code).toBe(4503)
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(share.expiresAt))
    expect(await closeCodeOf(token)).toBe(4503)
    const secret = await secretOf(on.database)
    const past = Math.floor(Date.now() / 1000) - 10
    const sub = `share:${share.id}`
    const expired = hubToken(secret, { claims: { sub, scope: 'share', iat: past - 10, exp: past } })
    expect(await closeCodeOf(expired)).toBe(4503)
    // The row has the last word, whatever a token says.
    const long = hubToken(secret, { claims: { sub, scope: 'share' } })
    expect(await closeCodeOf(long)).toBe(4503)
  })

  test.each([
    ['that never was', 'share:2000000000'],
    ['beyond all ids', 'share:4294967297'],
    ['without a number', 'share:'],
    ['with more than a number', 'share:1 or 1=1'],
    ['of a user', '1'],
    ['of the operator', 'operator'],
  ])('%s is refused, however well its token is signed', async (_, sub) => {
    const token = hubToken(await secretOf(on.database), { claims: { sub, scope: 'share' } })
    expect(await closeCodeOf(token)).toBe(4503)
    const over = await on.hub.request('GET', '/v1/me', undefined, token)
    expect([401, 403]).toContain(over.status)
  })
})
