/** Tends: all that the hub does again and again, in one list. What is done when it is time, each part knows itself. */
import type { Access } from '../access/access.ts'
import type { Clock } from '../clock.ts'
import type { Backlog } from '../core/backlog.ts'
import type { Fleet } from '../core/fleet.ts'
import type { Ops } from '../ops/ops.ts'
import type { Coalesced } from './coalesced.ts'
import { createRetention, type RetentionOptions, type RetentionRecords } from './retention.ts'
import { createSweep, type SweepRecords } from './sweep.ts'

export interface UpkeepOptions<Owner> {
  limits: RetentionOptions['limits'] & {
    /** Points older than this are deleted; null: none is. */
    retentionMs: number | null
    rightsCheckMs: number
    lastSeenFlushMs: number
    sessionSweepMs: number
    retentionSweepMs: number
  }
  ops: Ops
  clock: Clock
  fleet: Fleet
  access: Pick<Access, 'attended' | 'helloDeadlines' | 'rights' | 'admission'>
  ingest: { backlog: Backlog<Owner>; isWriterBehind: () => boolean; tend: () => void; forgive: () => void }
  records: SweepRecords & RetentionRecords
  /** What was noted and is to be written. */
  coalesced: readonly Coalesced[]
}

/** Several times a second: deadlines of seconds are met well enough. */
const CHECK_MS = 250
const SECOND_MS = 1_000
/** Of an hour it is a little. */
const FORGIVE_MS = 60_000

export function createUpkeep<Owner>(options: UpkeepOptions<Owner>) {
  const { limits, ops, clock, fleet, access, ingest, records } = options
  const { judge } = ops.faults
  const sweep = createSweep({
    fleet,
    backlog: ingest.backlog,
    records,
    watchChanges: access.admission.watchChanges,
    clock,
  })
  const retention =
    limits.retentionMs === null
      ? null
      : createRetention({
          retentionMs: limits.retentionMs,
          limits,
          fleet,
          counts: ops.counts,
          records,
          isWriterBehind: ingest.isWriterBehind,
          clock,
        })
  let timers: (() => void)[] = []
  return {
    start,
    begin,
    stop,
    flush,
    gauges: () => retention?.gauges() ?? { retentionDevices: 0, retentionFinishedMs: 0 },
  }

  /** What needs no database. `rooms`: whoever looks after those that are connected; `send`: once a second. */
  function start(rooms: readonly { check: () => void }[], send: () => void): void {
    timers.push(
      clock.every(CHECK_MS, () => {
        access.attended.check()
        access.helloDeadlines.check()
        for (const room of rooms) room.check()
      }),
      clock.every(FORGIVE_MS, ingest.forgive),
      clock.every(SECOND_MS, () => {
        ingest.tend()
        send()
        ops.audit.flush()
      }),
    )
  }

  /** The database is open. */
  function begin(): void {
    timers.push(
      clock.every(limits.rightsCheckMs, () => void access.rights.check().catch(judge)),
      clock.every(limits.lastSeenFlushMs, () => void flush()),
      clock.every(limits.sessionSweepMs, () => void sweep().catch(judge)),
      clock.every(limits.retentionSweepMs, () => void retention?.run().catch(judge)),
    )
    retention?.run().catch(judge)
  }

  function stop(): void {
    for (const end of timers) end()
    timers = []
    retention?.stop()
  }

  /** Writes what was noted; never rejects. */
  async function flush(): Promise<void> {
    await Promise.all(options.coalesced.map((noted) => noted.flush().catch(judge)))
  }
}
