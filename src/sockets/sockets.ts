/**
 * Talks: the port that the hub listens on, who knocks at it, and what answers there. What the answers are it does not know.
 */
import { createTrust, isPrivate, type Network } from '../access/addresses.ts'
import { createDoor, type DoorLimits } from '../access/door.ts'
import { createOrigins } from '../access/origins.ts'
import type { Handlers } from '../api/message.ts'
import type { Clock } from '../clock.ts'
import type { Ops } from '../ops/ops.ts'
import { createHttp } from './http.ts'
import type { Pages } from './pageFiles.ts'
import { createPageServer } from './pages.ts'
import { createServer, type SocketRoute } from './server.ts'
import { createStreams } from './stream.ts'
import { localUrl, type TlsFiles, tlsExpiresMs } from './tls.ts'
import { createVisitors } from './visitor.ts'

/** Where the hub listens, and who may speak for others. */
export interface Place {
  host: string
  port: number
  tls: TlsFiles | null
  /** Origins of browsers allowed besides the hub's own. */
  origins: readonly string[]
  trustedProxies: readonly Network[]
}

export interface SocketsOptions {
  place: Place
  limits: DoorLimits & {
    heartbeatS: number
    httpConnectionsMax: number
    bodyBytesMax: number
    bodyTimeoutMs: number
    exportsMax: number
    exportsPerAddressMax: number
    exportStallMs: number
  }
  ops: Ops
  clock: Clock
}

export type Sockets = ReturnType<typeof createSockets>

export function createSockets(options: SocketsOptions) {
  const { place, limits, ops, clock } = options
  const { host, tls } = place
  const door = createDoor(limits)
  let port = place.port
  let wasForwarded = false
  const visitors = createVisitors({
    trust: createTrust(place.trustedProxies),
    isTls: tls !== null,
    onForwarded,
  })
  const origins = createOrigins({ allowed: place.origins, fallback: () => localUrl(host, port, tls) })
  const server = createServer({ limits, tls, ops, clock, door, origins, visitors })
  const streams = createStreams({ limits, ops, clock })
  const certificateExpiresMs = tls === null ? 0 : tlsExpiresMs(tls)
  return {
    publisher: { publish: server.publish, flush: server.flush },
    serve,
    listen,
    stopListening: server.stopListening,
    close: server.close,
    gauges: () => ({
      ...streams.gauges(),
      httpConnections: server.httpConnections,
      waitingSockets: door.waiting,
      addressesHeld: door.addresses,
      certificateExpiresMs,
    }),
  }

  /** Before `listen`: what answers at the port. */
  function serve(
    // biome-ignore lint/suspicious/noExplicitAny: what a route carries for each socket is its own business.
    routes: readonly SocketRoute<any>[],
    handlers: Handlers,
    pages: Pages,
  ): void {
    for (const route of routes) server.addRoute(route)
    const pageServer = createPageServer({ pages, ops, clock, door, visitors })
    const http = createHttp({ handlers, streams, limits, ops, clock, door, origins, visitors })
    server.addHttp((res, req) => void (pageServer.handle(res, req) || http.handle(res, req)))
  }

  /** Resolves with the port; rejects when it is taken. */
  async function listen(): Promise<number> {
    port = await server.listen(host, place.port)
    ops.log.info({ host, port, tls: tls !== null }, 'listening')
    if (tls !== null && certificateExpiresMs <= clock.now()) ops.log.warn(tls, 'the certificate has expired')
    return port
  }

  /** Once: anybody can send the field. */
  function onForwarded(peer: string): void {
    if (wasForwarded || !isPrivate(peer)) return
    wasForwarded = true
    ops.log.warn(
      { peer },
      'X-Forwarded-For from a peer that is not trusted: if it is a proxy of yours, name it in ALZY_TRUSTED_PROXIES',
    )
  }
}
