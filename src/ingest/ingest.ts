/**
 * Takes: everything between whoever brings points and the database, wired once. It knows no socket and no SQL: sources
 * bring points, and a writer stores what gathered.
 */
import type { Access } from '../access/access.ts'
import type { Admitted } from '../access/admission.ts'
import type { Clock } from '../clock.ts'
import { type Backlog, createBacklog, type Stored } from '../core/backlog.ts'
import { type CreditLimits, createCredit } from '../core/credit.ts'
import type { Fleet } from '../core/fleet.ts'
import type { Ops } from '../ops/ops.ts'
import { CLOSE, type Close } from '../protocol/closes.ts'
import { createDelivery, type DeliveryOptions } from './delivery.ts'
import { createIntake, type Inlet, type IntakeOptions, type Viewership } from './intake.ts'
import { createPacing, type PacingOptions } from './pacing.ts'
import { createPresence } from './presence.ts'
import type { Source } from './source.ts'

export interface IngestOptions {
  limits: CreditLimits &
    IntakeOptions['limits'] &
    PacingOptions['limits'] &
    DeliveryOptions['limits'] & { shutdownMs: number }
  ops: Ops
  clock: Clock
  access: Pick<Access, 'admission' | 'holdDevice'>
  fleet: Fleet
  live: Viewership
  points: PointsStore
  /** When devices were heard last, in ms. */
  seen: { note: (deviceId: number, ms: number) => void }
}

/** Who stores what gathered in the backlog. */
export interface PointsStore {
  /** Lanes that are written side by side. */
  lanes: number
  openWriter: (backlog: Backlog<Inlet>, listener: PointsListener) => PointsWriter
}

export interface PointsListener {
  /** A batch is finished: everything in it is committed, or listed as rejected. */
  stored: (batch: Stored<Inlet>) => void
  /** A lane's database is away; called once until it is back. */
  away: (lane: number, reason: { code?: string; message: string }) => void
  back: (lane: number) => void
}

export interface PointsWriter {
  /** Resolves when everything offered is stored, or after so many ms; true when nothing is left. */
  stop: (timeoutMs: number) => Promise<boolean>
  /** Lanes whose database is away. */
  readonly awayLanes: number
}

/** A frame that has waited so long for the writer has something in front of it. */
const WRITER_BEHIND_MS = 500

export type Ingest = ReturnType<typeof createIngest>

export function createIngest(options: IngestOptions) {
  const { limits, ops, clock, access, fleet, live, points } = options
  const { log, counts } = ops
  const { admission } = access
  const credit = createCredit(limits)
  const backlog = createBacklog<Inlet>(points.lanes)
  const latestMs = admission.newestReceivedMs
  const intake = createIntake({ ...options, credit, backlog, latestMs })
  const presence = createPresence(options)
  const pacing = createPacing({ limits, counts, inlets: presence.all, live, clock })
  const delivery = createDelivery({
    ...options,
    backlog,
    ingest: { settle: intake.settle, closeDevice: presence.closeDevice },
    noteReceived: admission.noteReceived,
  })
  let writer: PointsWriter | null = null
  return {
    enter,
    intake,
    gone,
    backlog,
    credit,
    tellRate: pacing.tellRate,
    tellRates: pacing.tellRates,
    closeDevice: presence.closeDevice,
    begin,
    tend,
    forgive: delivery.forgive,
    stop,
    isWriterBehind: () => backlogAgeMs() > WRITER_BEHIND_MS,
    /** The database was open, and does not keep anything waiting. */
    get isWriting() {
      return writer !== null && writer.awayLanes === 0
    },
    gauges,
  }

  /** A device that was admitted brings its points by this source from now on, or is told why it does not. */
  function enter(source: Source, { device, keyHash }: Admitted): Inlet | { close: Close } {
    // It may have left, or been deleted, while its key was looked at.
    const close = !source.isOpen ? CLOSE.normal : device.isGone ? CLOSE.refused : null
    const inlet = close === null ? intake.open(source, device, keyHash) : null
    if (inlet === null) {
      fleet.release(device)
      return { close: close ?? CLOSE.unavailable }
    }
    presence.replace(device.id)
    try {
      presence.come(inlet)
    } catch (error) {
      gone(inlet)
      throw error
    }
    return inlet
  }

  /** The source has gone. */
  function gone(inlet: Inlet): void {
    intake.close(inlet)
    presence.go(inlet)
  }

  /** The database is open: what gathers is stored from now on. */
  function begin(): void {
    writer = points.openWriter(backlog, {
      stored: delivery.stored,
      away: (lane, reason) => {
        log.warn({ lane, ...reason }, 'the database is away: nothing is acknowledged until it is back')
        pacing.pauseAll()
      },
      back: (lane) => log.info({ lane }, 'the database is back'),
    })
  }

  /** To be called every second. */
  function tend(): void {
    pacing.pauseLate()
    pacing.tellRates()
  }

  /** Resolves when all that was taken is stored and acknowledged, with false where there was no time for it. */
  async function stop(): Promise<boolean> {
    const isFlushed = (await writer?.stop(limits.shutdownMs)) ?? true
    if (!isFlushed) {
      log.warn({ frames: backlog.frames }, 'not stored in time, and not acknowledged; devices keep it')
    }
    return isFlushed
  }

  function backlogAgeMs(): number {
    const nowMs = clock.now()
    return Math.max(
      ...Array.from({ length: backlog.laneCount }, (_, lane) => nowMs - (backlog.oldestMs(lane) ?? nowMs)),
    )
  }

  function gauges() {
    return {
      backlogPoints: backlog.points,
      backlogFrames: backlog.frames,
      backlogAgeMs: backlogAgeMs(),
      windowPointsHeld: credit.heldPoints,
      devicesHeld: fleet.count,
      lanesAway: writer?.awayLanes ?? backlog.laneCount,
    }
  }
}
