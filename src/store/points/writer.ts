/**
 * Takes what gathered in the backlog and stores it, one batch at a time in each lane. It has no timer: while one
 * statement runs, points gather, and the next takes them all. A batch is finished when everything in it is
 * committed or listed as rejected, however often that has to be tried; whom to tell is not its business.
 */
import { type Clock, wait, within } from '../../clock.ts'
import type { Backlog, BacklogEntry, Stored } from '../../core/backlog.ts'
import { blame, codeOf, describeError, retryDelayMs } from '../../core/blame.ts'
import { added } from '../../core/device.ts'
import { forgetId, isUnstored, type Session } from '../../core/sessions.ts'
import { POINT_STRIDE, REASON, WHOLE_FRAME } from '../../protocol/messages.ts'
import type { Run } from '../line/run.ts'
import { type DeadLetterRow, insertPoints, insertRejected, type PointRow, pointParameters } from './points.ts'
import { saveSessions } from './sessions.ts'

export interface WriterOptions<Owner> {
  backlog: Backlog<Owner>
  /** A connection for each lane of the backlog. */
  runs: readonly Run[]
  limits: { writeRowsMax: number; sessionGapMs: number; rejectedPointsPerDevice: number }
  listener: WriterListener<Owner>
  clock: Clock
}

/** Who hears what becomes of batches and lanes. */
export interface WriterListener<Owner> {
  /** A batch is finished; the one way out of the writer. */
  stored: (batch: Stored<Owner>) => void
  /** A lane's database is away, with the code that said so; called once until it is back. */
  away: (lane: number, reason: { code?: string; message: string }) => void
  back: (lane: number) => void
  /** Our own statement or schema is wrong: nothing more can be promised. */
  broken: (error: Error) => void
  retried: () => void
}

/** A row with the entry it came from, so that a refusal finds its way back. */
interface Row<Owner> extends PointRow {
  entry: BacklogEntry<Owner>
}

interface Refusal<Owner> {
  row: Row<Owner>
  sqlstate: string
}

export type Writer = ReturnType<typeof createWriter>

/**
 * One closure, for every step of every lane goes through the one `attempt`, which knows who is away and when to give up,
 * and `stop` has to wake and wait for all of them.
 */
export function createWriter<Owner>(options: WriterOptions<Owner>) {
  const { backlog, runs, limits, listener, clock } = options
  const away = new Set<number>()
  /** Lanes that have nothing to do, with what wakes them. */
  const idle = new Map<number, () => void>()
  let isStopping = false
  const lanes = runs.map((run, lane) => runLane(run, lane))
  return {
    stop,
    /** Lanes whose database is away. */
    get awayLanes() {
      return away.size
    },
  }

  /** Resolves when everything offered is stored, or after `timeoutMs`; true when nothing is left. */
  async function stop(timeoutMs: number): Promise<boolean> {
    isStopping = true
    for (const wake of idle.values()) wake()
    await within(clock, timeoutMs, Promise.all(lanes))
    return backlog.frames === 0
  }

  async function runLane(run: Run, lane: number): Promise<void> {
    backlog.onOffer(lane, () => idle.get(lane)?.())
    try {
      for (;;) {
        const entries = backlog.take(lane, limits.writeRowsMax)
        if (entries.length > 0) {
          const stored = await store(run, lane, entries) // Resolves only once all of it is committed.
          for (const entry of entries) backlog.done(entry)
          listener.stored(stored)
        } else if (isStopping) {
          return
        } else {
          await offered(lane)
        }
      }
    } catch (error) {
      listener.broken(error as Error)
    }
  }

  async function store(run: Run, lane: number, entries: BacklogEntry<Owner>[]): Promise<Stored<Owner>> {
    const startedMs = clock.elapsed()
    const rows = rowsOf(entries)
    const refusals: Refusal<Owner>[] = []
    const sessions = await storeSessions(run, lane, sessionsOf(entries))
    const refusedSessions = new Map(sessions.refused)
    rejectOps(entries, refusedSessions)
    const storable = refusedSessions.size === 0 ? rows : rows.filter(isStorable)
    const inserted = await storeRows(run, lane, storable, refusals, sessions.stored)
    const refused = listRefusals(refusals)
    const letters = deadLettersOf(entries)
    if (letters.length > 0) await bury(run, lane, letters)
    return {
      entries,
      sessions: [...new Set(sessions.stored)],
      rows: rows.length,
      inserted,
      refused,
      tookMs: clock.elapsed() - startedMs,
    }

    function isStorable(row: Row<Owner>): boolean {
      const sqlstate = refusedSessions.get(row.session)
      if (sqlstate !== undefined) refusals.push({ row, sqlstate })
      return sqlstate === undefined
    }
  }

  /** Saves sessions; those that the database refuses come back with the SQLSTATE. */
  async function storeSessions(run: Run, lane: number, sessions: Session[]) {
    const stored: Session[] = []
    const refused: [Session, string][] = []
    await halve(sessions)
    return { stored, refused }

    async function halve(part: Session[], isAgain = false): Promise<void> {
      if (part.length === 0) return
      const fault = await attempt(lane, () => saveSessions(run, part, limits.sessionGapMs))
      // A session may have vanished between two statements of ours: then it is created at the second try.
      const lost = part.filter((session) => session.id === 0)
      if (fault === null && lost.length === 0) {
        stored.push(...part)
      } else if (fault === null) {
        stored.push(...part.filter((session) => session.id !== 0))
        await halve(lost)
      } else if (part.length > 1) {
        const middle = part.length >> 1
        await halve(part.slice(0, middle))
        await halve(part.slice(middle))
      } else if (fault === UNIQUE && !isAgain) {
        // Another hub made a session start at the very moment that this one was to move to: now it is seen.
        await halve(part, true)
      } else {
        refused.push([part[0]!, fault])
      }
    }
  }

  /**
   * Inserts rows; halves a batch that is refused until the row is found, and one that takes too long. Returns how many
   * were new. `recreated` receives sessions that the database had lost.
   */
  async function storeRows(
    run: Run,
    lane: number,
    rows: Row<Owner>[],
    refusals: Refusal<Owner>[],
    recreated: Session[],
  ): Promise<number> {
    if (rows.length === 0) return 0
    let inserted = 0
    // Built once: what is tried again is the identical batch.
    let parameters = pointParameters(rows)
    let isRecreated = false
    for (;;) {
      const batch = parameters
      const patience = rows.length > 1 ? SLOW_ATTEMPTS_MAX : Number.POSITIVE_INFINITY
      const fault = await attempt(
        lane,
        async () => {
          inserted = await insertPoints(run, batch)
        },
        patience,
      )
      if (fault === null) return inserted
      if (fault === SLOW) return halve()
      if (fault !== FOREIGN_KEY || isRecreated) return refuse(fault)
      // The sessions are gone, as after a failover: create them again and go on.
      isRecreated = true
      const sessions = [...new Set(rows.map((row) => row.session))]
      for (const session of sessions) forgetId(session)
      const again = await storeSessions(run, lane, sessions)
      recreated.push(...again.stored)
      if (again.refused.length > 0) return refuse(fault)
      parameters = pointParameters(rows)
    }

    async function refuse(sqlstate: string): Promise<number> {
      if (rows.length === 1) {
        refusals.push({ row: rows[0]!, sqlstate })
        return 0
      }
      return halve()
    }

    async function halve(): Promise<number> {
      const middle = rows.length >> 1
      return (
        (await storeRows(run, lane, rows.slice(0, middle), refusals, recreated)) +
        (await storeRows(run, lane, rows.slice(middle), refusals, recreated))
      )
    }
  }

  async function bury(run: Run, lane: number, letters: DeadLetterRow[]): Promise<void> {
    const fault = await attempt(lane, () => insertRejected(run, letters, limits.rejectedPointsPerDevice))
    if (fault === null || letters.length === 1) return
    // A dead letter that nobody can store must not hold up the living.
    const middle = letters.length >> 1
    await bury(run, lane, letters.slice(0, middle))
    await bury(run, lane, letters.slice(middle))
  }

  /**
   * Runs one step until the database answers: null when it is committed, else the SQLSTATE with which it refused
   * a row, or SLOW when it was too slow for `slowMax` attempts. An outcome that nobody knows is tried again; a fault of
   * our own is thrown.
   */
  async function attempt(
    lane: number,
    step: () => Promise<void>,
    slowMax = Number.POSITIVE_INFINITY,
  ): Promise<string | null> {
    let slow = 0
    for (let attempts = 0; ; attempts++) {
      try {
        await step()
        if (away.delete(lane)) listener.back(lane)
        return null
      } catch (error) {
        const code = codeOf(error)
        const fault = blame(code)
        // What our own code throws has no SQLSTATE either, and would be tried for ever.
        if (fault === 'us' || error instanceof RangeError || error instanceof TypeError) throw error
        if (fault === 'row' || fault === 'reference') return code!
        listener.retried()
        if (!away.has(lane)) {
          away.add(lane)
          listener.away(lane, describeError(error))
        }
        if (code !== undefined && TOO_SLOW.includes(code)) slow += 1
        if (slow >= slowMax) return SLOW
        await wait(clock, retryDelayMs(attempts, clock.random()))
      }
    }
  }

  async function offered(lane: number): Promise<void> {
    await new Promise<void>((resolve) => idle.set(lane, resolve))
    idle.delete(lane)
  }
}

const FOREIGN_KEY = '23503'
const UNIQUE = '23505'
/** A statement that the server or the watchdog gave up. */
const TOO_SLOW = ['57014', 'WATCHDOG']
const SLOW = 'slow'
/** After so many, half as much is tried: it may be the batch that is too large for this database. */
const SLOW_ATTEMPTS_MAX = 3

function rowsOf<Owner>(entries: readonly BacklogEntry<Owner>[]): Row<Owner>[] {
  const rows: Row<Owner>[] = []
  for (const entry of entries) {
    const { values, count, sessionOf } = entry.kept
    for (let at = 0; at < count; at++) {
      rows.push({ entry, values, at, session: sessionOf[at]!, receivedMs: entry.receivedMs })
    }
  }
  return rows
}

function sessionsOf<Owner>(entries: readonly BacklogEntry<Owner>[]): Session[] {
  const sessions = new Set<Session>()
  for (const { kept } of entries) {
    for (const session of kept.changed) if (isUnstored(session)) sessions.add(session)
    for (const session of kept.sessionOf) if (isUnstored(session)) sessions.add(session)
  }
  return [...sessions]
}

/** A SESSION frame whose session the database refuses is rejected as a whole. */
function rejectOps<Owner>(
  entries: readonly BacklogEntry<Owner>[],
  refused: ReadonlyMap<Session, string>,
): void {
  for (const { seq, owner, kept } of entries) {
    const isOp = owner !== null && kept.count === 0 && kept.rejected.length === 0
    if (isOp && kept.changed.some((session) => refused.has(session))) {
      kept.rejected = added(kept.rejected, [seq, WHOLE_FRAME, REASON.database])
    }
  }
}

/** Puts refused rows on the rejected and dead-letter lists of their frames; returns how many by device. */
function listRefusals<Owner>(refusals: readonly Refusal<Owner>[]): Map<number, number> {
  const refused = new Map<number, number>()
  const places = refusals.map(({ row }) => placeInFrame(row))
  refusals.forEach(({ row, sqlstate }, i) => {
    const { entry, values, at, session } = row
    const { kept } = entry
    kept.rejected = added(kept.rejected, [entry.seq, places[i]!, REASON.database])
    kept.deadLetters = added(kept.deadLetters, {
      reason: REASON.database,
      sqlstate,
      // What the device said: an automatic session is the hub's own guess.
      sessionMs: session.automatic ? null : session.startedMs,
      values: values.slice(at * POINT_STRIDE, (at + 1) * POINT_STRIDE),
    })
    refused.set(entry.device.id, (refused.get(entry.device.id) ?? 0) + 1)
  })
  return refused
}

/** Where a kept row stood in the frame as it was sent: rejected points before it were taken out. */
function placeInFrame<Owner>({ entry, at }: Row<Owner>): number {
  let place = at
  for (const [, index] of entry.kept.rejected) if (index <= place) place += 1
  return place
}

function deadLettersOf<Owner>(entries: readonly BacklogEntry<Owner>[]): DeadLetterRow[] {
  const letters: DeadLetterRow[] = []
  for (const { device, receivedMs, kept } of entries) {
    for (const letter of kept.deadLetters) letters.push({ ...letter, deviceId: device.id, receivedMs })
  }
  return letters
}
