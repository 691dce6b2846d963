/**
 * The stats client: the hub's figures once a second, for admins (PROTOCOL.md section 4). What the figures mean it does
 * not know. It knows no platform; browser.ts gives it one.
 */

import { type Clock, systemClock } from '../clock.ts'
import { CLOSE, type Verdict, verdictOf } from '../protocol/closes.ts'
import { pack } from '../protocol/encode.ts'
import { CLIENT_CHARS_MAX, ROUTE, SUBPROTOCOL, TYPE } from '../protocol/messages.ts'
import { type ConnectionState, type Loss, openConnection } from './connection.ts'
import { readToAdmin, type ToAdmin } from './frames.ts'
import type { Platform } from './platform.ts'
import { createTokenKeeper, type TokenSource } from './token.ts'

export interface StatsOptions {
  /** The hub's address: `http:`, `https:`, `ws:` or `wss:`. */
  url: string
  token: TokenSource
  /** Name and version of the program, at most 64 characters. */
  name?: string
  onEvent?: (event: StatsEvent) => void
  clock?: Partial<Clock>
}

/** By name, as the hub has them: counts since its start, gauges, and quantiles of the last second. */
export type Stats = Readonly<Record<string, unknown>>

export type StatsEvent =
  | { type: 'state'; state: ConnectionState }
  | { type: 'stats'; stats: Stats }
  | { type: 'error'; code: number | null; message: string }

export interface StatsClient {
  readonly state: ConnectionState
  /** A user's action: connect at once instead of waiting, also after a stop. */
  retryNow(): void
  close(): void
}

export function createStats(options: StatsOptions, platform: Platform): StatsClient {
  const name = options.name ?? 'alzy'
  if (name.length > CLIENT_CHARS_MAX) {
    throw new RangeError(`name has more than ${CLIENT_CHARS_MAX} characters`)
  }
  const clock: Clock = { ...systemClock, ...options.clock }
  let isClosed = false
  const token = createTokenKeeper(options.token, clock, {
    renew: (fresh) => connection.send(pack([TYPE.auth, fresh])),
    failed: (message) => emit({ type: 'error', code: null, message }),
  })
  const connection = openConnection<ToAdmin>({
    url: options.url,
    route: ROUTE.stats,
    subprotocol: SUBPROTOCOL.stats,
    platform,
    clock,
    unattended: false,
    hello: async () => [TYPE.hello, await token.get(), name, clock.now()],
    read: readToAdmin,
    received,
    lost,
    changed: (state) => emit({ type: 'state', state }),
  })
  // Not at once, so that the first event finds the caller holding the client.
  queueMicrotask(() => {
    if (!isClosed) connection.start()
  })
  return {
    get state() {
      return connection.state
    },
    retryNow: () => {
      if (!isClosed) connection.retryNow()
    },
    close,
  }

  function received(frame: ToAdmin): void {
    switch (frame.type) {
      case TYPE.tick:
        connection.send(pack([TYPE.seen, frame.tick]))
        break
      case TYPE.stats:
        emit({ type: 'stats', stats: frame.stats })
        break
      case TYPE.welcome:
        token.accepted(frame.serverNowMs, frame.authExpiresMs)
        break
      case TYPE.authOk:
        token.renewed(frame.authExpiresMs)
        break
      case TYPE.error:
        if (frame.code === CLOSE.unavailable.code) token.deferred()
        emit({ type: 'error', code: frame.code, message: frame.message })
        break
      case 'malformed':
        emit({ type: 'error', code: null, message: frame.message })
    }
  }

  function lost({ code }: Loss): Verdict {
    token.disconnected(code === CLOSE.tokenExpired.code)
    const verdict = verdictOf(code)
    if (verdict.do === 'renewToken') return token.canRenew ? verdict : { do: 'stop' }
    return verdict.do === 'finish' ? { do: 'reconnect', delayMsMin: 0 } : verdict
  }

  function close(): void {
    isClosed = true
    token.disconnected(false)
    connection.stop('closed')
  }

  function emit(event: StatsEvent): void {
    options.onEvent?.(event)
  }
}
