/** The stats socket (PROTOCOL.md section 4): the hub's figures once a second, for admins. */

import { type Bucket, createBucket } from '../core/bucket.ts'
import type { UserRow } from '../core/directory.ts'
import { createLane, type Lane } from '../core/lane.ts'
import type { Tally } from '../core/tally.ts'
import type { Counts } from '../metrics.ts'
import { CLOSE, type Close } from '../protocol/closes.ts'
import { decodeViewerFrame } from '../protocol/decode.ts'
import { encodeGoaway, encodePong, encodeStats, encodeTick, encodeViewerWelcome } from '../protocol/encode.ts'
import { ROUTE, SUBPROTOCOL, TYPE } from '../protocol/messages.ts'
import type { Rights } from '../rights.ts'
import type { HelloDeadlines, Waiting } from './hello.ts'
import { keeps, type LoginCheck } from './login.ts'
import type { Peer } from './peer.ts'
import type { Route } from './server.ts'

export interface Admin {
  peer: Peer
  hello: Waiting
  /** null until WELCOME. */
  user: UserRow | null
  expiresMs: number
  frames: Bucket
  lane: Lane
}

export interface StatsSocketOptions {
  limits: {
    adminsMax: number
    viewerFrameBytesMax: number
    viewerFramesPerS: number
    viewerFramesBurst: number
    heartbeatS: number
    tickMs: number
    seenLateMs: number
    seenTimeoutMs: number
    reconnectSpreadMs: number
  }
  deadlines: HelloDeadlines
  counts: Counts
  login: LoginCheck
  /** The sockets of each user, of viewers and admins together. */
  userSockets: Tally
  /** A token was refused, or is not an admin's. */
  onRefused: (address: string) => void
  onLogin: (userId: number, address: string) => void
  stats: () => Record<string, unknown>
  onFault: (error: unknown) => void
  now: () => number
}

const BUFFER_BYTES_MAX = 64 * 1024

export function createStatsSocket(options: StatsSocketOptions) {
  const { limits, counts, now } = options
  const admins = new Set<Admin>()
  let tick = 0
  return {
    route,
    check,
    send,
    userIds,
    enforce,
    goaway,
    closeAll,
    get count() {
      return admins.size
    },
  }

  function route(): Route<Admin> {
    return {
      path: ROUTE.stats,
      subprotocol: SUBPROTOCOL.stats,
      checksOrigin: true,
      frameBytesMax: limits.viewerFrameBytesMax,
      bufferBytesMax: BUFFER_BYTES_MAX,
      hasRoom: () => admins.size < limits.adminsMax,
      open,
      message,
      close: (admin) => {
        admins.delete(admin)
        admin.hello.isDone = true
        if (admin.user !== null) options.userSockets.release(admin.user.id)
      },
    }
  }

  function open(peer: Peer): Admin {
    const hello = options.deadlines.await(() => {
      counts.helloTimeouts += 1
      peer.end(CLOSE.helloTimeout)
    })
    const admin = {
      peer,
      hello,
      user: null,
      expiresMs: Number.POSITIVE_INFINITY,
      frames: createBucket(limits.viewerFramesPerS, limits.viewerFramesBurst),
      lane: createLane(limits),
    }
    admins.add(admin)
    return admin
  }

  function message(admin: Admin, bytes: ArrayBuffer): void {
    const frame = decodeViewerFrame(bytes)
    if (!admin.frames.take(1, now())) {
      counts.limitsExceeded += 1
      counts.viewerRatesExceeded += 1
      return admin.peer.end(CLOSE.limit)
    }
    if (admin.user === null && frame.type === TYPE.hello && !admin.hello.isDone) {
      admin.hello.isDone = true
      welcome(admin, frame.token).catch((error) => {
        options.onFault(error)
        admin.peer.end(CLOSE.internal)
      })
    } else if (admin.user !== null && frame.type === TYPE.seen) {
      admin.lane.seen(frame.tick, now())
    } else if (admin.user !== null && frame.type === TYPE.ping) {
      admin.peer.send(encodePong(frame.nonce, now()))
    } else if (admin.user === null || frame.type !== 'ignored') {
      counts.framesMalformed += 1
      const text = frame.type === 'malformed' ? frame.message : 'this frame has no place here'
      admin.peer.malformed(text, null)
    }
  }

  async function welcome(admin: Admin, token: string): Promise<void> {
    const login = await options.login(token)
    if (!admin.peer.isOpen) return
    if ('close' in login) return refuse(admin, login.close)
    const { user, expiresMs } = login
    if (user.role !== 'admin') return refuse(admin, CLOSE.refused)
    if (!options.userSockets.take(user.id)) {
      counts.userSocketsRefused += 1
      return admin.peer.end(CLOSE.limit)
    }
    admin.peer.admit()
    options.onLogin(user.id, admin.peer.address)
    admin.user = user
    admin.expiresMs = expiresMs
    admin.peer.send(
      encodeViewerWelcome({
        userId: user.id,
        role: user.role,
        serverNowMs: now(),
        authExpiresMs: expiresMs,
        heartbeatS: limits.heartbeatS,
      }),
    )
  }

  function refuse(admin: Admin, reason: Close): void {
    if (reason === CLOSE.refused) {
      counts.helloRefused += 1
      options.onRefused(admin.peer.address)
    }
    admin.peer.end(reason)
  }

  /** To be called several times a second. */
  function check(): void {
    const nowMs = now()
    for (const admin of admins) {
      if (admin.user === null) continue
      if (admin.expiresMs <= nowMs) admin.peer.end(CLOSE.tokenExpired)
      else if (admin.lane.judge(nowMs) === 'lost') admin.peer.end(CLOSE.slow)
      else if (admin.lane.isTickDue(nowMs)) {
        tick += 1
        admin.lane.ticked(tick, nowMs)
        admin.peer.send(encodeTick(tick))
      }
    }
  }

  /** To be called once a second. Whoever is late with SEEN skips this one. */
  function send(): void {
    const nowMs = now()
    const readers = [...admins].filter(({ user, lane }) => user !== null && lane.judge(nowMs) === 'fine')
    if (readers.length === 0) return
    const frame = encodeStats(options.stats())
    for (const admin of readers) admin.peer.send(frame)
  }

  function userIds(): number[] {
    return [...admins].flatMap(({ user }) => (user === null ? [] : [user.id]))
  }

  /** See rights.ts. */
  function enforce(rights: Rights): void {
    for (const { user, peer } of admins) {
      if (user !== null && !keeps(user, rights.get(user.id))) peer.end(CLOSE.refused)
    }
  }

  function goaway(): void {
    const frame = encodeGoaway(0, limits.reconnectSpreadMs)
    for (const admin of admins) if (admin.user !== null) admin.peer.send(frame)
  }

  function closeAll(reason: Close): void {
    for (const admin of [...admins]) admin.peer.end(reason)
  }
}

export type StatsSocket = ReturnType<typeof createStatsSocket>
