/**
 * The sessions of one device (D2, D3): which op decides a status, and to which session a point belongs.
 * It holds the recent sessions only; the store knows the rest and puts it right in `confirm`.
 */
import { SESSION_OP, type SessionOp, type SessionStatus } from '../protocol/messages.ts'

export interface Session {
  readonly deviceId: number
  readonly userId: number
  /** 0 until the store has it. */
  id: number
  startedMs: number
  /** Made by the hub for points without a session. */
  automatic: boolean
  status: SessionStatus
  /** The op that decided the status, and its moment in device time. */
  statusMs: number
  statusOp: number
  endedMs: number | null
  /** Span of its points as far as known; empty when `firstMs` > `lastMs`. */
  firstMs: number
  lastMs: number
  /** False when the store may have later points of it that nobody here has seen, until it has looked (`learnLast`). */
  isLastKnown: boolean
  /** Hub's clock at the last point or op. */
  touchedMs: number
  /** Made here, and counted against the device's rate of new sessions. */
  isCounted: boolean
  /** Grows with every change that the store has to learn. */
  revision: number
  storedRevision: number
  /** All of its device's, in the book that it is in. */
  siblings: Session[]
}

/** A session as the database has it. */
export interface StoredSession {
  id: number
  startedMs: number
  automatic: boolean
  status: SessionStatus
  statusMs: number
  statusOp: number
  endedMs: number | null
}

export interface SessionLimits {
  /** A point this close to an automatic session belongs to it. */
  sessionGapMs: number
  /** An explicit session without points for so long is ended. */
  sessionIdleMs: number
}

export type SessionBook = ReturnType<typeof createSessionBook>

const RECENT_MAX = 64
/** So much later than its first point a session may start because others start there already. */
export const SHIFT_MS_MAX = 99
const STATUS_AFTER: readonly SessionStatus[] = ['active', 'paused', 'active', 'ended']

export function createSessionBook(
  deviceId: number,
  userId: number,
  limits: SessionLimits,
  known: readonly Session[],
) {
  const sessions = [...known]
  for (const session of sessions) session.siblings = sessions
  return { named, isOpen, forPoint, addPoint, endIdle, sessions: sessions as readonly Session[] }

  /** The session that a device calls by its start. Pushes to `created` when it is new here. */
  function named(startedMs: number, nowMs: number, created: Session[]): Session {
    const found = startedAt(startedMs)
    if (found === undefined) return add(startedMs, false, nowMs, created)
    if (found.automatic) {
      // The device claims what the hub had made up for it.
      found.automatic = false
      found.revision += 1
    }
    return found
  }

  function isOpen(startedMs: number): boolean {
    const found = startedAt(startedMs)
    return found !== undefined && found.status !== 'ended'
  }

  /** The session of a point that names none (D3). `changed` receives sessions that this created or ended. */
  function forPoint(recordedMs: number, nowMs: number, changed: Session[]): Session {
    const found = openExplicit(recordedMs) ?? nearbyAutomatic(recordedMs)
    if (found !== null) return found
    for (const session of sessions) {
      // The device has moved on, so what it did before is over.
      const isOver = session.isLastKnown && session.lastMs + limits.sessionGapMs < recordedMs
      if (isOver && session.automatic && session.status !== 'ended') end(session, changed)
    }
    // A session that has ended but started at this very moment is the only one that may be called so.
    return startedAt(recordedMs) ?? add(recordedMs, true, nowMs, changed)
  }

  /** A point of the session was accepted: its span grows, and its end or provisional start may move. */
  function addPoint(session: Session, recordedMs: number, nowMs: number): void {
    session.touchedMs = nowMs
    if (recordedMs > session.lastMs) session.lastMs = recordedMs
    if (recordedMs < session.firstMs) session.firstMs = recordedMs
    if (session.endedMs !== null && recordedMs > session.endedMs) {
      session.endedMs = recordedMs
      session.revision += 1
    }
    if (!session.automatic || recordedMs >= session.startedMs) return
    const startMs = freeStart(recordedMs)
    if (startMs === null || startMs >= session.startedMs) return
    session.startedMs = startMs
    // It has been active since then; a device that claims it may have paused it before the old start.
    if (session.status === 'active') session.statusMs = startMs
    session.revision += 1
  }

  /** The first moment from there on that is no other session's start; null where there is none near. */
  function freeStart(fromMs: number): number | null {
    for (let ms = fromMs; ms <= fromMs + SHIFT_MS_MAX; ms++) if (startedAt(ms) === undefined) return ms
    return null
  }

  function startedAt(startedMs: number): Session | undefined {
    return sessions.find((session) => session.startedMs === startedMs)
  }

  function openExplicit(recordedMs: number): Session | null {
    let best: Session | null = null
    for (const session of sessions) {
      if (session.automatic || session.status === 'ended' || session.startedMs > recordedMs) continue
      if (best === null || session.startedMs > best.startedMs) best = session
    }
    return best
  }

  function nearbyAutomatic(recordedMs: number): Session | null {
    let best: Session | null = null
    let bestGapMs = Number.POSITIVE_INFINITY
    for (const session of sessions) {
      if (!session.automatic) continue
      const gapMs = Math.max(session.firstMs - recordedMs, recordedMs - session.lastMs, 0)
      if (gapMs <= limits.sessionGapMs && gapMs < bestGapMs) {
        best = session
        bestGapMs = gapMs
      }
    }
    return best
  }

  function add(startedMs: number, automatic: boolean, nowMs: number, created: Session[]): Session {
    const session: Session = {
      deviceId,
      userId,
      id: 0,
      startedMs,
      automatic,
      status: 'active',
      statusMs: startedMs,
      statusOp: SESSION_OP.start,
      endedMs: null,
      firstMs: Number.POSITIVE_INFINITY,
      lastMs: Number.NEGATIVE_INFINITY,
      isLastKnown: true,
      touchedMs: nowMs,
      isCounted: false,
      revision: 1,
      storedRevision: 0,
      siblings: sessions,
    }
    sessions.push(session)
    created.push(session)
    forgetOldest()
    return session
  }

  /**
   * Ends what has been idle for too long, at its last point; what has one that is not known, not yet. Returns the
   * sessions that changed.
   */
  function endIdle(nowMs: number): Session[] {
    const ended: Session[] = []
    for (const session of sessions) {
      if (session.status === 'ended' || !session.isLastKnown) continue
      const idleMs = nowMs - Math.max(session.lastMs, session.touchedMs, session.statusMs)
      if (idleMs > (session.automatic ? limits.sessionGapMs : limits.sessionIdleMs)) end(session, ended)
    }
    return ended
  }

  function forgetOldest(): void {
    if (sessions.length <= RECENT_MAX) return
    const oldest = oldestStored((session) => session.status === 'ended') ?? oldestStored(() => true)
    if (oldest !== null) sessions.splice(sessions.indexOf(oldest), 1)
  }

  /** The store knows it, and tells when it is named again. */
  function oldestStored(mayGo: (session: Session) => boolean): Session | null {
    let oldest: Session | null = null
    for (const session of sessions) {
      if (isUnstored(session) || !mayGo(session)) continue
      if (oldest === null || session.startedMs < oldest.startedMs) oldest = session
    }
    return oldest
  }
}

/** The op with the greatest moment decides, at the same moment the later op; *ended* is final (D2). */
export function applyOp(session: Session, op: SessionOp, atMs: number, nowMs: number): void {
  session.touchedMs = nowMs
  if (session.status === 'ended' || atMs < session.statusMs) return
  if (atMs === session.statusMs && op <= session.statusOp) return
  session.status = STATUS_AFTER[op]!
  session.statusMs = atMs
  session.statusOp = op
  if (session.status === 'ended') session.endedMs = Math.max(atMs, session.startedMs, session.lastMs)
  session.revision += 1
}

export function isUnstored(session: Session): boolean {
  return session.id === 0 || session.revision !== session.storedRevision
}

/**
 * The store has written `revision` of a session. What it found there came first, so it wins where it is later or
 * final, also over an end of ours; only what changed here since is still to come. `isNew`: this write made it, so that
 * it has no points yet.
 */
export function confirm(session: Session, stored: StoredSession, revision: number, isNew = false): void {
  if (session.id !== stored.id && !isNew) session.isLastKnown = false
  session.id = stored.id
  session.storedRevision = Math.max(session.storedRevision, revision)
  learn(session, stored, revision === session.revision)
  const twin = session.siblings.find((other) => other !== session && other.id === session.id)
  if (twin === undefined) return
  join(twin, session)
  learn(twin, stored, false)
}

function learn(session: Session, stored: StoredSession, isWritten: boolean): void {
  // Claimed while it was written: it is active since an earlier start than the row yet, and may have been paused then.
  const isOutdated = !session.automatic && stored.startedMs !== session.startedMs
  if (session.automatic) {
    // It was written as it is, so a later start than ours is one that could not move: another session starts then.
    if (isWritten || stored.startedMs < session.startedMs) session.startedMs = stored.startedMs
    session.firstMs = Math.min(session.firstMs, stored.startedMs)
  }
  if (!stored.automatic) session.automatic = false
  if (stored.status === 'ended' || (!isOutdated && isLater(stored, session))) {
    session.status = stored.status
    session.statusMs = stored.statusMs
    session.statusOp = stored.statusOp
    session.endedMs = stored.endedMs
  }
  if (stored.status === 'ended') {
    // Its end lies behind all points that are stored, and those that are not may have moved it.
    session.isLastKnown = true
    session.endedMs = Math.max(stored.endedMs!, session.lastMs)
    if (session.endedMs > stored.endedMs!) session.revision += 1
  }
}

function isLater(one: StoredSession, other: Session): boolean {
  return one.statusMs > other.statusMs || (one.statusMs === other.statusMs && one.statusOp > other.statusOp)
}

/** Two of a book turn out to be one session of the store: the later one leaves, and frames under way still know it. */
function join(twin: Session, session: Session): void {
  const { siblings } = session
  if (siblings.includes(session)) siblings.splice(siblings.indexOf(session), 1)
  twin.firstMs = Math.min(twin.firstMs, session.firstMs)
  twin.lastMs = Math.max(twin.lastMs, session.lastMs)
  twin.touchedMs = Math.max(twin.touchedMs, session.touchedMs)
  twin.isLastKnown &&= session.isLastKnown
}

/** The store has looked for the last point of a session, and tells when it was recorded and received; null: it has none. */
export function learnLast(session: Session, last: { recordedMs: number; receivedMs: number } | null): void {
  session.isLastKnown = true
  if (last === null) return
  session.lastMs = Math.max(session.lastMs, last.recordedMs)
  session.touchedMs = Math.max(session.touchedMs, last.receivedMs)
  if (session.endedMs !== null && session.lastMs > session.endedMs) {
    session.endedMs = session.lastMs
    session.revision += 1
  }
}

/** The database has lost the row (a failover), or it is another's: it has to be created or found by its start. */
export function forgetId(session: Session): void {
  session.id = 0
  session.storedRevision = 0
}

function end(session: Session, changed: Session[]): void {
  session.status = 'ended'
  session.statusMs = Math.max(session.statusMs, session.lastMs)
  session.statusOp = SESSION_OP.end
  session.endedMs = Math.max(session.startedMs, session.lastMs)
  session.revision += 1
  changed.push(session)
}
