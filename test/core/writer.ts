/**
 * The writer in miniature: one batch at a time in each lane, and a database that is a handful of variables. It
 * finishes a batch when the script says so.
 */
import type { Backlog, BacklogEntry } from '../../src/core/backlog.ts'
import type { Kept } from '../../src/core/device.ts'
import { confirm, isUnstored, type Session, type StoredSession } from '../../src/core/sessions.ts'
import { SESSION_OP } from '../../src/protocol/messages.ts'

/** What a statement says of a session, as it was when its batch was taken. */
interface Write {
  session: Session
  row: StoredSession & { lastMs: number }
  revision: number
}

export function createWriter<Owner>(
  backlog: Backlog<Owner>,
  onStored: (entries: BacklogEntry<Owner>[]) => void,
) {
  const writing = Array.from({ length: backlog.laneCount }, () => ({
    entries: [] as BacklogEntry<Owner>[],
    writes: [] as Write[],
  }))
  const rows = new Map<Session, StoredSession>()
  let lastSessionId = 0
  return { take, finish, writeAll, lanesOf, stored }

  function take(lane: number, rowsMax: number): void {
    if (writing[lane]!.entries.length > 0) return
    const entries = backlog.take(lane, rowsMax)
    writing[lane] = { entries, writes: entries.flatMap(({ kept }) => writesOf(kept)) }
  }

  function finish(lane: number): void {
    const { entries, writes } = writing[lane]!
    writing[lane] = { entries: [], writes: [] }
    for (const { session, row, revision } of writes) {
      lastSessionId += 1
      const isNew = !rows.has(session)
      const stored = merge(rows.get(session), { ...row, id: session.id || lastSessionId })
      rows.set(session, stored)
      confirm(session, stored, revision, isNew)
    }
    for (const entry of entries) backlog.done(entry)
    onStored(entries)
  }

  /** Every lane finishes what it is at, and then whatever waits. */
  function writeAll(): void {
    for (let lane = 0; lane < backlog.laneCount; lane++) {
      finish(lane)
      take(lane, Number.POSITIVE_INFINITY)
      finish(lane)
    }
  }

  /** What the database has of a session. */
  function stored(session: Session): StoredSession | undefined {
    return rows.get(session)
  }

  /** In how many lanes the device is being written. */
  function lanesOf(deviceId: number): number {
    return writing.filter(({ entries }) => entries.some(({ device }) => device.id === deviceId)).length
  }
}

/** Sessions that the store has to learn of, with what it learns. */
function writesOf(kept: Kept): Write[] {
  const sessions = new Set(kept.changed.filter(isUnstored))
  for (const session of kept.sessionOf) if (isUnstored(session)) sessions.add(session)
  return [...sessions].map((session) => ({ session, row: { ...session }, revision: session.revision }))
}

/** What a statement leaves in the database: the later op wins, *ended* is final, and only points move an end on. */
function merge(row: StoredSession | undefined, given: Write['row']): StoredSession {
  if (row === undefined) return given
  // What the hub made up is active from its first point on, and that may turn out to be an earlier one.
  const isEarlierStart = row.statusOp === SESSION_OP.start && given.startedMs < row.startedMs
  const isLater =
    given.statusMs > row.statusMs || (given.statusMs === row.statusMs && given.statusOp > row.statusOp)
  const decides = row.status !== 'ended' && (isLater || isEarlierStart) ? given : row
  return {
    id: row.id,
    startedMs: Math.min(row.startedMs, given.startedMs),
    automatic: row.automatic && given.automatic,
    status: decides.status,
    statusMs: decides.statusMs,
    statusOp: decides.statusOp,
    endedMs: row.endedMs === null ? decides.endedMs : Math.max(row.endedMs, given.lastMs),
  }
}
