/**
 * HTTP on uWebSockets.js: takes what it needs from a request before its first wait, reads the body up to a
 * bound, finds the route, and answers once, in one piece or in a stream. What the routes do it does not know.
 */
import type { HttpRequest, HttpResponse } from 'uWebSockets.js'
import type { Door } from '../access/door.ts'
import type { Origins } from '../access/origins.ts'
import {
  type Answer,
  type FieldError,
  type Handler,
  type Handlers,
  Problem,
  type Request,
  type StreamedAnswer,
} from '../api/message.ts'
import type { Clock } from '../clock.ts'
import { countRefusal } from '../ops/metrics.ts'
import type { Ops } from '../ops/ops.ts'
import { browserHeaders } from './headers.ts'
import { RETRY_AFTER_S } from './server.ts'
import type { createStreams, Link } from './stream.ts'
import type { Visitors } from './visitor.ts'

export interface HttpOptions {
  handlers: Handlers
  streams: ReturnType<typeof createStreams>
  limits: {
    bodyBytesMax: number
    /** How long a body may take to arrive. */
    bodyTimeoutMs: number
  }
  ops: Pick<Ops, 'counts' | 'faults'>
  clock: Clock
  door: Door
  origins: Origins
  visitors: Visitors
}

const STATUS: Readonly<Record<number, string>> = {
  200: '200 OK',
  201: '201 Created',
  204: '204 No Content',
  400: '400 Bad Request',
  401: '401 Unauthorized',
  403: '403 Forbidden',
  404: '404 Not Found',
  405: '405 Method Not Allowed',
  406: '406 Not Acceptable',
  408: '408 Request Timeout',
  409: '409 Conflict',
  413: '413 Content Too Large',
  415: '415 Unsupported Media Type',
  429: '429 Too Many Requests',
  500: '500 Internal Server Error',
  503: '503 Service Unavailable',
}
/** What tells an operator's tools that the hub lives is answered even to somebody who asks too much. */
const PROBES = ['/healthz', '/readyz']
const METHODS = 'GET, POST, PATCH, DELETE'

export function createHttp(options: HttpOptions) {
  const { ops, clock } = options
  const routes = Object.entries(options.handlers).map(([place, handler]) => {
    const [method, path] = place.split(' ') as [string, string]
    return { method, segments: path.split('/'), handler }
  })
  return { handle }

  function handle(res: HttpResponse, req: HttpRequest): void {
    // `req` is dead after the first wait.
    const method = req.getMethod().toUpperCase()
    const path = req.getUrl()
    const query = new URLSearchParams(req.getQuery() ?? '')
    const bearer = /^Bearer +(\S+)$/i.exec(req.getHeader('authorization'))?.[1] ?? null
    const contentType = req.getHeader('content-type')
    const accept = req.getHeader('accept')
    const origin = req.getHeader('origin')
    const visitor = options.visitors.read(res, req)
    const { address } = visitor
    const baseUrl = options.origins.baseUrl(visitor)
    ops.counts.httpRequests += 1
    const link: Link = { res, block: visitor.block, isGone: false, onGone: () => {} }
    let stopReading = () => {}
    res.onAborted(() => {
      link.isGone = true
      link.onGone()
      stopReading()
    })
    const headers = browserHeaders(visitor)
    const send = (answer: Answer): undefined | Promise<void> => {
      if ('pieces' in answer) return stream(link, method, answer, headers)
      if (!link.isGone) write(res, method, answer, headers)
    }
    if (origin !== '') {
      if (!options.origins.isAllowed(origin, visitor)) {
        countRefusal(ops.counts, 'origin')
        return void send(
          problem(403, 'this origin is not allowed; the setting ALZY_ORIGINS lists those that are'),
        )
      }
      headers['Access-Control-Allow-Origin'] = origin
      headers.Vary = 'Origin'
    }
    if (!PROBES.includes(path) && !options.door.mayRequest(visitor.block, clock.elapsed())) {
      countRefusal(ops.counts, 'requestRate')
      headers['Retry-After'] = String(RETRY_AFTER_S)
      return void send(problem(429, 'too many requests from this address'))
    }
    if (origin !== '' && method === 'OPTIONS') {
      headers['Access-Control-Allow-Methods'] = METHODS
      headers['Access-Control-Allow-Headers'] = 'Authorization, Content-Type'
      return void send({ status: 204 })
    }
    const hasLeft = () => link.isGone
    const head = { method, path, query, address, baseUrl, token: bearer, accept, hasLeft }
    const body = readBody(res, options)
    stopReading = body.stop
    respond(head, body.bytes, contentType)
      .then(send)
      .catch((error) => {
        if (error instanceof Problem) Object.assign(headers, error.headers)
        send(answerOf(error))
      })
  }

  async function respond(
    head: Omit<Request, 'body' | 'parameters'>,
    bytes: Promise<Buffer>,
    contentType: string,
  ): Promise<Answer> {
    // The body is read to its end whatever becomes of it, or the connection would be stuck.
    const raw = await bytes
    const { handler, parameters } = find(head.method, head.path)
    return handler({ ...head, parameters, body: parseBody(raw, contentType) })
  }

  async function stream(
    link: Link,
    method: string,
    { pieces, hold, ...answer }: StreamedAnswer,
    headers: Record<string, string>,
  ): Promise<void> {
    if (method !== 'HEAD') {
      return options.streams.send(link, { pieces, hold }, () => begin(link.res, answer, headers))
    }
    if (!link.isGone) link.res.cork(() => begin(link.res, answer, headers).endWithoutBody())
    await pieces.return(undefined)
  }

  function find(method: string, path: string): { handler: Handler; parameters: Record<string, string> } {
    const segments = path.split('/')
    const allowed: string[] = []
    for (const route of routes) {
      const parameters = match(route.segments, segments)
      if (parameters === null) continue
      allowed.push(...(route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]))
      if (route.method === method || (route.method === 'GET' && method === 'HEAD')) {
        return { handler: route.handler, parameters }
      }
    }
    if (allowed.length === 0) throw new Problem(404, 'there is nothing here')
    throw new Problem(405, `${method} is not possible here`, undefined, { Allow: allowed.join(', ') })
  }

  function answerOf(error: unknown): Answer {
    if (error instanceof Problem) return problem(error.status, error.message, error.errors)
    return ops.faults.judge(error) === 'away'
      ? problem(503, 'the database is away; try again')
      : problem(500, 'something went wrong; it is in the log of the hub')
  }
}

function match(pattern: readonly string[], segments: readonly string[]): Record<string, string> | null {
  if (pattern.length !== segments.length) return null
  const parameters: Record<string, string> = {}
  for (let i = 0; i < pattern.length; i++) {
    const name = /^\{(\w+)\}$/.exec(pattern[i]!)?.[1]
    if (name !== undefined) parameters[name] = segments[i]!
    else if (pattern[i] !== segments[i]) return null
  }
  return parameters
}

/**
 * `bytes` rejects with a Problem when the body is too large or takes too long; after `stop` it never settles.
 * uWebSockets.js itself ends a connection that brings less than 16 KB a second; somebody just above that could go
 * on for ever.
 */
function readBody(
  res: HttpResponse,
  { limits: { bodyBytesMax, bodyTimeoutMs }, ops, clock }: HttpOptions,
): { bytes: Promise<Buffer>; stop: () => void } {
  let callOff = () => {}
  const bytes = new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = []
    let count = 0
    callOff = clock.after(bodyTimeoutMs, () => {
      countRefusal(ops.counts, 'bodyTime')
      reject(new Problem(408, `the body did not arrive within ${bodyTimeoutMs} ms`))
    })
    res.onData((chunk, isLast) => {
      count += chunk.byteLength
      // The chunk is detached when this returns.
      if (count <= bodyBytesMax) chunks.push(Buffer.from(new Uint8Array(chunk)))
      if (!isLast) return
      callOff()
      if (count <= bodyBytesMax) return resolve(Buffer.concat(chunks))
      countRefusal(ops.counts, 'bodySize')
      reject(new Problem(413, `the body is larger than ${bodyBytesMax} bytes`))
    })
  })
  return { bytes, stop: () => callOff() }
}

function parseBody(bytes: Buffer, contentType: string): unknown {
  if (bytes.length === 0) return undefined
  if (!/^application\/json\b/i.test(contentType)) {
    throw new Problem(415, 'the body must be JSON, with Content-Type: application/json')
  }
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    throw new Problem(400, 'the body is not JSON')
  }
}

function problem(status: number, detail: string, errors?: readonly FieldError[]): Answer {
  const title = STATUS[status]!.slice(4)
  const body = { type: 'about:blank', title, status, detail, ...(errors && { errors }) }
  return { status, text: JSON.stringify(body), contentType: 'application/problem+json' }
}

/** Everything before the body. */
function begin(
  res: HttpResponse,
  answer: { status: number; contentType?: string | undefined; fileName?: string | null },
  headers: Record<string, string>,
): HttpResponse {
  const { status, contentType, fileName } = answer
  res.writeStatus(STATUS[status]!)
  for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value)
  res.writeHeader('Cache-Control', 'no-store')
  if (status === 401) res.writeHeader('WWW-Authenticate', 'Bearer')
  if (contentType !== undefined) res.writeHeader('Content-Type', contentType)
  if (fileName != null) res.writeHeader('Content-Disposition', `attachment; filename="${fileName}"`)
  return res
}

function write(
  res: HttpResponse,
  method: string,
  answer: Exclude<Answer, StreamedAnswer>,
  headers: Record<string, string>,
): void {
  const body = 'json' in answer ? JSON.stringify(answer.json) : 'text' in answer ? answer.text : ''
  const contentType =
    'json' in answer ? 'application/json' : 'text' in answer ? answer.contentType : undefined
  res.cork(() => {
    begin(res, { status: answer.status, contentType }, headers)
    // With the length as an argument it would wait for a body, and end the connection with the next request.
    if (method === 'HEAD') res.writeHeader('Content-Length', String(Buffer.byteLength(body))).endWithoutBody()
    else if (answer.status === 204) res.endWithoutBody()
    // What is still to come of a body that took too long is not waited for.
    else res.end(body, answer.status === 408)
  })
}
