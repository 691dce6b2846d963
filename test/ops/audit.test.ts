/** The audit trail: one line for each thing worth one, whose secrets are nowhere, and which nobody can flood. */
import { expect, test } from 'vitest'
import { createAudit } from '../../src/ops/audit.ts'
import { describeOnEachDatabase } from '../rig/eachDatabase.ts'
import { startHub } from '../rig/hub.ts'
import { createEmbedded } from '../rig/kinds.ts'
import { until } from '../rig/until.ts'
import { openDevice, openStats, openViewer } from '../rig/wire.ts'

type Line = Record<string, unknown>

/** Lines of the audit trail without what every line has. */
const trail = (log: readonly Line[]): Line[] =>
  log.flatMap(({ audit, level, time, msg, ...facts }) => (audit === undefined ? [] : [{ audit, ...facts }]))

describeOnEachDatabase('the audit trail', {}, (on) => {
  test('holds what is done to devices and users, by whom and from where', async () => {
    const { json: admin } = await on.hub.request('POST', '/v1/users', {
      email: 'audit@example.org',
      role: 'admin',
    })
    const { json: issued } = await on.hub.request('POST', `/v1/users/${admin.id}/tokens`, {})
    const as = (method: string, path: string, body?: unknown) =>
      on.hub.request(method, path, body, issued.token)
    const { json: made } = await as('POST', '/v1/devices', { name: 'Bike', withKey: true })
    const place = `/v1/devices/${made.device.id}`
    await as('PATCH', place, { name: 'Van' })
    await as('PATCH', place, { isActive: false })
    await as('PATCH', place, { isActive: true })
    const { json: again } = await as('POST', `${place}/key`)
    const { json: pairing } = await as('POST', `${place}/pairing`)
    const shown = { pairingToken: pairing.pairingToken }
    const { json: paired } = await on.hub.request('POST', '/v1/pair', shown, null)
    await on.hub.request('POST', '/v1/pair', shown, null)
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
    const { json: shared } = await as('POST', '/v1/shares', { deviceIds: [made.device.id], expiresAt })
    await as('DELETE', `/v1/shares/${shared.share.id}`)
    await as('DELETE', place)
    await as('DELETE', place)
    const providers = { 'https://issuer.example.org': { sub: 'somebody' } }
    await on.hub.request('PATCH', `/v1/users/${admin.id}`, { providers })
    await on.hub.request('PATCH', `/v1/users/${admin.id}`, { role: 'user', isActive: false })
    const address = '127.0.0.1'
    const [byOperator, byAdmin] = [
      { by: 'operator', address },
      { by: admin.id, address },
    ]
    const deviceId = made.device.id
    const expected = [
      { audit: 'admin.login', via: 'http', ...byOperator },
      { audit: 'user.added', userId: admin.id, role: 'admin', ...byOperator },
      { audit: 'token.issued', userId: admin.id, ...byOperator },
      { audit: 'admin.login', via: 'http', ...byAdmin },
      { audit: 'device.added', deviceId, ...byAdmin },
      { audit: 'device.deactivated', deviceId, ...byAdmin },
      { audit: 'device.activated', deviceId, ...byAdmin },
      { audit: 'device.keyReplaced', deviceId, ...byAdmin },
      { audit: 'device.pairing', deviceId, ...byAdmin },
      { audit: 'device.paired', deviceId, by: null, address },
      { audit: 'credential.refused', credential: 'pairingToken', address, count: 1 },
      { audit: 'share.made', shareId: shared.share.id, deviceIds: [deviceId], ...byAdmin },
      { audit: 'share.ended', shareId: shared.share.id, ...byAdmin },
      { audit: 'device.deleted', deviceId, ...byAdmin },
      { audit: 'user.providersWritten', userId: admin.id, issuers: 1, ...byOperator },
      { audit: 'user.demoted', userId: admin.id, ...byOperator },
      { audit: 'user.deactivated', userId: admin.id, ...byOperator },
    ]
    await until(() => trail(on.hub.log).length >= expected.length, 'everything is in the log')
    expect(trail(on.hub.log)).toEqual(expected)
    const text = JSON.stringify(on.hub.log)
    const keys = [made.deviceKey, again.deviceKey, paired.deviceKey]
    for (const secret of [issued.token, shared.token, pairing.pairingToken, ...keys])
      expect(text.includes(secret)).toBe(false)
  })

  test('holds an admin’s way into the stats socket, each time', async () => {
    const admin = await on.hub.addUser({ role: 'admin' })
    for (let i = 0; i < 2; i++) {
      const stats = await openStats(on.hub.ws, { token: admin.token, localAddress: '127.0.7.1' })
      await stats.welcome
      await stats.close()
    }
    const login = { audit: 'admin.login', by: admin.id, via: 'stats', address: '127.0.7.1' }
    const seen = () => trail(on.hub.log).filter(({ via }) => via === 'stats')
    await until(() => seen().length >= 2, 'both are in the log')
    expect(seen()).toEqual([login, login])
  })

  test('holds refused keys and tokens by their address, wherever they are shown', async () => {
    const user = await on.hub.addUser()
    const device = await on.hub.addDevice(user)
    const wrongKey = `alzy_${device.id}_${'W'.repeat(43)}`
    const sockets = [
      await openDevice(on.hub.ws, { hello: false, localAddress: '127.0.7.2' }),
      await openViewer(on.hub.ws, { hello: false, localAddress: '127.0.7.3' }),
      await openStats(on.hub.ws, { hello: false, localAddress: '127.0.7.4' }),
    ] as const
    for (const [i, credential] of [wrongKey, 'nonsense', user.token].entries())
      sockets[i]!.send([1, credential])
    for (const socket of sockets) expect((await socket.closed).code).toBe(4503)
    expect((await on.hub.request('GET', '/v1/me', undefined, 'nonsense')).status).toBe(401)
    await on.hub.request('GET', '/v1/me', undefined, null)
    const refused = (credential: string, address: string) => ({
      audit: 'credential.refused',
      credential,
      address,
      count: 1,
    })
    const seen = () =>
      trail(on.hub.log).filter(
        ({ audit, credential }) => audit === 'credential.refused' && credential !== 'pairingToken',
      )
    await until(() => seen().length >= 4, 'all are in the log')
    const expected = [
      refused('deviceKey', '127.0.7.2'),
      refused('token', '127.0.0.1'),
      refused('token', '127.0.7.3'),
      refused('token', '127.0.7.4'),
    ]
    expect(seen()).toHaveLength(4)
    expect(seen()).toEqual(expect.arrayContaining(expected))
    expect(JSON.stringify(on.hub.log)).not.toContain(wrongKey)
  })
})

test('somebody who tries again and again has a line at once, and then one in a while that says how often', async () => {
  const database = await createEmbedded()
  const hub = await startHub({ database, env: { ALZY_AUDIT_REFUSED_EVERY_MS: '3600000' } })
  for (let i = 0; i < 60; i++) await hub.request('GET', '/v1/me', undefined, `nonsense${i}`)
  expect(await hub.end()).toBe(0)
  const counts = hub.log.flatMap(({ audit, count }) => (audit === 'credential.refused' ? [count] : []))
  expect(counts).toEqual([1, 59])
  await database.drop()
})

test('many addresses at once share a line, whose count misses none', () => {
  const lines: Line[] = []
  let nowMs = 0
  const audit = createAudit({
    log: { info: (facts) => void lines.push(facts as Line) },
    limits: { auditRefusedEveryMs: 1_000, auditRefusedMax: 10 },
    clock: { now: () => nowMs, elapsed: () => nowMs },
  })
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 1_000; i++) audit.refused('token', `a${i}`)
    audit.flush()
    nowMs += 999
  }
  audit.flush()
  // Ten had a line and one more each for the rest of the time; all others are one number.
  expect(lines.length).toBeLessThan(60)
  expect(lines.reduce((sum, { count }) => sum + (count as number), 0)).toBe(3_000)
  const before = lines.length
  nowMs += 10_000
  audit.flush()
  expect(lines).toHaveLength(before)
})
