/** What happens once a batch is stored: ACKs, and everything that viewers learn only after the commit. */
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import type { Backlog, Stored } from '../core/backlog.ts'
import { type Bucket, createBucket, take } from '../core/bucket.ts'
import { type Device, nextPosition, type Span } from '../core/device.ts'
import type { Fleet } from '../core/fleet.ts'
import type { Session } from '../core/sessions.ts'
import type { Ops } from '../ops/ops.ts'
import { CLOSE } from '../protocol/closes.ts'
import { encodeBackfilled, encodeSessionChange } from '../protocol/encode.ts'
import type { Inlet, Intake, Viewership } from './intake.ts'
import type { Presence } from './presence.ts'

export interface DeliveryOptions {
  limits: { refusedRowsPerHourMax: number }
  ops: Ops
  clock: Pick<Clock, 'now' | 'elapsed'>
  fleet: Fleet
  backlog: Backlog<Inlet>
  live: Pick<Viewership, 'publish'>
  ingest: Pick<Intake, 'settle'> & Pick<Presence, 'closeDevice'>
  /** A point is stored that was received at that moment of the hub's clock. */
  noteReceived: (receivedMs: number) => void
}

const SUSPECTS_MAX = 10_000
/** A device that behaved for so long is trusted again. */
const SUSPECT_MS = 3_600_000

export function createDelivery(options: DeliveryOptions) {
  const { ops, clock, fleet, backlog, live, ingest } = options
  /** What viewers were told of a session last. */
  const told = new WeakMap<Session, string>()
  /** Devices whose points the database refuses, and how much of that is still let pass. */
  const suspects = new LRUCache<number, Bucket>({
    max: SUSPECTS_MAX,
    ttl: SUSPECT_MS,
    ttlResolution: 0,
    perf: { now: clock.elapsed },
    dispose: (_, deviceId) => backlog.suspect(deviceId, false),
  })
  return { stored, forgive }

  function stored(batch: Stored<Inlet>): void {
    ingest.settle(batch.entries)
    count(batch)
    for (const session of batch.sessions) tellSession(session)
    for (const [device, span] of spansOf(batch)) {
      live.publish(device, encodeBackfilled(nextPosition(device), span.fromMs, span.toMs))
    }
    for (const [deviceId, rows] of batch.refused) suspect(deviceId, rows)
    for (const { device } of batch.entries) fleet.release(device)
  }

  function count(batch: Stored<Inlet>): void {
    const { counts, distributions } = ops
    let refused = 0
    for (const rows of batch.refused.values()) refused += rows
    counts.writes += 1
    counts.pointsStored += batch.inserted
    counts.pointsDuplicate += batch.rows - batch.inserted - refused
    counts.pointsRejectedDatabase += refused
    distributions.batchRows.record(batch.rows)
    distributions.writeMs.record(batch.tookMs)
    for (const { receivedMs } of batch.entries) options.noteReceived(receivedMs)
  }

  function tellSession(session: Session): void {
    const device = fleet.get(session.deviceId)
    // Also the op that decided: a snapshot may have shown another one, which this one overtook before its commit.
    const news = `${session.id} ${session.startedMs} ${session.status} ${session.statusMs} ${session.statusOp}`
    if (device === undefined || told.get(session) === news) return
    told.set(session, news)
    live.publish(
      device,
      encodeSessionChange(nextPosition(device), {
        sessionId: session.id,
        sessionMs: session.startedMs,
        status: session.status,
        endedMs: session.endedMs,
      }),
    )
  }

  /** A bad device must not hold up the lane that it shares. */
  function suspect(deviceId: number, rows: number): void {
    const perHour = options.limits.refusedRowsPerHourMax
    let bucket = suspects.get(deviceId)
    if (bucket === undefined) {
      bucket = createBucket(perHour / 3600, perHour)
      suspects.set(deviceId, bucket)
      backlog.suspect(deviceId, true)
    }
    if (!take(bucket, rows, clock.now())) {
      ops.counts.limitsExceeded += 1
      ingest.closeDevice(deviceId, CLOSE.limit)
    }
  }

  /** To be called now and then: devices that have behaved for long enough. */
  function forgive(): void {
    if (suspects.size > 0) suspects.purgeStale()
  }
}

function spansOf(batch: Stored<Inlet>): Map<Device, Span> {
  const spans = new Map<Device, Span>()
  for (const { device, kept } of batch.entries) {
    if (kept.leftOut === null) continue
    const span = spans.get(device)
    if (span === undefined) spans.set(device, { ...kept.leftOut })
    else {
      span.fromMs = Math.min(span.fromMs, kept.leftOut.fromMs)
      span.toMs = Math.max(span.toMs, kept.leftOut.toMs)
    }
  }
  return spans
}
