/** What the clients need of the place they run in: a WebSocket. Node and browsers fill it in. */

/** The platform's WebSocket, opened for one connection. Its listener is never called synchronously. */
export interface Wire {
  send(bytes: Uint8Array): void
  close(code: number): void
  /** Gives the socket up without waiting for the other side. */
  abort(): void
}

export interface WireListener {
  opened(): void
  /** A frame; null: a text frame. */
  received(bytes: Uint8Array | null): void
  /** A WebSocket ping of the hub, where the platform shows it. */
  pinged(): void
  closed(code: number, reason: string): void
  /** The upgrade was answered with an HTTP status, where the platform shows it. */
  refused(httpStatus: number, retryAfterMs: number | null): void
}

export interface Platform {
  /** Whether `pinged` is ever called. Where it is not, the connection sends PING itself. */
  seesPings: boolean
  open(url: string, subprotocol: string, listener: WireListener): Wire
}

/** The WebSocket address of a route; `base` may be the hub's HTTP address. Throws a TypeError. */
export function routeUrl(base: string, route: string): string {
  const url = new URL(base)
  url.protocol = url.protocol.replace(/^http/, 'ws')
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') throw new TypeError('the url must be http or ws')
  if (!url.pathname.endsWith(route)) url.pathname = url.pathname.replace(/\/+$/, '') + route
  url.hash = ''
  return url.href
}
