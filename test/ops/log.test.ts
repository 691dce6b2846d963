/** What a hub never writes down: coordinates, keys, tokens. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeOnEachDatabase } from '../rig/eachDatabase.ts'
import { hubToken } from '../rig/forgery.ts'
import { type Issuer, startIssuer } from '../rig/issuer.ts'
import { ERROR, HELLO, POINTS, SUB } from '../rig/points.ts'
import { welcomedDevice, welcomedViewer } from '../rig/welcomed.ts'
import { openDevice, openStats, openViewer } from '../rig/wire.ts'

const [AUTH, AUTH_OK] = [5, 70]

/** A place that no other test is at, as every part of the hub would write it. */
const [LAT, LNG] = [481234567, 169876543]
const CANARIES = [String(LAT), String(LNG), '48.1234567', '16.9876543', '48.12', '16.98']

describeOnEachDatabase('the log', { ALZY_LOG_LEVEL: 'trace' }, (on) => {
  test('holds no coordinate, key or token, whatever goes well or wrong', async () => {
    const user = await on.hub.addUser()
    const device = await on.hub.addDevice(user)
    const wrongKey = `alzy_${device.id}_${'W'.repeat(43)}`
    const viewer = await welcomedViewer(on.hub.ws, { token: user.token })
    viewer.send([SUB])
    await viewer.snapshot()
    const refused = await openDevice(on.hub.ws, { hello: false })
    refused.send([HELLO, wrongKey])
    await refused.closed
    const socket = await welcomedDevice(on.hub.ws, device)
    const now = Date.now()
    socket.send([
      POINTS,
      1,
      null,
      now,
      [
        [0, LAT, LNG],
        [48 * 3_600_000, LAT, LNG],
        [1, LAT * 10, LNG],
      ],
    ])
    expect((await socket.ack(1)).rejected.length).toBe(2)
    socket.send([POINTS, 2, null, now, [[2, LAT, `${LNG}`]]])
    await socket.next(ERROR)
    await on.hub.request('POST', '/v1/users', { email: user.token, name: device.deviceKey }, user.token)
    await on.hub.end()
    const log = JSON.stringify(on.hub.log)
    expect(log).toContain('"ready"')
    for (const canary of [...CANARIES, user.token, device.deviceKey, wrongKey, device.deviceKey.slice(-43)]) {
      expect(log.includes(canary), 'a secret or a place is in the log').toBe(false)
    }
    await viewer.closed
  })
})

let issuer: Issuer
beforeAll(async () => {
  issuer = await startIssuer()
})
afterAll(() => issuer?.away())

describeOnEachDatabase('the log', { ALZY_LOG_LEVEL: 'trace', ALZY_OIDC_COOLDOWN_MS: '100' }, (on) => {
  test('holds no token of a user, a share or an issuer, accepted or refused', async () => {
    issuer.answers('well')
    await on.restart(issuer.env)
    const [user, admin] = [await on.hub.addUser(), await on.hub.addUser({ role: 'admin' })]
    const device = await on.hub.addDevice(user)
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
    const { json } = await on.hub.request(
      'POST',
      '/v1/shares',
      { deviceIds: [device.id], expiresAt },
      user.token,
    )
    const theirs = await issuer.sign({ sub: 'a subject', email: user.email, email_verified: true })
    const wrong = [
      hubToken('another secret, of thirty-two bytes or more', { claims: { sub: '1' } }),
      await issuer.sign({ sub: 'nobody' }),
      await issuer.sign({ sub: 'late', exp: 1 }),
    ]
    for (const token of [theirs, json.token, ...wrong]) {
      for (const open of [openViewer, openStats]) {
        const socket = await open(on.hub.ws, { hello: false })
        socket.send([HELLO, token])
        await Promise.race([socket.welcome, socket.closed])
        await socket.close()
        const renewing = await open(on.hub.ws, { token: admin.token })
        await renewing.welcome
        renewing.send([AUTH, admin.token])
        await renewing.next(AUTH_OK)
        renewing.send([AUTH, token])
        await renewing.closed
      }
      await on.hub.request('GET', '/v1/me', undefined, token)
      await on.hub.request('GET', `/v1/shares?after=${token}`, undefined, token)
      await on.hub.request('PATCH', `/v1/users/${user.id}`, { name: token, providers: { [token]: {} } })
    }
    // Faults talk the most.
    const before = on.hub.log
    issuer.answers('nonsense')
    await on.restart(issuer.env)
    await on.hub.request('GET', '/v1/me', undefined, theirs)
    await on.hub.end()
    const log = JSON.stringify([before, on.hub.log])
    expect(log).toContain('could not be fetched')
    for (const token of [user.token, admin.token, theirs, json.token, ...wrong]) {
      const [, claims, signature] = token.split('.')
      for (const canary of [claims, signature])
        expect(log.includes(canary), 'a token is in the log').toBe(false)
    }
    expect(log).not.toContain('a subject')
  })
})
