/**
 * Pages on uWebSockets.js: answers from memory at the pace of whoever reads, without a copy for each of them. What is
 * answered is decided elsewhere.
 */
import type { HttpRequest, HttpResponse } from 'uWebSockets.js'
import type { Door } from '../access/door.ts'
import type { Clock } from '../clock.ts'
import { countRefusal } from '../ops/metrics.ts'
import type { Ops } from '../ops/ops.ts'
import { browserHeaders } from './headers.ts'
import type { Pages, Reply } from './pageFiles.ts'
import { RETRY_AFTER_S } from './server.ts'
import type { Visitors } from './visitor.ts'

export interface PageServerOptions {
  pages: Pages
  ops: Pick<Ops, 'counts'>
  clock: Pick<Clock, 'elapsed'>
  door: Door
  visitors: Visitors
}

const STATUS = { 200: '200 OK', 304: '304 Not Modified' } as const

/** `handle` is true when the request was for a page and is answered. */
export function createPageServer({ pages, ops, clock, door, visitors }: PageServerOptions) {
  return { handle }

  function handle(res: HttpResponse, req: HttpRequest): boolean {
    const method = req.getMethod()
    if (method !== 'get' && method !== 'head') return false
    const reply = pages.find({
      path: req.getUrl(),
      acceptEncoding: req.getHeader('accept-encoding'),
      ifNoneMatch: req.getHeader('if-none-match'),
    })
    if (reply === null) return false
    ops.counts.httpRequests += 1
    const visitor = visitors.read(res, req)
    const headers = browserHeaders(visitor)
    if (door.mayRequest(visitor.block, clock.elapsed())) {
      write(res, { ...reply, headers: { ...headers, ...reply.headers } }, method === 'head')
    } else {
      countRefusal(ops.counts, 'requestRate')
      refuse(res, headers)
    }
    return true
  }
}

function refuse(res: HttpResponse, headers: Readonly<Record<string, string>>): void {
  res.cork(() => {
    res.writeStatus('429 Too Many Requests').writeHeader('Retry-After', String(RETRY_AFTER_S))
    for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value)
    res.end()
  })
}

function write(res: HttpResponse, { status, headers, body }: Reply, isHead: boolean): void {
  let isGone = false
  res.onAborted(() => {
    isGone = true
  })
  res.cork(() => {
    res.writeStatus(STATUS[status])
    for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value)
    if (status === 304) return res.endWithoutBody()
    // With the length as an argument it would wait for a body, and end the connection with the next request.
    if (isHead) return res.writeHeader('Content-Length', String(body.byteLength)).endWithoutBody()
    const [, isDone] = res.tryEnd(body, body.byteLength)
    if (isDone) return
    res.onWritable((offset) => {
      if (isGone) return true
      const [taken, done] = res.tryEnd(body.subarray(offset), body.byteLength)
      return taken || done
    })
  })
}
