/**
 * Limits by address, by user and in all, over real connections from several addresses of this machine: each is reached,
 * answered as the protocol says, counted, and recovered from. 127.0.0.1 is the hub's own machine, the others are not.
 */
import net from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startHub, type TestHub, type TestUser } from '../rig/hub.ts'
import { createEmbedded, type TestDatabase } from '../rig/kinds.ts'
import { PING } from '../rig/points.ts'
import { until } from '../rig/until.ts'
import { openDevice, openStats, openViewer, upgradeStatus } from '../rig/wire.ts'

const LIVE = { 'sec-websocket-protocol': 'alzy.live.v1' }
const DEVICE = { 'sec-websocket-protocol': 'alzy.device.v1' }

/** A hub with these limits, from before the first test to after the last; `on.hub` is it. */
function hubWith(env: Record<string, string>) {
  const on = {} as { hub: TestHub; database: TestDatabase }
  beforeAll(async () => {
    on.database = await createEmbedded()
    on.hub = await startHub({ database: on.database, env })
  })
  afterAll(async () => {
    await on.hub?.end()
    await on.database?.drop()
  })
  return on
}

/** Sends a request as it is written; resolves with everything that came back until the hub closed. */
function raw(port: number, text: string, localAddress = '127.0.0.1'): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1', localAddress })
    let answer = ''
    socket.setEncoding('latin1')
    socket.on('connect', () => socket.write(text, 'latin1'))
    socket.on('data', (data) => {
      answer += data
    })
    socket.on('close', () => resolve(answer))
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // A reset after the answer is as good as an end.
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error)
    })
  })
}

/** One request on a connection of its own, from any address. */
async function get(
  port: number,
  path: string,
  { headers = {}, from = '127.0.0.1' }: { headers?: Record<string, string>; from?: string } = {},
): Promise<{ status: number; head: string; body: string }> {
  const fields = Object.entries({ host: `127.0.0.1:${port}`, ...headers })
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const socket = net.connect({ port, host: '127.0.0.1', localAddress: from })
  socket.setEncoding('latin1')
  socket.write(`GET ${path} HTTP/1.1\r\n${lines}\r\n`, 'latin1')
  let answer = ''
  for await (const data of socket) {
    answer += data
    const [head, body] = answer.split('\r\n\r\n')
    const length = Number(/^content-length: (\d+)/im.exec(head!)?.[1])
    if (body !== undefined && body.length >= length) break
  }
  socket.destroy()
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]), head, body }
}

/** A TCP connection that says nothing. */
function silent(port: number, localAddress: string) {
  const socket = net.connect({ port, host: '127.0.0.1', localAddress })
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  let isOpen = true
  void ended.then(() => {
    isOpen = false
  })
  socket.on('error', () => {})
  return { socket, ended, isOpen: () => isOpen }
}

describe('sockets that are open', () => {
  const on = hubWith({
    ALZY_SOCKETS_PER_ADDRESS_MAX: '3',
    ALZY_WAITING_PER_ADDRESS_MAX: '2',
    ALZY_WAITING_SOCKETS_MAX: '4',
    ALZY_SOCKETS_PER_USER_MAX: '5',
    ALZY_ADMINS_MAX: '2',
    ALZY_HELLO_TIMEOUT_MS: '60000',
    ALZY_VIEWER_FRAMES_PER_S: '1',
    ALZY_VIEWER_FRAMES_BURST: '5',
  })

  async function viewerOf(user: TestUser, localAddress?: string) {
    const viewer = await openViewer(on.hub.ws, { token: user.token, ...(localAddress && { localAddress }) })
    await viewer.welcome
    return viewer
  }

  async function newUser(role: 'user' | 'admin' = 'user') {
    return on.hub.addUser({ role })
  }

  test('are so many of an address and no more, until one is closed', async () => {
    const from = '127.0.1.1'
    const [one, two] = [await newUser(), await newUser()]
    const open = [await viewerOf(one, from), await viewerOf(one, from), await viewerOf(two, from)]
    const before = await on.hub.metric('alzy_sockets_refused_address_full_total')
    for (const [place, headers] of [
      ['live', LIVE],
      ['device', DEVICE],
    ] as const) {
      const refused = await upgradeStatus(`${on.hub.ws}/v1/${place}`, headers, from)
      expect([refused.status, Number(refused.headers['retry-after'])]).toEqual([429, 10])
    }
    expect(await on.hub.metric('alzy_sockets_refused_address_full_total')).toBe(before + 2)
    expect((await upgradeStatus(`${on.hub.ws}/v1/live`, LIVE, '127.0.1.2')).status).toBe(101)
    await open.pop()!.close()
    await until(
      async () => (await upgradeStatus(`${on.hub.ws}/v1/live`, LIVE, from)).status === 101,
      'there is room again',
    )
    for (const viewer of open) await viewer.close()
  })

  test('of the hub’s own machine are not counted by address', async () => {
    const [one, two] = [await newUser(), await newUser()]
    const open = []
    for (let i = 0; i < 8; i++) open.push(await viewerOf(i % 2 === 0 ? one : two))
    for (const viewer of open) await viewer.close()
  })

  test('and wait for their WELCOME are fewer still, of an address', async () => {
    const from = '127.0.1.3'
    const user = await newUser()
    const waiting = []
    for (let i = 0; i < 2; i++) {
      waiting.push(await openViewer(on.hub.ws, { localAddress: from, hello: false, token: user.token }))
    }
    const before = await on.hub.metric('alzy_sockets_refused_address_waiting_total')
    expect(await on.hub.metric('alzy_waiting_sockets')).toBe(2)
    const refused = await upgradeStatus(`${on.hub.ws}/v1/live`, LIVE, from)
    expect([refused.status, refused.headers['retry-after']]).toEqual([429, '10'])
    expect(await on.hub.metric('alzy_sockets_refused_address_waiting_total')).toBe(before + 1)
    waiting[0]!.send([1, user.token])
    await waiting[0]!.welcome
    expect((await upgradeStatus(`${on.hub.ws}/v1/live`, LIVE, from)).status).toBe(101)
    for (const viewer of waiting) await viewer.close()
  })

  test('and wait for their WELCOME are bounded in all, whoever they are', async () => {
    const waiting = []
    for (let i = 0; i < 4; i++)
      waiting.push(await openDevice(on.hub.ws, { localAddress: `127.0.2.${i + 1}` }))
    const before = await on.hub.metric('alzy_sockets_refused_waiting_total')
    for (const from of ['127.0.2.9', '127.0.0.1']) {
      const refused = await upgradeStatus(`${on.hub.ws}/v1/device`, DEVICE, from)
      expect([refused.status, refused.headers['retry-after']]).toEqual([503, '10'])
    }
    expect(await on.hub.metric('alzy_sockets_refused_waiting_total')).toBe(before + 2)
    // Whoever was refused for its key does not wait any more.
    waiting[0]!.send([1, 'alzy_1_wrong'])
    expect((await waiting[0]!.closed).code).toBe(4503)
    await until(
      async () => (await upgradeStatus(`${on.hub.ws}/v1/device`, DEVICE, '127.0.2.9')).status === 101,
      'there is room again',
    )
    for (const device of waiting) await device.close()
    await until(async () => (await on.hub.metric('alzy_waiting_sockets')) === 0, 'nobody waits')
  })

  test('are so many of a user, on both routes together, and others are not concerned', async () => {
    const [admin, other] = [await newUser('admin'), await newUser()]
    const open = []
    for (let i = 0; i < 4; i++) open.push(await viewerOf(admin))
    const stats = await openStats(on.hub.ws, { token: admin.token })
    await stats.welcome
    const before = await on.hub.metric('alzy_user_sockets_refused_total')
    const more = [openViewer, openStats].map((openOne) => openOne(on.hub.ws, { token: admin.token }))
    for (const socket of await Promise.all(more)) expect((await socket.closed).code).toBe(4429)
    expect(await on.hub.metric('alzy_user_sockets_refused_total')).toBe(before + 2)
    await (await viewerOf(other)).close()
    await stats.close()
    const again = await until(
      () => viewerOf(admin).catch(() => null),
      'a socket that was closed has made room',
    )
    for (const viewer of [...open, again]) await viewer.close()
  })

  test('are so many of admins in all, and then the hub is full', async () => {
    const admin = await newUser('admin')
    const open = []
    for (let i = 0; i < 2; i++) {
      const socket = await openStats(on.hub.ws, { token: admin.token })
      await socket.welcome
      open.push(socket)
    }
    const before = await on.hub.metric('alzy_connections_refused_total')
    const refused = await upgradeStatus(`${on.hub.ws}/v1/stats`, {
      'sec-websocket-protocol': 'alzy.stats.v1',
    })
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '10'])
    expect(await on.hub.metric('alzy_connections_refused_total')).toBe(before + 1)
    for (const socket of open) await socket.close()
  })

  test('send so many messages, as viewers and as admins', async () => {
    const admin = await newUser('admin')
    const before = await on.hub.metric('alzy_viewer_rates_exceeded_total')
    for (const openOne of [openViewer, openStats]) {
      const socket = await openOne(on.hub.ws, { token: admin.token })
      await socket.welcome
      socket.sendTogether(Array.from({ length: 20 }, (_, i) => [PING, i]))
      expect((await socket.closed).code).toBe(4429)
    }
    expect(await on.hub.metric('alzy_viewer_rates_exceeded_total')).toBe(before + 2)
  })
})

describe('what is new from an address', () => {
  const on = hubWith({
    ALZY_SOCKETS_PER_ADDRESS_PER_S: '1',
    ALZY_SOCKETS_PER_ADDRESS_BURST: '5',
    ALZY_REQUESTS_PER_ADDRESS_PER_S: '1',
    ALZY_REQUESTS_PER_ADDRESS_BURST: '5',
    ALZY_CONNECTIONS_PER_ADDRESS_PER_S: '5',
    ALZY_CONNECTIONS_PER_ADDRESS_BURST: '60',
  })
  const many = <Result>(count: number, one: () => Promise<Result>) =>
    Promise.all(Array.from({ length: count }, one))

  test('is refused beyond a rate when it is sockets, and let in again later', async () => {
    const from = '127.0.3.1'
    const answers = await many(40, () => upgradeStatus(`${on.hub.ws}/v1/live`, LIVE, from))
    const refused = answers.filter(({ status }) => status !== 101)
    expect(answers.length - refused.length).toBeGreaterThanOrEqual(5)
    expect(refused.length).toBeGreaterThan(0)
    for (const { status, headers } of refused) expect([status, headers['retry-after']]).toEqual([429, '10'])
    expect(await on.hub.metric('alzy_sockets_refused_address_rate_total')).toBe(refused.length)
    expect((await upgradeStatus(`${on.hub.ws}/v1/live`, LIVE, '127.0.3.2')).status).toBe(101)
    await until(
      async () => (await upgradeStatus(`${on.hub.ws}/v1/live`, LIVE, from)).status === 101,
      'it is let in again',
    )
  })

  test('is refused beyond a rate when it is requests, but probes are answered', async () => {
    const from = '127.0.3.3'
    const answers = await many(40, () => get(on.hub.port, '/v1/me', { from }))
    const refused = answers.filter(({ status }) => status === 429)
    expect(answers.filter(({ status }) => status === 401).length).toBe(answers.length - refused.length)
    expect(refused.length).toBeGreaterThan(0)
    for (const { head, body } of refused) {
      expect(head).toMatch(/^retry-after: 10\r?$/im)
      expect(head).toMatch(/^content-type: application\/problem\+json\r?$/im)
      expect(JSON.parse(body)).toMatchObject({ status: 429, title: 'Too Many Requests' })
    }
    expect(await on.hub.metric('alzy_requests_refused_total')).toBe(refused.length)
    for (const probe of ['/healthz', '/readyz'])
      expect((await get(on.hub.port, probe, { from })).status).toBe(200)
    expect((await get(on.hub.port, '/v1/me', { from: '127.0.3.4' })).status).toBe(401)
    await until(
      async () => (await get(on.hub.port, '/v1/me', { from })).status === 401,
      'it is answered again',
    )
  })

  test('is refused beyond the same rate when it is pages', async () => {
    const before = await on.hub.metric('alzy_requests_refused_total')
    const answers = await many(40, () => get(on.hub.port, '/track', { from: '127.0.3.7' }))
    const refused = answers.filter(({ status }) => status === 429)
    expect(answers.filter(({ status }) => status === 200).length).toBe(answers.length - refused.length)
    expect(refused.length).toBeGreaterThan(0)
    for (const { head } of refused) expect(head).toMatch(/^retry-after: 10\r?$/im)
    expect(await on.hub.metric('alzy_requests_refused_total')).toBe(before + refused.length)
    expect((await get(on.hub.port, '/track', { from: '127.0.3.8' })).status).toBe(200)
  })

  test('is closed at once beyond a rate when it is connections that say nothing', async () => {
    const from = '127.0.3.5'
    const sockets = Array.from({ length: 150 }, () => silent(on.hub.port, from))
    const dropped = await until(
      () => on.hub.metric('alzy_connections_dropped_address_total'),
      'some are dropped',
    )
    await until(() => sockets.filter(({ isOpen }) => !isOpen()).length >= dropped, 'their clients know')
    expect(sockets.some(({ isOpen }) => isOpen())).toBe(true)
    expect((await get(on.hub.port, '/healthz', { from: '127.0.3.6' })).status).toBe(200)
    for (const { socket } of sockets) socket.destroy()
    await until(
      async () => (await get(on.hub.port, '/healthz', { from })).status === 200,
      'it may connect again',
    )
  })

  test('from the hub’s own machine is not counted', async () => {
    const answers = await many(40, () => get(on.hub.port, '/v1/me'))
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 401))
    const upgrades = await many(40, () => upgradeStatus(`${on.hub.ws}/v1/live`, LIVE))
    expect(upgrades.map(({ status }) => status)).toEqual(upgrades.map(() => 101))
  })
})

describe('slow and silent HTTP', () => {
  const on = hubWith({
    ALZY_HTTP_CONNECTIONS_MAX: '12',
    ALZY_BODY_TIMEOUT_MS: '600',
    ALZY_BODY_BYTES_MAX: '2048',
  })

  test('connections in all are bounded, and sockets are not among them', async () => {
    const user = await on.hub.addUser()
    const viewers = []
    for (let i = 0; i < 15; i++) {
      const viewer = await openViewer(on.hub.ws, { token: user.token })
      await viewer.welcome
      viewers.push(viewer)
    }
    const sockets: ReturnType<typeof silent>[] = []
    await until(() => {
      sockets.push(silent(on.hub.port, '127.0.4.1'))
      return sockets.some(({ isOpen }) => !isOpen())
    }, 'one is closed at once')
    for (const { socket } of sockets) socket.destroy()
    await until(() => on.hub.metric('alzy_connections_dropped_total'), 'it is counted')
    await until(async () => (await on.hub.metric('alzy_http_connections')) <= 3, 'they are gone')
    for (const viewer of viewers) await viewer.close()
  })

  test('a body that takes too long is answered with 408, and the connection ends', async () => {
    const head =
      'POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n'
    const before = await on.hub.metric('alzy_bodies_too_slow_total')
    expect(await raw(on.hub.port, `${head}{`)).toMatch(/^HTTP\/1\.1 408 Request Timeout[\s\S]*"status":408/)
    expect(await on.hub.metric('alzy_bodies_too_slow_total')).toBe(before + 1)
  })

  test('a body whose sender has gone is not counted as slow', async () => {
    const before = await on.hub.metric('alzy_bodies_too_slow_total')
    const first = await on.hub.metric('alzy_http_requests_total')
    let looks = 0
    const { socket, ended } = silent(on.hub.port, '127.0.4.2')
    socket.write('POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{')
    // Each look at the figure is a request as well.
    await until(async () => {
      looks += 1
      return (await on.hub.metric('alzy_http_requests_total')) > first + looks
    }, 'the request is there')
    socket.destroy()
    await ended
    const late = raw(on.hub.port, 'POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{')
    expect(await late).toMatch(/408/)
    expect(await on.hub.metric('alzy_bodies_too_slow_total')).toBe(before + 1)
  })

  test('a body that is too large is counted', async () => {
    expect((await on.hub.request('POST', '/v1/users', { email: 'x'.repeat(3_000) })).status).toBe(413)
    expect(await on.hub.metric('alzy_bodies_too_large_total')).toBe(1)
  })

  test('a head that drips, and one that never begins, end the connection', async () => {
    const quiet = silent(on.hub.port, '127.0.4.3')
    const dripping = silent(on.hub.port, '127.0.4.4')
    dripping.socket.write('GET /healthz HTTP/1.1\r\n')
    const drip = setInterval(() => dripping.socket.write('A: b\r\n'), 300)
    await Promise.all([quiet.ended, dripping.ended])
    clearInterval(drip)
    expect((await get(on.hub.port, '/healthz')).status).toBe(200)
  })
})

describe('a header that is wrong', () => {
  const on = hubWith({ ALZY_TRUSTED_PROXIES: '127.0.5.1' })
  const LONG = 'x'.repeat(3_000)

  test.each<[string, string, string[]]>([
    [
      'Authorization',
      'GET',
      ['Basic eDp5', 'Bearer', 'Bearer ', 'Bearer a b', `Bearer ${LONG}`, 'Bearer \u00ff\u00fe', ','],
    ],
    [
      'Content-Type',
      'POST',
      ['', 'text/plain', 'application/json; charset=\u00ff', '/', LONG, 'application/jsonx'],
    ],
    ['Accept', 'GET', ['', 'text/html', '*/*;q=nonsense', LONG, ',,,', '\u0080']],
    [
      'X-Forwarded-For',
      'GET',
      ['', ',', 'unknown', '1.2.3.4:x', LONG, ',,,,,,', '\u00ff', "'; drop table users"],
    ],
    ['X-Forwarded-Proto', 'GET', ['', 'gopher', 'https, http', LONG]],
    ['Origin', 'GET', ['null', 'https://', LONG, 'file://', '\u00ff', 'https://a b']],
    ['Host', 'GET', ['', '/', LONG, '[::1', 'a b', '\u00ff']],
    ['Content-Length', 'POST', ['x', '-1', '99999999999999999999', '1, 2']],
  ])('%s is answered with what is wrong, never with a fault', async (name, method, values) => {
    for (const value of values) {
      for (const from of ['127.0.0.1', '127.0.5.1']) {
        const body = method === 'POST' && name !== 'Content-Length' ? '{"a":1}' : ''
        const fields = name === 'Host' ? [] : ['Host: x']
        fields.push(`${name}: ${value}`, 'Connection: close')
        if (body !== '') fields.push(`Content-Length: ${body.length}`)
        const text = `${method} /v1/devices HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n${body}`
        const connection = net.connect({ port: on.hub.port, host: '127.0.0.1', localAddress: from })
        connection.setEncoding('latin1')
        connection.on('error', () => {})
        connection.write(text, 'latin1')
        // Whatever the server below us does not understand, it ends without a word.
        const first = await new Promise<string>((resolve) => {
          connection.once('data', (data) => resolve(String(data)))
          connection.once('close', () => resolve(''))
        })
        connection.destroy()
        expect(first, `${name}: ${value.slice(0, 20)}`).toMatch(/^$|^HTTP\/1\.1 (?:4\d\d|505)/)
      }
    }
    expect(await on.hub.metric('alzy_handler_faults_total')).toBe(0)
  })

  test('or a head that is huge ends the connection, and nothing else', async () => {
    const huge = `GET /healthz HTTP/1.1\r\nHost: x\r\nA: ${'a'.repeat(200_000)}\r\n\r\n`
    expect(await raw(on.hub.port, huge)).not.toMatch(/ 5\d\d (?!HTTP Version)/)
    expect((await get(on.hub.port, '/healthz')).status).toBe(200)
  })

  test('is no way to a fault in an upgrade', async () => {
    for (const headers of [
      { origin: 'null' },
      { host: '[' },
      { 'x-forwarded-for': ',,' },
      { origin: LONG },
    ]) {
      const { status } = await upgradeStatus(`${on.hub.ws}/v1/live`, { ...LIVE, ...headers }, '127.0.5.1')
      expect([101, 403]).toContain(status)
    }
    expect(await on.hub.metric('alzy_handler_faults_total')).toBe(0)
  })
})
