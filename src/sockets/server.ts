/**
 * The listening socket: decides upgrades at once and synchronously, and hands frames to their route. It knows no
 * message.
 */

import type { HttpRequest, HttpResponse, us_listen_socket, us_socket_context_t } from 'uWebSockets.js'
import uws from 'uWebSockets.js'
import type { Door } from '../access/door.ts'
import type { Origins } from '../access/origins.ts'
import type { Clock } from '../clock.ts'
import { countRefusal } from '../ops/metrics.ts'
import type { Ops } from '../ops/ops.ts'
import { CLOSE } from '../protocol/closes.ts'
import { type Peer, SocketPeer } from './peer.ts'
import type { Visitor, Visitors } from './visitor.ts'

/** One WebSocket route: what its sockets are like, and who is told of them. */
export interface SocketRoute<State> {
  path: string
  subprotocol: string
  /** Browsers of other origins are refused. */
  checksOrigin: boolean
  frameBytesMax: number
  /** Bytes that may wait for a peer that does not read. */
  bufferBytesMax: number
  /** False: full, 503. */
  hasRoom: () => boolean
  open: (peer: Peer) => State
  message: (state: State, frame: ArrayBuffer) => void
  close: (state: State) => void
  /** Published frames were lost because the buffer was full. */
  dropped?: (state: State) => void
}

export interface ServerOptions {
  limits: {
    heartbeatS: number
    /** Connections that are no WebSocket, or not yet. */
    httpConnectionsMax: number
  }
  ops: Pick<Ops, 'counts' | 'faults'>
  clock: Pick<Clock, 'elapsed'>
  /** Files in PEM; null: no TLS. */
  tls: { certPath: string; keyPath: string } | null
  door: Door
  origins: Origins
  visitors: Visitors
}

export const RETRY_AFTER_S = 10
const WEBSOCKET_VERSION = '13'

/** What uWebSockets.js carries for each socket: where it comes from until it is open, then its seat. */
interface Carried<State> {
  visitor: Visitor | null
  seat: { peer: SocketPeer<Carried<State>>; state: State } | null
}

export type Server = ReturnType<typeof createServer>

/** A closure over 150 lines: all that touches the native app stands in it, since a throw of any of it would end the process. */
export function createServer(options: ServerOptions) {
  const { limits, ops, clock, door, visitors } = options
  const app = createApp(options.tls)
  let listening: us_listen_socket | null = null
  let published: { topic: string; frame: Uint8Array }[] = []
  /** Connections that are no WebSocket, or not yet. */
  let httpConnections = 0
  app.filter((res, change) => guardConnection(res, Number(change)))
  return {
    addRoute,
    addHttp,
    listen,
    publish,
    flush,
    stopListening,
    close,
    get httpConnections() {
      return httpConnections
    },
  }

  function addRoute<State>(route: SocketRoute<State>): void {
    app.ws<Carried<State>>(route.path, {
      compression: uws.DISABLED,
      maxPayloadLength: route.frameBytesMax,
      maxBackpressure: route.bufferBytesMax,
      idleTimeout: limits.heartbeatS,
      maxLifetime: 0,
      sendPingsAutomatically: true,
      upgrade: (res, req, context) => guard(res, () => upgrade(route, res, req, context)),
      open: (ws) => {
        const carried = ws.getUserData()
        const { address, block } = carried.visitor!
        carried.visitor = null
        const pass = door.open(block)
        httpConnections -= 1
        const peer = new SocketPeer(ws, address, door, pass)
        attend(peer, () => {
          carried.seat = { peer, state: route.open(peer) }
        })
        if (carried.seat === null) door.close(pass)
      },
      message: (ws, frame, isBinary) => {
        const seat = ws.getUserData().seat
        if (seat === null) return
        // Not by `attend`: that would be a closure for each frame.
        try {
          if (isBinary) route.message(seat.state, frame)
          else seat.peer.malformed('frames are binary', null)
        } catch (error) {
          fail(seat.peer, error)
        }
      },
      dropped: (ws) => {
        const seat = ws.getUserData().seat
        if (seat !== null) attend(seat.peer, () => route.dropped?.(seat.state))
      },
      close: (ws) => {
        const seat = ws.getUserData().seat
        if (seat === null) return
        seat.peer.closed()
        attend(seat.peer, () => route.close(seat.state))
      },
    })
    // A GET that is no WebSocket handshake comes here.
    app.any(route.path, (res) => {
      guard(res, () => refuseOther(res))
    })
  }

  /** Everything that is not a WebSocket. `handle` must answer or attach onAborted before it returns. */
  function addHttp(handle: (res: HttpResponse, req: HttpRequest) => void): void {
    app.any('/*', (res, req) => guard(res, () => handle(res, req)))
  }

  function upgrade<State>(
    route: SocketRoute<State>,
    res: HttpResponse,
    req: HttpRequest,
    context: us_socket_context_t,
  ): void {
    if (!isHandshake(req)) return refuseOther(res)
    const origin = req.getHeader('origin')
    const offered = req.getHeader('sec-websocket-protocol').split(',')
    const visitor = visitors.read(res, req)
    if (route.checksOrigin && origin !== '' && !options.origins.isAllowed(origin, visitor)) {
      countRefusal(ops.counts, 'origin')
      return refuse(res, '403 Forbidden')
    }
    if (!offered.some((name) => name.trim() === route.subprotocol)) {
      return refuse(res, '400 Bad Request')
    }
    const reason = route.hasRoom() ? door.refusal(visitor.block, clock.elapsed()) : 'routeFull'
    if (reason !== null) {
      countRefusal(ops.counts, reason)
      const isEverybody = reason === 'routeFull' || reason === 'crowded'
      const status = isEverybody ? '503 Service Unavailable' : '429 Too Many Requests'
      return refuse(res, status, { 'Retry-After': String(RETRY_AFTER_S) })
    }
    // The answer names our constant, never what the client sent.
    const [key, extensions] = [req.getHeader('sec-websocket-key'), req.getHeader('sec-websocket-extensions')]
    res.upgrade<Carried<State>>({ visitor, seat: null }, key, route.subprotocol, extensions, context)
  }

  /**
   * A connection has come (`change` 1) or gone (−1); one that became a WebSocket is never reported gone. Whoever opens
   * many and says nothing would use up what the process may open; it is told nothing, for it has asked nothing.
   */
  function guardConnection(res: HttpResponse, change: number): void {
    httpConnections += change
    if (change < 0) return
    try {
      const isFull = httpConnections > limits.httpConnectionsMax
      if (!isFull && door.mayConnect(visitors.blockOfPeer(res), clock.elapsed())) return
      ops.counts[isFull ? 'connectionsDropped' : 'connectionsDroppedAddress'] += 1
      res.close()
    } catch (error) {
      ops.faults.ours(error)
    }
  }

  function refuse(res: HttpResponse, status: string, headers: Record<string, string> = {}): void {
    res.cork(() => {
      res.writeStatus(status)
      for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value)
      res.end()
    })
  }

  function refuseOther(res: HttpResponse): void {
    refuse(res, '426 Upgrade Required', { Upgrade: 'websocket', 'Sec-WebSocket-Version': WEBSOCKET_VERSION })
  }

  /** A throw before an answer would abort the process; a fault of our own ends one connection, and the hub goes on. */
  function guard(res: HttpResponse, handle: () => void): void {
    try {
      handle()
    } catch (error) {
      ops.faults.ours(error)
      try {
        res.cork(() => res.writeStatus('500 Internal Server Error').end())
      } catch {
        // Already answered or gone.
      }
    }
  }

  function attend(peer: Peer, handle: () => void): void {
    try {
      handle()
    } catch (error) {
      fail(peer, error)
    }
  }

  function fail(peer: Peer, error: unknown): void {
    ops.faults.ours(error)
    peer.end(CLOSE.internal)
  }

  function listenExclusively(
    host: string,
    port: number,
    then: (socket: us_listen_socket | false) => void,
  ): void {
    // The types of the package lack this form, and name the option but not where it is.
    const { LIBUS_LISTEN_EXCLUSIVE_PORT } = uws as unknown as { LIBUS_LISTEN_EXCLUSIVE_PORT: number }
    const native = app as unknown as { listen: (...place: [string, number, number, typeof then]) => void }
    native.listen(host, port, LIBUS_LISTEN_EXCLUSIVE_PORT, then)
  }

  /** Resolves with the port; rejects when it is taken. */
  function listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      // Exclusive: two hubs on one port would share its connections without a word.
      listenExclusively(host, port, (socket) => {
        if (!socket) return reject(new Error(`cannot listen on ${host} port ${port}: is it in use?`))
        listening = socket
        resolve(uws.us_socket_local_port(socket))
      })
    })
  }

  /**
   * Not at once: while a socket's message is handled the native side keeps its write buffer for that socket, and
   * every frame would cost every subscriber a system call. Once the handlers are through, it writes many at a time.
   */
  function publish(topic: string, frame: Uint8Array): void {
    if (published.length === 0) setImmediate(flush)
    published.push({ topic, frame })
  }

  /** What is published goes to those who are subscribed now; to be called before that changes. */
  function flush(): void {
    const frames = published
    published = []
    for (const { topic, frame } of frames) app.publish(topic, frame, true, false)
  }

  function stopListening(): void {
    if (listening !== null) uws.us_listen_socket_close(listening)
    listening = null
  }

  /** Ends what is still open, without a close frame. */
  function close(): void {
    stopListening()
    published = []
    app.close()
  }
}

/** uWebSockets.js looks at the key alone, and would answer versions that it does not speak. */
function isHandshake(req: HttpRequest): boolean {
  const protocols = req.getHeader('upgrade').toLowerCase().split(',')
  const isUpgrade = protocols.some((name) => name.trim() === 'websocket')
  return isUpgrade && req.getHeader('sec-websocket-version') === WEBSOCKET_VERSION
}

function createApp(tls: ServerOptions['tls']) {
  if (tls === null) return uws.App()
  try {
    return uws.SSLApp({ cert_file_name: tls.certPath, key_file_name: tls.keyPath })
  } catch {
    throw new Error(
      `TLS does not take ${tls.certPath} with ${tls.keyPath}: an RSA or ECDSA key of usual size is needed`,
    )
  }
}
