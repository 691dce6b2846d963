/**
 * The device socket (PROTOCOL.md section 2): decodes, lets core decide, and does what it says. It does not know
 * how points are stored; it is told when they are, and that is the only moment it acknowledges anything.
 */

import type { HelloDeadlines } from '../access/helloDeadline.ts'
import type { Backlog, Entry } from '../core/backlog.ts'
import { take } from '../core/bucket.ts'
import {
  acceptFrame,
  closeWindow,
  grantMore,
  settleFrame,
  unsettledPoints,
  type Window,
  windowPoints,
} from '../core/credit.ts'
import {
  comeOnline,
  type Device,
  type DeviceLimits,
  isWithinRates,
  type Kept,
  keepPoints,
  keepSessionOp,
  NONE,
  nextPosition,
} from '../core/device.ts'
import { createPacing, type PacingOptions } from '../ingest/pacing.ts'
import type { LastErrors } from '../ops/lastErrors.ts'
import type { Counts } from '../ops/metrics.ts'
import { CLOSE, type Close } from '../protocol/closes.ts'
import { decodeDeviceFrame } from '../protocol/decode.ts'
import {
  encodeAck,
  encodeDeviceWelcome,
  encodeGoaway,
  encodeLive,
  encodePong,
  encodePresence,
} from '../protocol/encode.ts'
import {
  POINT_STRIDE,
  type PointsFrame,
  REASON,
  REJECTED_PER_ACK_MAX,
  type Rejected,
  ROUTE,
  type SessionFrame,
  SUBPROTOCOL,
  TYPE,
  WHOLE_FRAME,
} from '../protocol/messages.ts'
import type { DeviceLink } from './link.ts'
import type { Peer } from './peer.ts'
import type { Route } from './server.ts'

/** Who may connect: the device in memory, or why not. */
export type Admission = { device: Device; keyHash: string } | { close: Close }

export interface DeviceSocketOptions {
  limits: DeviceLimits &
    PacingOptions['limits'] & {
      devicesMax: number
      deviceFrameBytesMax: number
      batchPointsMax: number
      windowPointsMax: number
      heartbeatS: number
      closeTimeoutMs: number
      reconnectSpreadMs: number
    }
  /** The window of a new connection; null when no credit is left. */
  openWindow: () => Window | null
  backlog: Backlog<DeviceLink>
  deadlines: HelloDeadlines
  counts: Counts
  /** Checks the device key; rejects when the database is away. */
  admit: (deviceKey: string) => Promise<Admission>
  /** A socket was opened with this key; returns what is to be called once it is closed. */
  hold: (device: Device, keyHash: string) => () => void
  /** The device has a socket, and stays in memory until released. */
  pin: (device: Device) => void
  /** The device has no socket any more. */
  release: (device: Device) => void
  publish: (device: Device, frame: Uint8Array) => void
  isWatched: (device: Device) => boolean
  onSeen: (device: Device) => void
  /** What a device did wrong, for people who look. */
  lastErrors: Pick<LastErrors, 'note' | 'noteRejected'>
  /** An ACK is due; the oldest frame that it covers was received so long ago. */
  onAck: (tookMs: number) => void
  /** The latest time that the hub knows to have been, whatever its clock says now. */
  latestMs: () => number
  /** A device key was refused. */
  onRefused: (address: string) => void
  onFault: (error: unknown) => void
  now: () => number
}

/** An ACK that does not fit into so much means that the device does not read. */
const BUFFER_BYTES_MAX = 256 * 1024
const REASON_COUNTS = {
  [REASON.coordinate]: 'pointsRejectedCoordinate',
  [REASON.future]: 'pointsRejectedFuture',
  [REASON.tooOld]: 'pointsRejectedTooOld',
  [REASON.field]: 'pointsRejectedField',
  [REASON.database]: 'pointsRejectedDatabase',
} as const

export function createDeviceSocket(options: DeviceSocketOptions) {
  const { limits, backlog, counts, lastErrors, now } = options
  const links = new Set<DeviceLink>()
  /** The socket of each device (D10). */
  const linkOf = new Map<number, DeviceLink>()
  const pacing = createPacing({
    limits,
    counts,
    links: () => linkOf.values(),
    isWatched: options.isWatched,
    now,
  })
  return {
    route,
    settle,
    pauseLate: pacing.pauseLate,
    pauseAll: pacing.pauseAll,
    tellRates: pacing.tellRates,
    closeDevice,
    goaway,
    closeAll,
    get count() {
      return links.size
    },
  }

  function route(): Route<DeviceLink> {
    return {
      path: ROUTE.device,
      subprotocol: SUBPROTOCOL.device,
      checksOrigin: false,
      frameBytesMax: limits.deviceFrameBytesMax,
      bufferBytesMax: BUFFER_BYTES_MAX,
      hasRoom: () => links.size < limits.devicesMax,
      open,
      message,
      close,
    }
  }

  function open(peer: Peer): DeviceLink {
    const link: DeviceLink = {
      peer,
      hello: options.deadlines.await(peer),
      device: null,
      keyHash: '',
      window: null,
      release: () => {},
      receivedMs: [],
      ackedSeq: 0,
      isLeaving: false,
      pauseAgainMs: 0,
      toldWatched: null,
      toldMs: 0,
    }
    links.add(link)
    return link
  }

  function message(link: DeviceLink, bytes: ArrayBuffer): void {
    const frame = decodeDeviceFrame(bytes, limits.batchPointsMax)
    if (frame.type === 'malformed') return malformed(link, frame.message, frame.ref)
    if (link.device === null) {
      if (frame.type !== TYPE.hello || link.hello.isDone) {
        return malformed(link, 'HELLO comes first, once, and WELCOME before anything else', null)
      }
      link.hello.isDone = true
      welcome(link, frame.deviceKey).catch((error) => {
        options.onFault(error)
        link.peer.end(CLOSE.internal)
      })
      return
    }
    if (frame.type !== TYPE.points && frame.type !== TYPE.session && !take(link.device.frames, 1, now())) {
      counts.limitsExceeded += 1
      counts.deviceRatesExceeded += 1
      return link.peer.end(CLOSE.limit)
    }
    switch (frame.type) {
      case TYPE.points:
        return points(link, link.device, frame)
      case TYPE.session:
        return session(link, link.device, frame)
      case TYPE.ping:
        link.peer.send(encodePong(frame.nonce, now()))
        return
      case TYPE.bye:
        return leave(link)
      case TYPE.hello:
        return malformed(link, 'HELLO is sent once', null)
    }
  }

  async function welcome(link: DeviceLink, deviceKey: string): Promise<void> {
    const admission = await options.admit(deviceKey)
    if (!link.peer.isOpen) {
      if ('device' in admission) options.release(admission.device)
      return
    }
    if ('close' in admission) {
      return refuse(link, admission.close)
    }
    const { device } = admission
    if (device.isGone) {
      refuse(link, CLOSE.refused)
      return options.release(device)
    }
    // What earlier connections left behind counts too, or reconnecting would be a way around the window.
    const window = device.pendingPoints > limits.windowPointsMax ? null : options.openWindow()
    if (window === null) {
      link.peer.end(CLOSE.unavailable)
      return options.release(device)
    }
    replace(device)
    link.peer.admit()
    link.device = device
    link.keyHash = admission.keyHash
    link.window = window
    link.release = options.hold(device, admission.keyHash)
    linkOf.set(device.id, link)
    // A HELLO beside this one, which lost its socket, has just released it.
    options.pin(device)
    comeOnline(device, now())
    link.peer.send(
      encodeDeviceWelcome({
        deviceId: device.id,
        windowPoints: windowPoints(window),
        batchPointsMax: limits.batchPointsMax,
        frameBytesMax: limits.deviceFrameBytesMax,
        serverNowMs: now(),
        heartbeatS: limits.heartbeatS,
      }),
    )
    options.onSeen(device)
    options.publish(device, encodePresence(nextPosition(device), true, now()))
    pacing.tellRate(link, now())
  }

  function refuse(link: DeviceLink, reason: Close): void {
    if (reason === CLOSE.refused) {
      counts.helloRefused += 1
      options.onRefused(link.peer.address)
    }
    link.peer.end(reason)
  }

  /** The device has a newer connection; frames of the older one are still committed (D10). */
  function replace(device: Device): void {
    const older = linkOf.get(device.id)
    if (older === undefined) return
    counts.takeovers += 1
    linkOf.delete(device.id)
    older.peer.end(CLOSE.replaced)
    lastErrors.note(device.id, CLOSE.replaced.reason)
  }

  function points(link: DeviceLink, device: Device, frame: PointsFrame): void {
    const nowMs = now()
    const count = frame.values.length / POINT_STRIDE
    counts.framesReceived += 1
    counts.pointsReceived += count
    if (!accept(link, device, frame.seq, count, count, nowMs)) return
    const kept = keepPoints(device, frame, nowMs, limits, options.latestMs())
    countRejected(kept, count)
    for (const { session: liveSession, from, to } of kept.live) {
      const position = nextPosition(device)
      // Counted all the same: a viewer that comes later begins with a snapshot that says so.
      if (!options.isWatched(device)) continue
      options.publish(device, encodeLive(position, liveSession.startedMs, kept.values, from, to))
    }
    kept.live = NONE // Said, and of no use while the frame waits for the writer.
    offer(link, device, frame.seq, count, kept, nowMs)
  }

  function session(link: DeviceLink, device: Device, frame: SessionFrame): void {
    const nowMs = now()
    counts.framesReceived += 1
    if (!accept(link, device, frame.seq, 1, 0, nowMs)) return
    const kept = keepSessionOp(device, frame, nowMs, limits, options.latestMs())
    offer(link, device, frame.seq, 1, kept, nowMs)
  }

  /** False: the connection has been closed for what it did (D4, D6). */
  function accept(
    link: DeviceLink,
    device: Device,
    seq: number,
    cost: number,
    pointCount: number,
    nowMs: number,
  ): boolean {
    if (!link.peer.isOpen) return false
    const verdict = acceptFrame(link.window!, seq, cost)
    if (verdict === 'sequence') {
      lastErrors.note(device.id, CLOSE.sequence.reason)
      link.peer.end(CLOSE.sequence)
      return false
    }
    if (verdict === 'limit' || !isWithinRates(device, pointCount, nowMs)) {
      counts.limitsExceeded += 1
      if (verdict === 'limit') counts.windowsExceeded += 1
      else counts.deviceRatesExceeded += 1
      link.peer.end(CLOSE.limit)
      lastErrors.note(device.id, CLOSE.limit.reason)
      // Accepted by the window but not kept: it must not stay held.
      if (verdict === 'kept') settleFrame(link.window!, seq, cost)
      return false
    }
    return true
  }

  function offer(
    link: DeviceLink,
    device: Device,
    seq: number,
    cost: number,
    kept: Kept,
    nowMs: number,
  ): void {
    device.lastSeenMs = nowMs
    options.onSeen(device)
    link.receivedMs.push(nowMs)
    backlog.offer({ device, owner: link, seq, cost, receivedMs: nowMs, kept })
  }

  function countRejected(kept: Kept, count: number): void {
    for (const [, index, reason] of kept.rejected) {
      counts[REASON_COUNTS[reason]] += index === WHOLE_FRAME ? count : 1
    }
  }

  /**
   * Everything in these entries is committed, or listed as rejected. The one place that acknowledges.
   * Entries of one connection come in the order of their seq.
   */
  function settle(entries: readonly Entry<DeviceLink>[]): void {
    const rejectedOf = new Map<DeviceLink, Rejected[]>()
    const nowMs = now()
    for (const { device, owner: link, seq, cost, kept } of entries) {
      const rejection = kept.rejected.at(-1)
      if (rejection !== undefined) lastErrors.noteRejected(device.id, rejection[2])
      if (link === null) continue
      settleFrame(link.window!, seq, cost)
      if (link.peer.isOpen) counts.framesAcknowledged += 1
      const receivedMs = link.receivedMs.shift()!
      const rejected = rejectedOf.get(link)
      if (rejected === undefined) {
        rejectedOf.set(link, [...kept.rejected])
        options.onAck(nowMs - receivedMs)
      } else if (kept.rejected.length > 0) {
        rejected.push(...kept.rejected)
      }
    }
    for (const [link, rejected] of rejectedOf) acknowledge(link, rejected)
  }

  function acknowledge(link: DeviceLink, rejected: Rejected[]): void {
    const window = link.window!
    if (!link.peer.isOpen) return
    grantMore(window)
    // Before the ACK that covers their frames, in ACKs that cover nothing new (D4).
    while (rejected.length > REJECTED_PER_ACK_MAX) {
      sendAck(link, link.ackedSeq, rejected.splice(0, REJECTED_PER_ACK_MAX))
    }
    link.ackedSeq = window.settledSeq
    sendAck(link, link.ackedSeq, rejected)
    if (link.isLeaving && unsettledPoints(window) === 0) link.peer.end(CLOSE.normal)
  }

  function sendAck(link: DeviceLink, seq: number, rejected: Rejected[]): void {
    counts.acksSent += 1
    const isSent = link.peer.send(encodeAck(seq, windowPoints(link.window!), rejected))
    // The device does not read. It will send everything again that it has no ACK for.
    if (!isSent) link.peer.end(CLOSE.unavailable)
  }

  /** BYE: commit, send the last ACK, close (D12). */
  function leave(link: DeviceLink): void {
    if (link.isLeaving) return
    link.isLeaving = true
    if (unsettledPoints(link.window!) === 0) return link.peer.end(CLOSE.normal)
    setTimeout(() => link.peer.end(CLOSE.normal), limits.closeTimeoutMs)
  }

  function close(link: DeviceLink): void {
    links.delete(link)
    link.hello.isDone = true
    link.release()
    const { device, window } = link
    if (device === null) return
    closeWindow(window!)
    if (linkOf.get(device.id) !== link) return
    linkOf.delete(device.id)
    device.online = false
    options.publish(device, encodePresence(nextPosition(device), false, device.lastSeenMs ?? now()))
    options.release(device)
  }

  function malformed(link: DeviceLink, text: string, ref: number | null): void {
    counts.framesMalformed += 1
    if (link.device !== null) lastErrors.note(link.device.id, `frame not understood: ${text}`)
    link.peer.malformed(text, ref)
  }

  /** `isMeant` looks at the hash of the key that the socket came with. */
  function closeDevice(
    deviceId: number,
    reason: Close,
    isMeant: (keyHash: string) => boolean = () => true,
  ): void {
    const link = linkOf.get(deviceId)
    if (link !== undefined && isMeant(link.keyHash)) link.peer.end(reason)
  }

  /** Before the hub stops: no new points, wait for the ACKs or the close (D12). */
  function goaway(): void {
    const frame = encodeGoaway(0, limits.reconnectSpreadMs)
    for (const link of linkOf.values()) link.peer.send(frame)
  }

  function closeAll(reason: Close): void {
    for (const link of [...links]) link.peer.end(reason)
  }
}

export type DeviceSocket = ReturnType<typeof createDeviceSocket>
