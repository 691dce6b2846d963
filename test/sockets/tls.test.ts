/** TLS by the hub itself, with certificates that openssl makes here: sockets, HTTP, commands, and files that are wrong. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { built } from '../rig/gear.ts'
import { runAlzy, startHub, type TestHub } from '../rig/hub.ts'
import { createEmbedded, type TestDatabase } from '../rig/kinds.ts'
import { pointsFrame } from '../rig/points.ts'
import { freePort } from '../rig/ports.ts'
import { until } from '../rig/until.ts'
import { openDevice, openViewer } from '../rig/wire.ts'

/** The server library leaves a reader alone for so long, if nobody keeps it from it. */
const LIBRARY_PATIENCE_MS = 16_000
/** Points, a second apart: more of them than fit into the buffers on the way. */
const LONG = 150_000
const FIRST_MS = Date.UTC(2025, 0, 1)
const INSERT = `
with s as (
  insert into sessions (device_id, user_id, status, started_at, ended_at, updated_at)
  values ($1::int, $2::int, 'ended', '2025-01-01Z', '2025-01-03Z', now()) returning id
)
insert into points (device_id, session_id, lat, lng, geom, recorded_at, received_at)
select $1::int, s.id, 52, 13, st_setsrid(st_makepoint(13, 52), 4326),
       timestamptz '2025-01-01Z' + i * interval '1 second', now()
from s, generate_series(1, $3::int) as i`
const opensslMissing = findOpenssl() ? '' : ' (openssl was not found)'
let folder = ''
const file = (name: string) => path.join(folder, name)

function findOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: 'ignore' })
}

beforeAll(() => {
  if (opensslMissing !== '') return
  folder = mkdtempSync(path.join(os.tmpdir(), 'alzy-tls-'))
  // A private authority, and a certificate of it for the name of this machine.
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl(
    'req',
    '-x509',
    ...ec,
    '-keyout',
    file('ca.key'),
    '-out',
    file('ca.pem'),
    '-days',
    '2',
    '-subj',
    '/CN=Test CA',
  )
  openssl('req', ...ec, '-keyout', file('key.pem'), '-out', file('hub.csr'), '-subj', '/CN=localhost')
  writeFileSync(file('names'), 'subjectAltName=DNS:localhost\n')
  const issue = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial', '-days', '2']
  openssl(
    'x509',
    '-req',
    '-in',
    file('hub.csr'),
    ...issue,
    '-extfile',
    file('names'),
    '-out',
    file('cert.pem'),
  )
  openssl('genrsa', '-out', file('other.pem'), '2048')
  openssl('rsa', '-in', file('other.pem'), '-aes256', '-passout', 'pass:secret', '-out', file('locked.pem'))
  openssl('x509', '-in', file('cert.pem'), '-outform', 'DER', '-out', file('cert.der'))
  writeFileSync(file('nonsense.pem'), 'nonsense')
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe.skipIf(opensslMissing !== '')(`a hub with TLS${opensslMissing}`, () => {
  let hub: TestHub
  let database: TestDatabase
  let port: number
  let env: Record<string, string>
  const ca = () => readFileSync(file('ca.pem'))

  beforeAll(async () => {
    database = await createEmbedded()
    port = await freePort()
    env = {
      ALZY_TLS_CERT: file('cert.pem'),
      ALZY_TLS_KEY: file('key.pem'),
      ALZY_PORT: String(port),
    }
    hub = await startHub({ database, env })
  })
  afterAll(async () => {
    await hub?.end()
    await database?.drop()
  })

  /** A command as on the hub's own machine, with the settings of the hub. */
  const command = (args: string[], more: Record<string, string> = {}) =>
    runAlzy(args, { ...database.env, ...env, NODE_EXTRA_CA_CERTS: file('ca.pem'), ...more })

  /** Resolves with the head; nothing of the body is read until somebody does. */
  function ask(place: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      https
        .get(`https://localhost:${port}${place}`, { ca: ca(), agent: false, headers }, resolve)
        .on('error', reject)
    })
  }

  async function get(place: string): Promise<{ status: number; body: string }> {
    const response = await ask(place)
    return { status: response.statusCode!, body: await textOf(response) }
  }

  test('answers over HTTPS, and says in its log and figures that it does', async () => {
    expect((await get('/healthz')).status).toBe(200)
    expect(hub.log.find(({ msg }) => msg === 'listening')).toMatchObject({ tls: true, port })
    const expires = Number(/^alzy_certificate_expires_ms (\S+)/m.exec((await get('/metrics')).body)?.[1])
    expect(expires).toBeGreaterThan(Date.now())
    expect(expires).toBeLessThan(Date.now() + 3 * 24 * 3_600_000)
  })

  test('tells browsers to come back over HTTPS, where it speaks for all ports of its name', async () => {
    const told = async (place: string, host: string) => {
      const { headers, statusCode } = await ask(place, { host })
      expect(headers['x-content-type-options'], `${statusCode}`).toBe('nosniff')
      return headers['strict-transport-security']
    }
    for (const place of ['/', '/healthz', '/v1/me', '/v1/nothing', '/metrics']) {
      expect(await told(place, 'localhost'), place).toBe('max-age=15552000')
      expect(await told(place, 'localhost:443'), place).toBe('max-age=15552000')
      expect(await told(place, `localhost:${port}`), place).toBeUndefined()
    }
  })

  test('is reached by the commands without being told where, and takes a point', async () => {
    expect((await command(['user', 'add', 'ann@example.org'])).code).toBe(0)
    const added = await command(['device', 'add', 'ann@example.org', 'Bike', '--key', '--json'])
    const { deviceKey } = JSON.parse(added.stdout)
    const { token } = JSON.parse((await command(['token', 'ann@example.org', '--json'])).stdout)
    const url = `wss://localhost:${port}`
    const device = await openDevice(url, { ca: ca(), deviceKey })
    await device.welcome
    device.send(pointsFrame(1, Date.now()))
    await device.ack(1)
    const own = { origin: `https://localhost:${port}` }
    const viewer = await openViewer(url, { ca: ca(), token, headers: own })
    await viewer.welcome
    await viewer.close()
    await device.close()
    for (const origin of [`http://localhost:${port}`, 'https://localhost', 'null']) {
      await expect(openViewer(url, { ca: ca(), headers: { origin } })).rejects.toThrow(/HTTP 403/)
    }
    const track = fileURLToPath(new URL('../../src/demo/tracks/cerknicko-jezero.gpx', import.meta.url))
    const replayed = await command(['replay', track, '--speed', '0', '--shift', 'now', '--key', deviceKey])
    expect(replayed).toMatchObject({ code: 0 })
  })

  test('streams a long export to a reader who takes a rest, every point once', {
    timeout: 900_000,
  }, async () => {
    const user = await command(['user', 'add', 'far@example.org', '--json'])
    const added = await command(['device', 'add', 'far@example.org', 'Ship', '--key', '--json'])
    const { token } = JSON.parse((await command(['token', 'far@example.org', '--json'])).stdout)
    const { deviceId } = JSON.parse(added.stdout)
    await hub.end()
    await database.query(INSERT, [deviceId, JSON.parse(user.stdout).id, LONG])
    hub = await startHub({ database, env })
    const response = await ask(`/v1/devices/${deviceId}/points?format=csv`, {
      authorization: `Bearer ${token}`,
    })
    expect(response.statusCode).toBe(200)
    // Nothing is read until the hub has stopped, and then for longer than the server library itself would wait.
    const restedMs = performance.now()
    await until(() => performance.now() - restedMs > LIBRARY_PATIENCE_MS, 'the rest is over', 60_000)
    const pages = Number(/^alzy_point_pages_total (\S+)/m.exec((await get('/metrics')).body)?.[1])
    expect(pages).toBeLessThan((LONG / 1_000) * 0.9)
    const rows = (await textOf(response)).trimEnd().split('\r\n').slice(1)
    expect(response.complete).toBe(true)
    expect(rows.length).toBe(LONG)
    const wrong = rows.findIndex((row, i) => Date.parse(row.slice(0, 24)) !== FIRST_MS + (i + 1) * 1_000)
    expect(wrong).toBe(-1)
  })

  test('that is not trusted is named, with what would help', async () => {
    const { code, stderr } = await command(['user', 'list'], { NODE_EXTRA_CA_CERTS: '' })
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /^alzy: the certificate of https:\/\/localhost:\d+ is not trusted here .*NODE_EXTRA_CA_CERTS.*\n$/,
    )
    const plain = await command(['user', 'list'], { ALZY_URL: `http://localhost:${port}` })
    expect([plain.code, plain.stderr.split('\n').length]).toEqual([1, 2])
  })

  test('passes the health check of its image', async () => {
    const healthcheck = await built('healthcheck.js')
    const child = (more: Record<string, string>) =>
      once(spawn(process.execPath, [healthcheck], { env: { ...env, ...more } }), 'exit')
    expect((await child({}))[0]).toBe(0)
    expect((await child({ ALZY_PORT: String(await freePort()) }))[0]).toBe(1)
  })

  test('lives on when somebody speaks plain HTTP to it, or hangs up in the handshake', async () => {
    const plain = net.connect({ port, host: '127.0.0.1' })
    plain.on('error', () => {})
    plain.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(plain, 'close')
    const half = net.connect({ port, host: '127.0.0.1' })
    await once(half, 'connect')
    half.write(Buffer.from('16030100', 'hex'))
    half.resetAndDestroy()
    expect((await get('/healthz')).status).toBe(200)
    await until(
      async () => /^alzy_http_connections 1$/m.test((await get('/metrics')).body),
      'they are not counted',
    )
  })
})

describe.skipIf(opensslMissing !== '')(`files of TLS${opensslMissing}`, () => {
  test.each<[string, string, string, RegExp]>([
    [
      'a certificate that is not there',
      'none.pem',
      'key.pem',
      /^ALZY_TLS_CERT: cannot read .*none\.pem \(ENOENT\)\n$/,
    ],
    ['a key that is a folder', 'cert.pem', '', /^ALZY_TLS_KEY: cannot read .* \(EISDIR\)\n$/],
    [
      'a certificate that is none',
      'nonsense.pem',
      'key.pem',
      /^ALZY_TLS_CERT: .*nonsense\.pem is not a certificate in PEM\n$/,
    ],
    [
      'a certificate in DER',
      'cert.der',
      'key.pem',
      /^ALZY_TLS_CERT: .*cert\.der is not a certificate in PEM\n$/,
    ],
    [
      'a key that is none',
      'cert.pem',
      'nonsense.pem',
      /^ALZY_TLS_KEY: .*nonsense\.pem is not a private key in PEM\n$/,
    ],
    [
      'a key with a passphrase',
      'cert.pem',
      'locked.pem',
      /^ALZY_TLS_KEY: .*locked\.pem is encrypted: remove its passphrase\n$/,
    ],
    [
      'a key of another certificate',
      'cert.pem',
      'other.pem',
      /^ALZY_TLS_KEY: .*other\.pem is not the key of the certificate in .*cert\.pem\n$/,
    ],
    ['two that are wrong', 'none.pem', 'nonsense.pem', /^ALZY_TLS_CERT: .*\nALZY_TLS_KEY: .*\n$/],
  ])('%s stops the start with a line', async (_, cert, key, said) => {
    const { code, stderr } = await runAlzy(['serve'], { ALZY_TLS_CERT: file(cert), ALZY_TLS_KEY: file(key) })
    expect([code, stderr]).toEqual([1, expect.stringMatching(said)])
  })
})

describe.skipIf(opensslMissing !== '')(`the demo with TLS${opensslMissing}`, () => {
  test('moves, and says how to watch it', async () => {
    const database = await createEmbedded()
    const child = spawn(process.execPath, [await built('main.js'), 'demo'], {
      env: {
        ...database.env,
        PATH: process.env.PATH,
        ALZY_PORT: '0',
        ALZY_TLS_CERT: file('cert.pem'),
        ALZY_TLS_KEY: file('key.pem'),
        NODE_EXTRA_CA_CERTS: file('ca.pem'),
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = once(child, 'exit')
    let said = ''
    child.stdout.on('data', (data) => {
      said += data
    })
    await until(
      () => /watch --url https:\/\/localhost:\d+ --token/.test(said),
      'it says how to watch',
      200_000,
    )
    child.kill('SIGTERM')
    expect((await ended)[0]).toBe(0)
    await database.drop()
  })
})
