/**
 * The listening socket: decides upgrades at once and synchronously, hands frames to their route, and keeps the
 * deadline of HELLO. It knows no message.
 */

import type { HttpRequest, HttpResponse, us_listen_socket, us_socket_context_t } from 'uWebSockets.js'
import uws from 'uWebSockets.js'
import { CLOSE } from '../protocol/closes.ts'
import { createPeer, type Peer, type Seat } from './peer.ts'

export interface Route<State> {
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
  heartbeatS: number
  isOriginAllowed: (origin: string, host: string) => boolean
  onRefused: () => void
  /** A fault of our own in a handler: the connection is closed with 1011, the hub goes on. */
  onFault: (error: unknown) => void
}

const RETRY_AFTER_S = 10

export type Server = ReturnType<typeof createServer>

export function createServer(options: ServerOptions) {
  const app = uws.App()
  let listening: us_listen_socket | null = null
  let published: { topic: string; frame: Uint8Array }[] = []
  return { addRoute, addHttp, listen, publish, flush, stopListening, close }

  function addRoute<State>(route: Route<State>): void {
    app.ws<{ seat: Seat<State> | null }>(route.path, {
      compression: uws.DISABLED,
      maxPayloadLength: route.frameBytesMax,
      maxBackpressure: route.bufferBytesMax,
      idleTimeout: options.heartbeatS,
      maxLifetime: 0,
      sendPingsAutomatically: true,
      upgrade: (res, req, context) => guard(res, () => upgrade(route, res, req, context)),
      open: (ws) => {
        const { peer, markClosed } = createPeer(ws)
        attend(peer, () => {
          ws.getUserData().seat = { peer, markClosed, state: route.open(peer) }
        })
      },
      message: (ws, frame, isBinary) => {
        const seat = ws.getUserData().seat
        if (seat === null) return
        attend(seat.peer, () => {
          if (isBinary) route.message(seat.state, frame)
          else seat.peer.malformed('frames are binary', null)
        })
      },
      dropped: (ws) => {
        const seat = ws.getUserData().seat
        if (seat !== null) attend(seat.peer, () => route.dropped?.(seat.state))
      },
      close: (ws) => {
        const seat = ws.getUserData().seat
        if (seat === null) return
        seat.markClosed()
        attend(seat.peer, () => route.close(seat.state))
      },
    })
    // A GET that is no WebSocket handshake comes here.
    app.any(route.path, (res) => {
      guard(res, () => refuse(res, '426 Upgrade Required', { Upgrade: 'websocket' }))
    })
  }

  /** Everything that is not a WebSocket. `handle` must answer or attach onAborted before it returns. */
  function addHttp(handle: (res: HttpResponse, req: HttpRequest) => void): void {
    app.any('/*', (res, req) => guard(res, () => handle(res, req)))
  }

  function upgrade<State>(
    route: Route<State>,
    res: HttpResponse,
    req: HttpRequest,
    context: us_socket_context_t,
  ): void {
    const origin = req.getHeader('origin')
    const offered = req.getHeader('sec-websocket-protocol').split(',')
    if (route.checksOrigin && origin !== '' && !options.isOriginAllowed(origin, req.getHeader('host'))) {
      return refuse(res, '403 Forbidden')
    }
    if (!offered.some((name) => name.trim() === route.subprotocol)) {
      return refuse(res, '400 Bad Request')
    }
    if (!route.hasRoom()) {
      options.onRefused()
      return refuse(res, '503 Service Unavailable', { 'Retry-After': String(RETRY_AFTER_S) })
    }
    // The answer names our constant, never what the client sent.
    const [key, extensions] = [req.getHeader('sec-websocket-key'), req.getHeader('sec-websocket-extensions')]
    res.upgrade({ seat: null }, key, route.subprotocol, extensions, context)
  }

  function refuse(res: HttpResponse, status: string, headers: Record<string, string> = {}): void {
    res.cork(() => {
      res.writeStatus(status)
      for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value)
      res.end()
    })
  }

  /** A throw before an answer would abort the process. */
  function guard(res: HttpResponse, handle: () => void): void {
    try {
      handle()
    } catch (error) {
      options.onFault(error)
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
      options.onFault(error)
      peer.end(CLOSE.internal)
    }
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
