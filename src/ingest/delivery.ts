/** What happens once a batch is stored: ACKs, and everything that viewers learn only after the commit. */
import { LRUCache } from 'lru-cache'
import type { Backlog } from '../core/backlog.ts'
import { type Bucket, createBucket, take } from '../core/bucket.ts'
import { type Device, nextPosition, type Span } from '../core/device.ts'
import type { Fleet } from '../core/fleet.ts'
import type { Session } from '../core/sessions.ts'
import type { Metrics } from '../ops/metrics.ts'
import { CLOSE } from '../protocol/closes.ts'
import { encodeBackfilled, encodeSessionChange } from '../protocol/encode.ts'
import type { DeviceSocket } from '../sockets/device.ts'
import type { DeviceLink } from '../sockets/link.ts'
import type { Stored } from '../store/points/writer.ts'

export interface DeliveryOptions {
  limits: { refusedRowsPerHourMax: number }
  backlog: Backlog<DeviceLink>
  fleet: Fleet
  devices: DeviceSocket
  metrics: Metrics
  publish: (device: Device, frame: Uint8Array) => void
  noteReceived: (receivedMs: number) => void
  now: () => number
}

const SUSPECTS_MAX = 10_000
/** A device that behaved for so long is trusted again. */
const SUSPECT_MS = 3_600_000

export function createDelivery(options: DeliveryOptions) {
  const { backlog, fleet, devices, metrics, publish, now } = options
  /** What viewers were told of a session last. */
  const told = new WeakMap<Session, string>()
  /** Devices whose points the database refuses, and how much of that is still let pass. */
  const suspects = new LRUCache<number, Bucket>({
    max: SUSPECTS_MAX,
    ttl: SUSPECT_MS,
    ttlAutopurge: true,
    dispose: (_, deviceId) => backlog.suspect(deviceId, false),
  })
  return { stored }

  function stored(batch: Stored<DeviceLink>): void {
    devices.settle(batch.entries)
    count(batch)
    for (const session of batch.sessions) tellSession(session)
    for (const [device, span] of spansOf(batch)) {
      publish(device, encodeBackfilled(nextPosition(device), span.fromMs, span.toMs))
    }
    for (const [deviceId, rows] of batch.refused) suspect(deviceId, rows)
    for (const { device } of batch.entries) fleet.release(device)
  }

  function count(batch: Stored<DeviceLink>): void {
    const { counts } = metrics
    let refused = 0
    for (const rows of batch.refused.values()) refused += rows
    counts.writes += 1
    counts.pointsStored += batch.inserted
    counts.pointsDuplicate += batch.rows - batch.inserted - refused
    counts.pointsRejectedDatabase += refused
    metrics.batchRows.record(batch.rows)
    metrics.writeMs.record(batch.tookMs)
    for (const { receivedMs } of batch.entries) options.noteReceived(receivedMs)
  }

  function tellSession(session: Session): void {
    const device = fleet.get(session.deviceId)
    // Also the op that decided: a snapshot may have shown another one, which this one overtook before its commit.
    const news = `${session.id} ${session.startedMs} ${session.status} ${session.statusMs} ${session.statusOp}`
    if (device === undefined || told.get(session) === news) return
    told.set(session, news)
    publish(
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
    if (!take(bucket, rows, now())) {
      metrics.counts.limitsExceeded += 1
      devices.closeDevice(deviceId, CLOSE.limit)
    }
  }
}

function spansOf(batch: Stored<DeviceLink>): Map<Device, Span> {
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

export type Delivery = ReturnType<typeof createDelivery>
