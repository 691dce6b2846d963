/** Pages over HTTP: what a browser gets, how long it may keep it, and what it is told to forbid. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { built } from '../rig/gear.ts'
import { startHub, type TestHub } from '../rig/hub.ts'
import { createEmbedded, type TestDatabase } from '../rig/kinds.ts'
import { until } from '../rig/until.ts'

interface Got {
  status: number
  headers: IncomingMessage['headers']
  body: Buffer
}

describe('the pages', () => {
  let database: TestDatabase
  let hub: TestHub
  /** The folder in which they are built. */
  let pages: string

  beforeAll(async () => {
    database = await createEmbedded()
    pages = await built('web')
    hub = await startHub({
      database,
      env: { ALZY_MAP_STYLE: 'https://tiles.example.org/styles/quiet.json' },
      waitsForReady: false,
    })
  })
  afterAll(async () => {
    await hub?.end()
    await database?.drop()
  })

  function ask(place: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Got> {
    return new Promise((resolve, reject) => {
      const { searchParams: _, ...url } = new URL(hub.http + place)
      get(
        { ...url, hostname: '127.0.0.1', port: hub.port, path: place, method, headers },
        async (response) => {
          const chunks: Buffer[] = []
          for await (const chunk of response) chunks.push(chunk as Buffer)
          resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) })
        },
      ).on('error', reject)
    })
  }

  async function assetsOf(page: string): Promise<string[]> {
    const html = (await ask(page)).body.toString()
    return [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, place]) => place!)
  }

  test.each(['/', '/track', '/admin'])(
    '%s is there before the database is, and looked up each time',
    async (page) => {
      const first = await ask(page)
      expect(first).toMatchObject({ status: 200 })
      expect(first.headers).toMatchObject({
        'content-type': 'text/html; charset=utf-8',
        'cache-control': 'no-cache',
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        vary: 'Accept-Encoding',
      })
      const again = await ask(page, { 'if-none-match': first.headers.etag! })
      expect([again.status, again.body.length]).toEqual([304, 0])
      const other = await ask(page, { 'if-none-match': '"another"' })
      expect(other.status).toBe(200)
      const head = await ask(page, {}, 'HEAD')
      expect([head.status, head.body.length]).toEqual([200, 0])
      expect(head.headers['content-length']).toBe(String(first.body.length))
    },
  )

  test('the policy allows scripts, styles and workers of the hub only, and the map style what it needs', async () => {
    const { headers } = await ask('/')
    const policy = new Map(
      headers['content-security-policy']!.toString()
        .split('; ')
        .map((directive) => directive.split(' '))
        .map(([name, ...sources]) => [name, sources.join(' ')]),
    )
    expect(policy.get('default-src')).toBe("'none'")
    for (const name of ['script-src', 'style-src', 'worker-src'])
      expect(policy.get(name), name).toBe("'self'")
    expect(policy.get('connect-src')).toBe("'self' https://tiles.example.org")
    expect(policy.get('frame-ancestors')).toBe("'none'")
    expect((await hub.request('GET', '/v1/config', undefined, null)).json).toEqual({
      mapStyle: 'https://tiles.example.org/styles/quiet.json',
      oidc: null,
    })
  })

  test('no page has a script or a style in it', async () => {
    for (const page of ['/', '/track', '/admin']) {
      const html = (await ask(page)).body.toString()
      expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/)
    }
  })

  test('assets are kept for ever, and come in the smallest form that is accepted', async () => {
    const [place] = (await assetsOf('/')).filter((name) => name.endsWith('.js'))
    const plain = await ask(place!)
    expect(plain.headers['cache-control']).toBe('public, max-age=31536000, immutable')
    expect(plain.headers['content-type']).toBe('text/javascript; charset=utf-8')
    expect(plain.headers['content-encoding']).toBeUndefined()
    expect(plain.body.equals(readFileSync(pages + place))).toBe(true)
    const gzip = await ask(place!, { 'accept-encoding': 'gzip, deflate, br;q=0' })
    expect(gzip.headers['content-encoding']).toBe('gzip')
    expect(gunzipSync(gzip.body).equals(plain.body)).toBe(true)
    const br = await ask(place!, { 'accept-encoding': 'gzip, deflate, br' })
    expect(br.headers['content-encoding']).toBe('br')
    expect(brotliDecompressSync(br.body).equals(plain.body)).toBe(true)
    expect(br.body.length).toBeLessThan(gzip.body.length)
  })

  test('somebody who reads slowly gets all of a large file', async () => {
    const chart = readFileSync(
      `${pages}${(await assetsOf('/')).find((name) => name.endsWith('.js'))}`,
      'utf8',
    )
    const name = /chart-[\w-]+\.js/.exec(chart)![0]
    const body = await new Promise<Buffer>((resolve, reject) => {
      get(`${hub.http}/assets/${name}`, async (response) => {
        const chunks: Buffer[] = []
        for await (const chunk of response) {
          chunks.push(chunk as Buffer)
          await new Promise(setImmediate)
        }
        resolve(Buffer.concat(chunks))
      }).on('error', reject)
    })
    expect(body.equals(readFileSync(`${pages}/assets/${name}`))).toBe(true)
  })

  test('after HEAD the connection is good for the next request', async () => {
    const one = await plainSocket(hub.port)
    for (const place of ['/', '/healthz', '/']) {
      one.write(`HEAD ${place} HTTP/1.1\r\nHost: ${one.host}\r\n\r\n`)
      expect(await one.head()).toMatch(/^HTTP\/1.1 200 OK\r\n[\s\S]*\r\nContent-Length: [1-9]/)
    }
    one.end()
  })

  test('what is no page is left to the API', async () => {
    expect((await ask('/assets/../index.html')).status).toBe(404)
    expect((await ask('/licenses.md')).status).toBe(404)
    expect((await ask('/nothing')).headers['content-type']).toBe('application/problem+json')
    expect((await ask('/', {}, 'DELETE')).status).toBe(404)
  })
})

/** One connection, on which every answer ends with its head. */
async function plainSocket(port: number) {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  await once(socket, 'connect')
  return {
    host: `127.0.0.1:${port}`,
    write: (request: string) => socket.write(request),
    head: async () => {
      await until(() => text.includes('\r\n\r\n') || socket.destroyed, 'there is an answer')
      const [head] = text.split('\r\n\r\n')
      text = ''
      return head
    },
    end: () => socket.end(),
  }
}
