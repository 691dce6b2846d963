/**
 * The way in for points, whoever brings them: a window, the rates of the device, what is kept of a frame, what goes live,
 * and an acknowledgement once it is stored. It knows no socket and no database.
 */
import type { Clock } from '../clock.ts'
import type { Backlog, BacklogEntry } from '../core/backlog.ts'
import { take } from '../core/bucket.ts'
import {
  acceptFrame,
  type Credit,
  closeWindow,
  grantMore,
  openWindow,
  settleFrame,
  unsettledPoints,
  type Window,
  windowPoints,
} from '../core/credit.ts'
import {
  type Device,
  type DeviceLimits,
  isWithinRates,
  type Kept,
  keepPoints,
  keepSessionOp,
  NONE,
  nextPosition,
} from '../core/device.ts'
import type { Ops } from '../ops/ops.ts'
import { CLOSE } from '../protocol/closes.ts'
import { encodeLive } from '../protocol/encode.ts'
import {
  POINT_STRIDE,
  type PointsFrame,
  REASON,
  REJECTED_PER_ACK_MAX,
  type Rejected,
  type SessionFrame,
  WHOLE_FRAME,
} from '../protocol/messages.ts'
import type { Source } from './source.ts'

/** One source with its device, as long as it brings points. Plain data: there are tens of thousands. */
export interface Inlet {
  readonly source: Source
  readonly device: Device
  /** Of the key that it came with. */
  readonly keyHash: string
  readonly window: Window
  /** To be called when it has left. */
  release: () => void
  /** When each unsettled frame was received, oldest first. */
  receivedMs: number[]
  /** The seq of the last acknowledgement. */
  ackedSeq: number
  isLeaving: boolean
  /** No PAUSE before this moment. */
  pauseAgainMs: number
  /** What RATE said last, and when. */
  toldWatched: boolean | null
  toldMs: number
}

export interface IntakeOptions {
  limits: DeviceLimits & { windowPointsMax: number; closeTimeoutMs: number }
  ops: Ops
  clock: Clock
  credit: Credit
  backlog: Backlog<Inlet>
  live: Viewership
  /** The latest time that the hub knows to have been, whatever its clock says now. */
  latestMs: () => number
  /** When devices were heard last, in ms. */
  seen: { note: (deviceId: number, ms: number) => void }
}

/** What is needed of whoever shows devices. */
export interface Viewership {
  /** A frame about a device, for all who watch it. */
  publish: (device: Device, frame: Uint8Array) => void
  isWatched: (device: Device) => boolean
}

const REASON_COUNTS = {
  [REASON.coordinate]: 'pointsRejectedCoordinate',
  [REASON.future]: 'pointsRejectedFuture',
  [REASON.tooOld]: 'pointsRejectedTooOld',
  [REASON.field]: 'pointsRejectedField',
  [REASON.database]: 'pointsRejectedDatabase',
} as const

export type Intake = ReturnType<typeof createIntake>

/** A closure over 150 lines: everything between a frame and its ACK stands in one file, in the order it happens. */
export function createIntake(options: IntakeOptions) {
  const { limits, ops, clock, credit, backlog, live, latestMs, seen } = options
  const { counts, lastErrors } = ops
  return { open, takePoints, takeOp, takeOther, settle, finish, close }

  /** null: no credit is left, or too much of the device waits. */
  function open(source: Source, device: Device, keyHash: string): Inlet | null {
    // What earlier connections left behind counts too, or reconnecting would be a way around the window.
    const window = device.pendingPoints > limits.windowPointsMax ? null : openWindow(credit)
    return (
      window && {
        source,
        device,
        keyHash,
        window,
        release: () => {},
        receivedMs: [],
        ackedSeq: 0,
        isLeaving: false,
        pauseAgainMs: 0,
        toldWatched: null,
        toldMs: 0,
      }
    )
  }

  function takePoints(inlet: Inlet, frame: PointsFrame): void {
    const nowMs = clock.now()
    const { device } = inlet
    const count = frame.values.length / POINT_STRIDE
    counts.framesReceived += 1
    counts.pointsReceived += count
    if (!accept(inlet, frame.seq, count, count, nowMs)) return
    const kept = keepPoints(device, frame, nowMs, limits, latestMs())
    countRejected(kept, count)
    for (const { session, from, to } of kept.live) {
      const position = nextPosition(device)
      // Counted all the same: a viewer that comes later begins with a snapshot that says so.
      if (!live.isWatched(device)) continue
      live.publish(device, encodeLive(position, session.startedMs, kept.values, from, to))
    }
    kept.live = NONE // Said, and of no use while the frame waits for the writer.
    offer(inlet, frame.seq, count, kept, nowMs)
  }

  function takeOp(inlet: Inlet, frame: SessionFrame): void {
    const nowMs = clock.now()
    counts.framesReceived += 1
    if (!accept(inlet, frame.seq, 1, 0, nowMs)) return
    const kept = keepSessionOp(inlet.device, frame, nowMs, limits, latestMs())
    offer(inlet, frame.seq, 1, kept, nowMs)
  }

  /** A frame that brings nothing, which counts all the same. False: it was one too many, and the source is ended. */
  function takeOther({ source, device }: Inlet): boolean {
    if (take(device.frames, 1, clock.now())) return true
    counts.limitsExceeded += 1
    counts.deviceRatesExceeded += 1
    source.end(CLOSE.limit)
    return false
  }

  /** False: the source has been ended for what it did (D4, D6). */
  function accept(inlet: Inlet, seq: number, cost: number, pointCount: number, nowMs: number): boolean {
    const { source, device, window } = inlet
    if (!source.isOpen) return false
    const verdict = acceptFrame(window, seq, cost)
    if (verdict === 'sequence') {
      lastErrors.note(device.id, CLOSE.sequence.reason)
      source.end(CLOSE.sequence)
      return false
    }
    if (verdict === 'limit' || !isWithinRates(device, pointCount, nowMs)) {
      counts.limitsExceeded += 1
      if (verdict === 'limit') counts.windowsExceeded += 1
      else counts.deviceRatesExceeded += 1
      source.end(CLOSE.limit)
      lastErrors.note(device.id, CLOSE.limit.reason)
      // Accepted by the window but not kept: it must not stay held.
      if (verdict === 'kept') settleFrame(window, seq, cost)
      return false
    }
    return true
  }

  function offer(inlet: Inlet, seq: number, cost: number, kept: Kept, nowMs: number): void {
    const { device } = inlet
    device.lastSeenMs = nowMs
    seen.note(device.id, nowMs)
    inlet.receivedMs.push(nowMs)
    backlog.offer({ device, owner: inlet, seq, cost, receivedMs: nowMs, kept })
  }

  function countRejected(kept: Kept, count: number): void {
    for (const [, index, reason] of kept.rejected) {
      counts[REASON_COUNTS[reason]] += index === WHOLE_FRAME ? count : 1
    }
  }

  /**
   * Everything in these entries is committed, or listed as rejected. The one place that acknowledges.
   * Entries of one inlet come in the order of their seq.
   */
  function settle(entries: readonly BacklogEntry<Inlet>[]): void {
    const rejectedOf = new Map<Inlet, Rejected[]>()
    const nowMs = clock.now()
    for (const { device, owner: inlet, seq, cost, kept } of entries) {
      const rejection = kept.rejected.at(-1)
      if (rejection !== undefined) lastErrors.noteRejected(device.id, rejection[2])
      if (inlet === null) continue
      settleFrame(inlet.window, seq, cost)
      if (inlet.source.isOpen) counts.framesAcknowledged += 1
      const receivedMs = inlet.receivedMs.shift()!
      const rejected = rejectedOf.get(inlet)
      if (rejected === undefined) {
        rejectedOf.set(inlet, [...kept.rejected])
        ops.distributions.ackMs.record(nowMs - receivedMs)
      } else if (kept.rejected.length > 0) {
        rejected.push(...kept.rejected)
      }
    }
    for (const [inlet, rejected] of rejectedOf) acknowledge(inlet, rejected)
  }

  function acknowledge(inlet: Inlet, rejected: Rejected[]): void {
    const { source, window } = inlet
    if (!source.isOpen) return
    grantMore(window)
    // Before the ACK that covers their frames, in ACKs that cover nothing new (D4).
    while (rejected.length > REJECTED_PER_ACK_MAX) {
      ack(inlet, rejected.splice(0, REJECTED_PER_ACK_MAX))
    }
    inlet.ackedSeq = window.settledSeq
    ack(inlet, rejected)
    if (inlet.isLeaving && unsettledPoints(window) === 0) source.end(CLOSE.normal)
  }

  function ack({ source, window, ackedSeq }: Inlet, rejected: readonly Rejected[]): void {
    counts.acksSent += 1
    // A device that does not read will send everything again that it has no ACK for.
    if (!source.ack(ackedSeq, windowPoints(window), rejected)) source.end(CLOSE.unavailable)
  }

  /** The source wants to go: what it brought is committed and acknowledged, then it ends (D12). */
  function finish(inlet: Inlet): void {
    const { source, window } = inlet
    if (inlet.isLeaving) return
    inlet.isLeaving = true
    if (unsettledPoints(window) === 0) return source.end(CLOSE.normal)
    clock.after(limits.closeTimeoutMs, () => source.end(CLOSE.normal))
  }

  /** The source has gone. What it brought goes its way. */
  function close({ window }: Inlet): void {
    closeWindow(window)
  }
}
