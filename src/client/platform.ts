/**
 * What the clients need of the place they run in: a WebSocket, time and chance. Node and browsers fill it
 * in; tests bring their own clock.
 */

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

/** Time and chance. Delays are in ms. */
export interface Clock {
  /** Wall clock, ms since 1970. */
  now(): number
  /** A clock that never jumps, in ms. */
  elapsed(): number
  /** 0…1 */
  random(): number
  setTimer(run: () => void, delayMs: number): unknown
  clearTimer(timer: unknown): void
}

/** The longest that a timer of the platform can wait; a longer delay would end at once. */
const TIMER_MS_MAX = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  random: () => Math.random(),
  setTimer: (run, delayMs) => setTimeout(run, Math.min(delayMs, TIMER_MS_MAX)),
  clearTimer: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
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
