/**
 * What the sockets of viewers and of admins share (PROTOCOL.md section 3): HELLO with a token, a seat, AUTH, the end of a
 * token, GOAWAY. What they came for it does not know.
 */
import type { Access } from '../access/access.ts'
import type { Waiting } from '../access/helloDeadline.ts'
import { expired } from '../access/login.ts'
import type { Renewable } from '../access/renewal.ts'
import type { Clock } from '../clock.ts'
import { type Bucket, createBucket, take } from '../core/bucket.ts'
import type { ViewerGrant } from '../core/grant.ts'
import { createLane, type Lane } from '../core/lane.ts'
import type { Ops } from '../ops/ops.ts'
import { CLOSE, type Close } from '../protocol/closes.ts'
import { decodeViewerFrame } from '../protocol/decode.ts'
import { encodeGoaway, encodePong, encodeViewerWelcome } from '../protocol/encode.ts'
import { TYPE, type ViewerFrame } from '../protocol/messages.ts'
import type { Peer } from './peer.ts'
import type { SocketRoute } from './server.ts'

/** One socket, from upgrade to close. `grant` is null until WELCOME. */
export interface Guest extends Renewable {
  peer: Peer
  hello: Waiting
  frames: Bucket
  lane: Lane
}

export interface GuestLimits {
  viewerFrameBytesMax: number
  viewerFramesPerS: number
  viewerFramesBurst: number
  heartbeatS: number
  reconnectSpreadMs: number
}

/** What guests of one kind came for. */
export interface Room<One extends Guest> {
  path: string
  subprotocol: string
  /** Sockets at the same time. */
  max: number
  /** Bytes that may wait for one that does not read. */
  bufferBytesMax: number
  open: (guest: Guest) => One
  /** A token is good, and for this. */
  mayEnter: (grant: ViewerGrant) => boolean
  /** It is let in, and WELCOME is on its way. */
  onEnter?: (guest: One, grant: ViewerGrant) => void
  /** A frame that is this room's own; false: it has no place here. */
  answer: (guest: One, grant: ViewerGrant, frame: ViewerFrame) => boolean
  /** Several times a second. */
  tend: (guest: One, attendedMs: number) => void
  /** Published frames were lost because the buffer was full. */
  dropped?: (guest: One) => void
  close?: (guest: One) => void
}

export interface GuestsOptions {
  limits: GuestLimits
  ops: Ops
  clock: Pick<Clock, 'now'>
  access: Access
}

export function createGuests<One extends Guest>(options: GuestsOptions, room: Room<One>) {
  const { limits, ops, clock, access } = options
  const { counts } = ops
  const guests = new Set<One>()
  return {
    route,
    check,
    goaway,
    closeAll,
    /** Those that have had their WELCOME. */
    *welcomed(): Iterable<One> {
      for (const guest of guests) if (guest.grant !== null) yield guest
    },
    get count() {
      return guests.size
    },
  }

  function route(): SocketRoute<One> {
    return {
      path: room.path,
      subprotocol: room.subprotocol,
      checksOrigin: true,
      frameBytesMax: limits.viewerFrameBytesMax,
      bufferBytesMax: room.bufferBytesMax,
      hasRoom: () => guests.size < room.max,
      open,
      message,
      close,
      ...(room.dropped && { dropped: room.dropped }),
    }
  }

  function open(peer: Peer): One {
    const guest = room.open({
      peer,
      hello: access.helloDeadlines.await(peer),
      grant: null,
      release: () => {},
      expiresMs: Number.POSITIVE_INFINITY,
      freshToken: null,
      frames: createBucket(limits.viewerFramesPerS, limits.viewerFramesBurst),
      lane: createLane(),
    })
    guests.add(guest)
    return guest
  }

  function message(guest: One, bytes: ArrayBuffer): void {
    const frame = decodeViewerFrame(bytes)
    if (frame.type === 'malformed') return malformed(guest, frame.message, frame.ref)
    if (!take(guest.frames, 1, clock.now())) {
      counts.limitsExceeded += 1
      counts.viewerRatesExceeded += 1
      return guest.peer.end(CLOSE.limit)
    }
    if (guest.grant === null) {
      if (frame.type !== TYPE.hello || guest.hello.isDone) {
        return malformed(guest, 'HELLO comes first, once, and WELCOME before anything else', null)
      }
      guest.hello.isDone = true
      ops.faults.guard(welcome(guest, frame.token), guest.peer)
    } else if (frame.type !== 'ignored') {
      answer(guest, guest.grant, frame)
    }
  }

  function answer(guest: One, grant: ViewerGrant, frame: ViewerFrame): void {
    switch (frame.type) {
      case TYPE.hello:
        return malformed(guest, 'HELLO is sent once', null)
      case TYPE.auth:
        return ops.faults.guard(access.renew(guest, frame.token), guest.peer)
      case TYPE.ping:
        guest.peer.send(encodePong(frame.nonce, clock.now()))
        return
      default:
        if (!room.answer(guest, grant, frame)) malformed(guest, 'this frame has no place here', null)
    }
  }

  async function welcome(guest: One, token: string): Promise<void> {
    const { peer } = guest
    const login = await access.login(token)
    if (!peer.isOpen) return
    if ('close' in login) return refuse(guest, login.close)
    const { grant, expiresMs } = login
    if (!room.mayEnter(grant)) return refuse(guest, CLOSE.refused)
    if (!access.takeSeat(grant)) return peer.end(CLOSE.limit)
    peer.admit()
    guest.grant = grant
    guest.release = access.rights.hold(grant, () => peer.end(CLOSE.refused))
    guest.expiresMs = expiresMs
    room.onEnter?.(guest, grant)
    peer.send(
      encodeViewerWelcome({
        userId: grant.userId,
        role: grant.role,
        serverNowMs: clock.now(),
        authExpiresMs: expiresMs,
        heartbeatS: limits.heartbeatS,
      }),
    )
  }

  function refuse({ peer }: One, reason: Close): void {
    if (reason === CLOSE.refused) {
      counts.helloRefused += 1
      ops.audit.refused('token', peer.address)
    }
    peer.end(reason)
  }

  function malformed({ peer }: One, text: string, ref: number | null): void {
    counts.framesMalformed += 1
    peer.malformed(text, ref)
  }

  /** To be called several times a second: tokens that expire, and what the room looks after. */
  function check(): void {
    const nowMs = clock.now()
    const attendedMs = access.attended.attendedMs()
    for (const guest of guests) {
      if (guest.grant === null) continue
      if (guest.expiresMs <= nowMs) guest.peer.end(expired(guest.grant))
      else room.tend(guest, attendedMs)
    }
  }

  function close(guest: One): void {
    guests.delete(guest)
    guest.hello.isDone = true
    guest.release()
    if (guest.grant !== null) access.releaseSeat(guest.grant)
    room.close?.(guest)
  }

  function goaway(): void {
    const frame = encodeGoaway(0, limits.reconnectSpreadMs)
    for (const { peer, grant } of guests) if (grant !== null) peer.send(frame)
  }

  function closeAll(reason: Close): void {
    for (const { peer } of [...guests]) peer.end(reason)
  }
}
