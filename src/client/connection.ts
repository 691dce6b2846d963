/**
 * One WebSocket at a time to the hub: HELLO and WELCOME, heartbeat, and when to come back after a close
 * (PROTOCOL.md D11 and section 5). It never learns what devices and viewers talk about.
 */

import type { Clock } from '../clock.ts'
import {
  CLOSE,
  CLOSE_NONE_SEEN,
  RECONNECT_RESET_MS,
  reconnectDelayMs,
  type Verdict,
} from '../protocol/closes.ts'
import { pack } from '../protocol/encode.ts'
import { TYPE } from '../protocol/messages.ts'
import type { ToAdmin, ToDevice, ToViewer } from './frames.ts'
import { createHeartbeat } from './heartbeat.ts'
import { type Platform, routeUrl, type Wire, type WireListener } from './platform.ts'

export type ConnectionState =
  | { name: 'connecting' }
  | { name: 'open' }
  /** Connects again at `untilMs` (wall clock). `code`: of the close, or the HTTP status. */
  | { name: 'waiting'; reason: string; code: number; untilMs: number }
  | { name: 'stopped'; reason: string; code: number }

/** How a connection ended. `local`: this side gave it up. */
export interface Loss {
  code: number
  reason: string
  local: boolean
}

export interface ConnectionOptions<Frame extends ToDevice | ToViewer | ToAdmin> {
  /** Of the hub (`http:`, `https:`, `ws:` or `wss:`), with or without the route. */
  url: string
  route: string
  subprotocol: string
  platform: Platform
  clock: Clock
  /** After a refusal that is final, try again at most once an hour instead of stopping. */
  unattended: boolean
  /** The frame HELLO. Asked for before each connection. */
  hello(): readonly unknown[] | Promise<readonly unknown[]>
  read(bytes: Uint8Array): Frame
  /** WELCOME, and every later frame of this connection. */
  received(frame: Frame): void
  /** A connection ended, or failed before it was one; says what to do. `finish` stops for good. */
  lost(loss: Loss): Verdict
  changed(state: ConnectionState): void
}

/** Neither the WebSocket nor the answer to HELLO may take longer. */
const WELCOME_TIMEOUT_MS = 20_000
const UNATTENDED_RETRY_MS = 3_600_000
const UNATTENDED_SPREAD_MS = 300_000
const HTTP_FINAL = new Set([400, 403, 404, 426])

/**
 * One closure, for there is one socket and one timer at a time, and each step, whoever takes it, has to end what the step
 * before began: no part of it could be handed out without handing out all of the state.
 */
export function openConnection<Frame extends ToDevice | ToViewer | ToAdmin>(
  options: ConnectionOptions<Frame>,
) {
  const { clock, platform } = options
  const url = routeUrl(options.url, options.route)
  let state: ConnectionState = { name: 'connecting' }
  let wire: Wire | null = null
  /** Counts connections, so that what an older socket still says is not heard. */
  let generation = 0
  let attempt = 0
  let connections = 0
  let welcomedAtMs = 0
  let goaway: { minDelayMs: number; maxDelayMs: number } | null = null
  /** One at a time: the next connection, or the deadline of WELCOME. */
  let callOff: (() => void) | null = null
  const heartbeat = createHeartbeat(clock, platform.seesPings, {
    askForSign: (nonce) => send(pack([TYPE.ping, nonce, clock.now()])),
    silent: () => lose('nothing heard from the hub'),
  })

  return {
    start: connect,
    send,
    lose,
    leave,
    retryNow,
    stop,
    get state() {
      return state
    },
    /** Connections that got as far as WELCOME. */
    get connections() {
      return connections
    },
  }

  function connect(): void {
    generation += 1
    goaway = null
    after(WELCOME_TIMEOUT_MS, () => lose('no WELCOME in time'))
    change({ name: 'connecting' })
    open(generation)
  }

  /** HELLO is due soon after the upgrade, so the credential is fetched before it. */
  async function open(mine: number): Promise<void> {
    try {
      const hello = pack(await options.hello())
      if (isAwaited(mine)) wire = platform.open(url, options.subprotocol, listenerOf(mine, hello))
    } catch (fault) {
      // No credential for now, or a page that may not open this address.
      if (isAwaited(mine)) lose(fault instanceof Error ? fault.message : String(fault))
    }
  }

  function isAwaited(mine: number): boolean {
    return mine === generation && state.name === 'connecting'
  }

  function listenerOf(mine: number, hello: Uint8Array): WireListener {
    const isCurrent = () => mine === generation && wire !== null
    return {
      opened: () => {
        if (isCurrent()) send(hello)
      },
      received: (bytes) => {
        if (isCurrent()) hear(bytes)
      },
      pinged: () => {
        if (isCurrent()) heartbeat.heard()
      },
      closed: (code, reason) => {
        if (isCurrent()) end({ code, reason, local: false })
      },
      refused: (httpStatus, retryAfterMs) => {
        if (isCurrent()) refuse(httpStatus, retryAfterMs)
      },
    }
  }

  function hear(bytes: Uint8Array | null): void {
    heartbeat.heard()
    if (bytes === null) return
    const frame = options.read(bytes)
    // The same frame, as a union that can be told apart.
    const seen: ToDevice | ToViewer | ToAdmin = frame
    if (seen.type === TYPE.welcome) {
      if (state.name !== 'connecting') return
      welcome(seen.heartbeatS)
    } else if (state.name !== 'open') {
      // Before WELCOME the hub has nothing to say but why it refuses.
      if (seen.type !== TYPE.error && seen.type !== 'malformed') return
    } else if (seen.type === TYPE.goaway) {
      goaway = seen
    }
    if (wire) options.received(frame)
  }

  function welcome(heartbeatS: number): void {
    stopWaiting()
    heartbeat.start(heartbeatS)
    welcomedAtMs = clock.elapsed()
    connections += 1
    change({ name: 'open' })
  }

  function send(bytes: Uint8Array): void {
    wire?.send(bytes)
  }

  /** Gives the connection up and comes back: the hub is silent, or what it says makes no sense. */
  function lose(reason: string): void {
    const given = wire
    end({ code: CLOSE_NONE_SEEN, reason, local: true })
    given?.abort()
  }

  /** Closes normally and comes back, as after GOAWAY. */
  function leave(reason: string): void {
    const given = wire
    end({ code: CLOSE.normal.code, reason, local: true })
    given?.close(CLOSE.normal.code)
  }

  function end(loss: Loss): void {
    const { reason, code } = loss
    if (state.name === 'open' && clock.elapsed() - welcomedAtMs >= RECONNECT_RESET_MS) attempt = 0
    const bounds = goaway
    drop()
    const verdict = options.lost(loss)
    switch (verdict.do) {
      case 'finish':
        change({ name: 'stopped', reason, code })
        break
      case 'stop':
      case 'inspect':
        halt(reason, code)
        break
      case 'renewToken':
        wait(jitterMs(), reason, code)
        break
      case 'reconnect':
        wait(
          bounds ? Math.max(verdict.delayMsMin, within(bounds)) : verdict.delayMsMin + jitterMs(),
          reason,
          code,
        )
    }
  }

  function within({ minDelayMs, maxDelayMs }: { minDelayMs: number; maxDelayMs: number }): number {
    return minDelayMs + clock.random() * (maxDelayMs - minDelayMs)
  }

  function refuse(httpStatus: number, retryAfterMs: number | null): void {
    const given = wire
    drop()
    given?.abort()
    const reason = `HTTP ${httpStatus}`
    if (HTTP_FINAL.has(httpStatus)) halt(reason, httpStatus)
    else wait((retryAfterMs ?? 0) + jitterMs(), reason, httpStatus)
  }

  function halt(reason: string, code: number): void {
    // Spread, because what refused one device has often refused all of them.
    const spreadMs = clock.random() * UNATTENDED_SPREAD_MS
    if (options.unattended) wait(UNATTENDED_RETRY_MS + spreadMs, reason, code)
    else change({ name: 'stopped', reason, code })
  }

  function wait(delayMs: number, reason: string, code: number): void {
    attempt += 1
    after(delayMs, connect)
    change({ name: 'waiting', reason, code, untilMs: Math.ceil(clock.now() + delayMs) })
  }

  function jitterMs(): number {
    return reconnectDelayMs(attempt, clock.random())
  }

  /** A user's action: connect now, if not connected. */
  function retryNow(): void {
    if (state.name === 'waiting' || state.name === 'stopped') connect()
  }

  /** Ends for good. A socket that is still open is closed 1000. */
  function stop(reason: string): void {
    const given = wire
    drop()
    given?.close(CLOSE.normal.code)
    if (state.name !== 'stopped') change({ name: 'stopped', reason, code: CLOSE.normal.code })
  }

  function drop(): void {
    wire = null
    heartbeat.stop()
    stopWaiting()
  }

  function after(delayMs: number, act: () => void): void {
    stopWaiting()
    callOff = clock.after(delayMs, act)
  }

  function stopWaiting(): void {
    callOff?.()
    callOff = null
  }

  function change(next: ConnectionState): void {
    state = next
    options.changed(next)
  }
}
