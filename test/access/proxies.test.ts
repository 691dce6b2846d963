/** Whose address counts when a proxy stands between, and what the hub is called then, over real connections. */
import net from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startHub, type TestHub } from '../rig/hub.ts'
import { createEmbedded, type TestDatabase } from '../rig/kinds.ts'
import { until } from '../rig/until.ts'
import { openViewer, upgradeStatus } from '../rig/wire.ts'

const PROXY = '127.0.6.1'
const LATER_PROXY = '127.0.6.9'
const OTHER_PROXY = '127.0.6.2'
const LIVE = { 'sec-websocket-protocol': 'alzy.live.v1' }
let hub: TestHub
let database: TestDatabase

beforeAll(async () => {
  database = await createEmbedded()
  hub = await startHub({
    database,
    env: {
      ALZY_TRUSTED_PROXIES: `${PROXY}, ${LATER_PROXY}, 10.0.0.0/8, 2001:db8:ffff::/48`,
      ALZY_SOCKETS_PER_ADDRESS_MAX: '1',
    },
  })
})
afterAll(async () => {
  await hub?.end()
  await database?.drop()
})

/**
 * The address that the hub takes a request for: the one in its log's line about a token that it refuses. An address has
 * one such line, so each is asked for once.
 */
async function addressOf(lines: string[], from: string, before = Buffer.alloc(0)): Promise<unknown> {
  const seen = () => hub.log.filter(({ audit }) => audit === 'credential.refused')
  const known = seen().length
  const socket = net.connect({ port: hub.port, host: '127.0.0.1', localAddress: from })
  const request = ['GET /v1/me HTTP/1.1', 'Host: x', 'Authorization: Bearer none', ...lines, '', ''].join(
    '\r\n',
  )
  // In one piece: the server below us reads a PROXY header only together with what follows it.
  socket.write(Buffer.concat([before, Buffer.from(request)]))
  const line = await until(() => seen()[known], 'the refusal is in the log')
  socket.destroy()
  return line.address
}

test.each<[string, string[], string, string]>([
  ['a trusted proxy', ['X-Forwarded-For: 198.51.100.1'], PROXY, '198.51.100.1'],
  ['a client that forges a hop', ['X-Forwarded-For: 1.1.1.1, 198.51.100.2'], PROXY, '198.51.100.2'],
  [
    'a client that forges a field, and a proxy that adds another',
    ['X-Forwarded-For: 1.1.1.1', 'X-Forwarded-For: 198.51.100.3'],
    PROXY,
    '198.51.100.3',
  ],
  ['a chain of trusted ones', ['X-Forwarded-For: 198.51.100.4, 10.1.1.1, 10.2.2.2'], PROXY, '198.51.100.4'],
  ['one that writes ports', ['X-Forwarded-For: 198.51.100.5:40123'], PROXY, '198.51.100.5'],
  ['IPv6', ['X-Forwarded-For: 2001:DB8:0::0005'], PROXY, '2001:db8::5'],
  ['IPv4 in IPv6', ['X-Forwarded-For: ::ffff:198.51.100.6'], PROXY, '198.51.100.6'],
  ['a hop that is no address', ['X-Forwarded-For: 198.51.100.7, unknown'], PROXY, PROXY],
  ['a peer that nobody trusts', ['X-Forwarded-For: 198.51.100.8'], OTHER_PROXY, OTHER_PROXY],
  [
    'other fields of the kind',
    ['X-Real-IP: 198.51.100.9', 'Forwarded: for=198.51.100.9'],
    '127.0.6.3',
    '127.0.6.3',
  ],
])('behind %s the address is the right one', async (_, lines, from, address) => {
  expect(await addressOf(lines, from)).toBe(address)
})

test('the PROXY protocol is not believed, even of a trusted proxy', async () => {
  const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
  // Version 2, PROXY, TCP over IPv4, twelve bytes: 9.9.9.9 to 8.8.8.8.
  const header = Buffer.concat([
    signature,
    Buffer.from('2111000c', 'hex'),
    Buffer.from([9, 9, 9, 9, 8, 8, 8, 8, 0, 1, 0, 2]),
  ])
  for (const from of ['127.0.6.4', LATER_PROXY]) expect(await addressOf([], from, header)).toBe(from)
})

test('a client behind a proxy has its own limit, an IPv6 client that of its /64', async () => {
  const user = await hub.addUser()
  const as = (hop: string) => ({ ...LIVE, 'x-forwarded-for': hop })
  const status = async (hop: string) => (await upgradeStatus(`${hub.ws}/v1/live`, as(hop), PROXY)).status
  const v4 = await openViewer(hub.ws, {
    token: user.token,
    headers: { 'x-forwarded-for': '203.0.113.1' },
    localAddress: PROXY,
  })
  const v6 = await openViewer(hub.ws, {
    token: user.token,
    headers: { 'x-forwarded-for': '2001:db8:1:2::1' },
    localAddress: PROXY,
  })
  await Promise.all([v4.welcome, v6.welcome])
  for (const hop of ['203.0.113.1', '5.5.5.5, 203.0.113.1', '::ffff:203.0.113.1', '2001:db8:1:2:ffff::9']) {
    expect([hop, await status(hop)]).toEqual([hop, 429])
  }
  for (const hop of ['203.0.113.2', '2001:db8:1:3::1']) expect([hop, await status(hop)]).toEqual([hop, 101])
  await v4.close()
  await v6.close()
  await until(async () => (await status('203.0.113.1')) === 101, 'there is room again')
})

test('the hub is called by the scheme of a trusted proxy, and of nobody else', async () => {
  const status = async (from: string, proto: string | string[], origin: string) =>
    (
      await upgradeStatus(
        `${hub.ws}/v1/live`,
        {
          ...LIVE,
          'x-forwarded-for': '203.0.113.77',
          'x-forwarded-proto': proto,
          host: 'maps.example.org',
          origin,
        },
        from,
      )
    ).status
  expect(await status(PROXY, 'https', 'https://maps.example.org')).toBe(101)
  expect(await status(PROXY, 'http', 'https://maps.example.org')).toBe(403)
  expect(await status(PROXY, ['https', 'http'], 'https://maps.example.org')).toBe(403)
  expect(await status(PROXY, 'gopher', 'http://maps.example.org')).toBe(101)
  expect(await status('127.0.6.5', 'https', 'https://maps.example.org')).toBe(403)
  expect(await status('127.0.6.5', 'https', 'http://maps.example.org')).toBe(101)
  const refused = await hub.metric('alzy_origins_refused_total')
  const headers = { ...LIVE, 'x-forwarded-host': 'evil.example', origin: 'http://evil.example' }
  expect((await upgradeStatus(`${hub.ws}/v1/live`, headers, PROXY)).status).toBe(403)
  expect(await hub.metric('alzy_origins_refused_total')).toBe(refused + 1)
})

test('a proxy that nobody has declared is named in the log, once', async () => {
  for (let i = 0; i < 3; i++)
    await fetch(`${hub.http}/healthz`, { headers: { 'x-forwarded-for': '1.2.3.4' } })
  const lines = () => hub.log.filter(({ msg }) => String(msg).includes('ALZY_TRUSTED_PROXIES'))
  await until(() => lines().length > 0, 'it is in the log')
  expect(lines()).toHaveLength(1)
})
