import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { ApiError, createApiClient } from '../../src/commands/api.ts'

let server: Server | null = null
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
  server = null
})

/** A server on 127.0.0.1 that answers every request with `handler`; returns its address. */
async function served(
  handler: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const started = createServer(handler)
  server = started
  await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(started.address() as AddressInfo).port}`
}

const failure = (promise: Promise<unknown>): Promise<ApiError> =>
  promise.then(
    () => {
      throw new Error('no failure')
    },
    (error) => error,
  )

test('a request carries the token and its JSON body, and gives the JSON of the answer', async () => {
  const url = await served(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const { method, url: path, headers } = request
    response.writeHead(201, { 'content-type': 'application/json' })
    response.end(
      JSON.stringify({ method, path, body, type: headers['content-type'], auth: headers.authorization }),
    )
  })
  expect(await createApiClient(`${url}/`, 'T0').request('POST', '/v1/devices', { name: 'Bus 7' })).toEqual({
    method: 'POST',
    path: '/v1/devices',
    body: '{"name":"Bus 7"}',
    type: 'application/json',
    auth: 'Bearer T0',
  })
})

test('an answer without content is undefined', async () => {
  const url = await served((_, response) => response.writeHead(204).end())
  expect(await createApiClient(url, 't').request('DELETE', '/v1/devices/1')).toBeUndefined()
})

test('a problem is told by its detail in one line, with the status', async () => {
  const url = await served((_, response) => {
    response.writeHead(403, { 'content-type': 'application/problem+json' })
    response.end(
      JSON.stringify({ type: 'about:blank', title: 'Forbidden', status: 403, detail: 'admins\nonly' }),
    )
  })
  const error = await failure(createApiClient(url, 't').request('GET', '/v1/users'))
  expect(error).toBeInstanceOf(ApiError)
  expect([error.message, error.status]).toEqual(['admins only (403 Forbidden)', 403])
})

test('a refusal without a problem document is told by its status', async () => {
  const url = await served((_, response) => response.writeHead(502).end('<html>'))
  const error = await failure(createApiClient(url, 't').request('GET', '/v1/users'))
  expect(error.message).toBe('the hub answered 502 Bad Gateway')
})

test('an answer that is not JSON comes from something that is no hub', async () => {
  const url = await served((_, response) => response.end('<html>hello</html>'))
  const error = await failure(createApiClient(url, 't').request('GET', '/v1/me'))
  expect(error.message).toBe(`${url}/v1/me answered with something else than JSON: is this a hub?`)
})

test('a hub that does not run is named with its address', async () => {
  const url = await served(() => {})
  await new Promise((resolve) => server!.close(resolve))
  const error = await failure(createApiClient(url, 't').request('GET', '/v1/me'))
  expect([error.message, error.status]).toEqual([
    `hub not reachable at ${url} (ECONNREFUSED): is it running?`,
    null,
  ])
})

test('an answer that breaks off is a hub that is not reachable', async () => {
  const url = await served((_, response) => {
    response.writeHead(200, { 'content-length': '100' })
    response.write('{"users":', () => response.destroy())
  })
  const error = await failure(createApiClient(url, 't').request('GET', '/v1/users'))
  expect(error.message).toMatch(/^hub not reachable at /)
})

test('a list is read page by page to its end', async () => {
  const asked: string[] = []
  const url = await served((request, response) => {
    asked.push(request.url!)
    const first = !request.url!.includes('after=')
    response.end(JSON.stringify(first ? { devices: [1, 2], next: 'a b&c' } : { devices: [3], next: null }))
  })
  expect(await createApiClient(url, 't').listed('/v1/devices?userId=7&limit=200', 'devices')).toEqual([
    1, 2, 3,
  ])
  expect(asked).toEqual(['/v1/devices?userId=7&limit=200', '/v1/devices?userId=7&limit=200&after=a%20b%26c'])
})
