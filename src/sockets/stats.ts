/** The stats socket (PROTOCOL.md section 4): the hub's figures once a second, for admins. */

import type { HelloDeadlines, Waiting } from '../access/helloDeadline.ts'
import type { LoginCheck } from '../access/login.ts'
import { createRenewal, type Renewable } from '../access/renewal.ts'
import type { Rights } from '../access/rights.ts'
import { type Bucket, createBucket, take } from '../core/bucket.ts'
import * as lanes from '../core/lane.ts'
import type { Tally } from '../core/tally.ts'
import type { Counts } from '../ops/metrics.ts'
import { CLOSE, type Close } from '../protocol/closes.ts'
import { decodeViewerFrame } from '../protocol/decode.ts'
import { encodeGoaway, encodePong, encodeStats, encodeTick, encodeViewerWelcome } from '../protocol/encode.ts'
import { ROUTE, SUBPROTOCOL, TYPE } from '../protocol/messages.ts'
import type { Peer } from './peer.ts'
import type { Route } from './server.ts'

/** `grant` is null until WELCOME. */
export interface Admin extends Renewable {
  hello: Waiting
  frames: Bucket
  lane: lanes.Lane
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
  hold: Rights['hold']
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
  const renew = createRenewal(options)
  let tick = 0
  return {
    route,
    check,
    send,
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
        admin.release()
        if (admin.grant !== null) options.userSockets.release(admin.grant.userId)
      },
    }
  }

  function open(peer: Peer): Admin {
    const admin: Admin = {
      peer,
      hello: options.deadlines.await(peer),
      grant: null,
      release: () => {},
      expiresMs: Number.POSITIVE_INFINITY,
      freshToken: null,
      frames: createBucket(limits.viewerFramesPerS, limits.viewerFramesBurst),
      lane: lanes.createLane(),
    }
    admins.add(admin)
    return admin
  }

  function message(admin: Admin, bytes: ArrayBuffer): void {
    const frame = decodeViewerFrame(bytes)
    const { grant } = admin
    if (!take(admin.frames, 1, now())) {
      counts.limitsExceeded += 1
      counts.viewerRatesExceeded += 1
      return admin.peer.end(CLOSE.limit)
    }
    if (grant === null && frame.type === TYPE.hello && !admin.hello.isDone) {
      admin.hello.isDone = true
      start(admin, welcome(admin, frame.token))
    } else if (grant !== null && frame.type === TYPE.seen) {
      lanes.seen(admin.lane, frame.tick, now(), limits)
    } else if (grant !== null && frame.type === TYPE.ping) {
      admin.peer.send(encodePong(frame.nonce, now()))
    } else if (grant !== null && frame.type === TYPE.auth) {
      start(admin, renew(admin, frame.token))
    } else if (grant === null || frame.type !== 'ignored') {
      counts.framesMalformed += 1
      const text = frame.type === 'malformed' ? frame.message : 'this frame has no place here'
      admin.peer.malformed(text, null)
    }
  }

  function start(admin: Admin, work: Promise<void>): void {
    work.catch((error) => {
      options.onFault(error)
      admin.peer.end(CLOSE.internal)
    })
  }

  async function welcome(admin: Admin, token: string): Promise<void> {
    const login = await options.login(token)
    if (!admin.peer.isOpen) return
    if ('close' in login) return refuse(admin, login.close)
    const { grant, expiresMs } = login
    if (grant.role !== 'admin') return refuse(admin, CLOSE.refused)
    if (!options.userSockets.take(grant.userId)) {
      counts.userSocketsRefused += 1
      return admin.peer.end(CLOSE.limit)
    }
    admin.peer.admit()
    options.onLogin(grant.userId, admin.peer.address)
    admin.grant = grant
    admin.release = options.hold(grant, () => admin.peer.end(CLOSE.refused))
    admin.expiresMs = expiresMs
    admin.peer.send(
      encodeViewerWelcome({
        userId: grant.userId,
        role: grant.role,
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
      if (admin.grant === null) continue
      if (admin.expiresMs <= nowMs) admin.peer.end(CLOSE.tokenExpired)
      else if (lanes.judge(admin.lane, nowMs, limits) === 'lost') admin.peer.end(CLOSE.slow)
      else if (lanes.isTickDue(admin.lane, nowMs, limits)) {
        tick += 1
        lanes.ticked(admin.lane, tick, nowMs)
        admin.peer.send(encodeTick(tick))
      }
    }
  }

  /** To be called once a second. Whoever is late with SEEN skips this one. */
  function send(): void {
    const nowMs = now()
    const readers = [...admins].filter(
      ({ grant, lane }) => grant !== null && lanes.judge(lane, nowMs, limits) === 'fine',
    )
    if (readers.length === 0) return
    const frame = encodeStats(options.stats())
    for (const admin of readers) admin.peer.send(frame)
  }

  function goaway(): void {
    const frame = encodeGoaway(0, limits.reconnectSpreadMs)
    for (const admin of admins) if (admin.grant !== null) admin.peer.send(frame)
  }

  function closeAll(reason: Close): void {
    for (const admin of [...admins]) admin.peer.end(reason)
  }
}

export type StatsSocket = ReturnType<typeof createStatsSocket>
