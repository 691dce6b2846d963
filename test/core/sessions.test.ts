/** Which session a point belongs to, and what decides whether a session is active, paused or ended (D2, D3). */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  applyOp,
  confirm,
  createSessionBook,
  forgetId,
  isUnstored,
  type Session,
  type SessionBook,
  type StoredSession,
} from '../../src/core/sessions.ts'
import type { SessionOp } from '../../src/protocol/messages.ts'
import { runs } from '../rig/runs.ts'
import { GAP_MS, HOUR_MS, IDLE_MS, MINUTE_MS, NOW_MS, storedSession } from './frames.ts'

const OPS = [0, 1, 2, 3] as const
const [START, PAUSE, RESUME, END] = OPS

function newBook(known: readonly Session[] = []): SessionBook {
  return createSessionBook(7, 3, { sessionGapMs: GAP_MS, sessionIdleMs: IDLE_MS }, known)
}

/** A point without a session is kept; the session it belongs to. */
function keep(book: SessionBook, recordedMs: number, nowMs = NOW_MS): Session {
  const session = book.forPoint(recordedMs, nowMs, [])
  book.addPoint(session, recordedMs, nowMs)
  return session
}

/** The device starts a session. */
function start(book: SessionBook, startedMs: number): Session {
  const session = book.named(startedMs, NOW_MS, [])
  applyOp(session, START, startedMs, NOW_MS)
  return session
}

/** The store writes what it has not, and finds nothing that the hub does not know. */
function store(session: Session, id = 1): void {
  const { startedMs, automatic, status, statusMs, statusOp, endedMs, revision } = session
  confirm(session, { id, startedMs, automatic, status, statusMs, statusOp, endedMs }, revision, true)
}

describe('a session that the device names', () => {
  test('is the same one each time, and is reported when it is new', () => {
    const book = newBook()
    const created: Session[] = []
    const session = book.named(NOW_MS, NOW_MS, created)
    expect(book.named(NOW_MS, NOW_MS, created)).toBe(session)
    expect(created).toEqual([session])
    expect(session).toMatchObject({ id: 0, deviceId: 7, userId: 3, automatic: false, status: 'active' })
  })

  test('is the one the database knows', () => {
    const known = storedSession({ id: 44, startedMs: NOW_MS })
    expect(newBook([known]).named(NOW_MS, NOW_MS, [])).toBe(known)
  })

  test('may be one that the hub made up, and then it is no longer automatic', () => {
    const book = newBook()
    const automatic = keep(book, NOW_MS)
    store(automatic)
    const claimed = book.named(NOW_MS, NOW_MS, [])
    expect(claimed).toBe(automatic)
    expect(claimed.automatic).toBe(false)
    expect(isUnstored(claimed)).toBe(true)
    expect(keep(book, NOW_MS + 10 * HOUR_MS)).toBe(claimed)
  })
})

describe('a point without a session', () => {
  test('belongs to the explicit session that is active or paused and started before', () => {
    const book = newBook()
    const session = start(book, NOW_MS)
    expect(keep(book, NOW_MS)).toBe(session)
    applyOp(session, PAUSE, NOW_MS + 1, NOW_MS)
    expect(keep(book, NOW_MS + 10 * HOUR_MS)).toBe(session)
  })

  test('does not belong to one that starts later or has ended', () => {
    const book = newBook()
    const session = start(book, NOW_MS)
    expect(keep(book, NOW_MS - 1)).not.toBe(session)
    applyOp(session, END, NOW_MS + MINUTE_MS, NOW_MS)
    expect(keep(book, NOW_MS + 2 * MINUTE_MS)).not.toBe(session)
  })

  test('belongs to the explicit session that started last, of several', () => {
    const book = newBook()
    const first = start(book, NOW_MS)
    const second = start(book, NOW_MS + HOUR_MS)
    start(book, NOW_MS + 3 * HOUR_MS)
    expect(keep(book, NOW_MS + 2 * HOUR_MS)).toBe(second)
    expect(keep(book, NOW_MS + MINUTE_MS)).toBe(first)
  })

  test('goes to an explicit session rather than to an automatic one, however near', () => {
    const book = newBook()
    keep(book, NOW_MS - HOUR_MS)
    const explicit = start(book, NOW_MS - HOUR_MS + 1)
    expect(keep(book, NOW_MS - HOUR_MS + 2)).toBe(explicit)
  })

  test.each([
    ['after', 1],
    ['before', -1],
  ])('belongs to the automatic session with a point up to the gap %s it', (_, direction) => {
    const book = newBook()
    const session = keep(book, NOW_MS)
    expect(keep(book, NOW_MS + direction * GAP_MS)).toBe(session)
    expect(keep(book, NOW_MS + direction * (2 * GAP_MS + 1))).not.toBe(session)
  })

  test('may carry an automatic session on and on', () => {
    const book = newBook()
    const session = keep(book, NOW_MS)
    for (let i = 1; i < 20; i++) expect(keep(book, NOW_MS + i * GAP_MS)).toBe(session)
    expect(keep(book, NOW_MS + GAP_MS / 2)).toBe(session)
  })

  test('belongs to the nearer of two automatic sessions', () => {
    const book = newBook()
    const early = keep(book, NOW_MS)
    const late = keep(book, NOW_MS + GAP_MS + 10)
    expect(keep(book, NOW_MS + GAP_MS)).toBe(late)
    expect(keep(book, NOW_MS + 1)).toBe(early)
  })

  test('begins a new automatic session at itself when nothing is near, which ends the one before', () => {
    const book = newBook()
    const first = keep(book, NOW_MS)
    keep(book, NOW_MS + MINUTE_MS)
    const laterMs = NOW_MS + 2 * GAP_MS
    const changed: Session[] = []
    const second = book.forPoint(laterMs, NOW_MS, changed)
    expect(second).toMatchObject({ automatic: true, startedMs: laterMs, status: 'active' })
    expect(first).toMatchObject({ status: 'ended', endedMs: NOW_MS + MINUTE_MS })
    expect(new Set(changed)).toEqual(new Set([first, second]))
  })

  test('belongs to an automatic session also when the hub has ended that, and moves its end', () => {
    const book = newBook()
    const session = keep(book, NOW_MS)
    book.endIdle(NOW_MS + GAP_MS + 1)
    expect(session.status).toBe('ended')
    expect(keep(book, NOW_MS + GAP_MS)).toBe(session)
    expect(session.endedMs).toBe(NOW_MS + GAP_MS)
  })

  test('at the very start of a session that has ended is part of it: no other may have that start', () => {
    const book = newBook()
    const session = start(book, NOW_MS)
    applyOp(session, END, NOW_MS + 1, NOW_MS)
    expect(keep(book, NOW_MS)).toBe(session)
    expect(book.sessions).toHaveLength(1)
  })

  test('that is older than its automatic session makes that begin earlier', () => {
    const book = newBook()
    const session = keep(book, NOW_MS)
    store(session)
    keep(book, NOW_MS - MINUTE_MS)
    expect(session.startedMs).toBe(NOW_MS - MINUTE_MS)
    expect(isUnstored(session)).toBe(true)
  })

  test('moves a start to the moment after where another session has its own', () => {
    const book = newBook()
    const ended = start(book, NOW_MS - MINUTE_MS)
    applyOp(ended, END, NOW_MS - MINUTE_MS, NOW_MS)
    const session = keep(book, NOW_MS)
    expect(keep(book, NOW_MS - MINUTE_MS)).toBe(session)
    expect(session.startedMs).toBe(NOW_MS - MINUTE_MS + 1)
    // It counts as a point of the automatic session all the same.
    expect(keep(book, NOW_MS - MINUTE_MS - GAP_MS)).toBe(session)
  })

  test('goes on with what the database knows when the hub begins anew', () => {
    const span = { firstMs: NOW_MS - HOUR_MS, lastMs: NOW_MS - GAP_MS }
    const automatic = storedSession({ id: 4, startedMs: NOW_MS - HOUR_MS, automatic: true, ...span })
    expect(keep(newBook([automatic]), NOW_MS)).toBe(automatic)
    const explicit = storedSession({ id: 5, startedMs: NOW_MS - 9 * HOUR_MS, status: 'paused' })
    expect(keep(newBook([{ ...automatic }, explicit]), NOW_MS)).toBe(explicit)
    const ended = storedSession({ id: 6, startedMs: NOW_MS - HOUR_MS, status: 'ended', endedMs: NOW_MS })
    expect(keep(newBook([ended]), NOW_MS)).not.toBe(ended)
  })
})

describe('the status of a session', () => {
  const statusAfter = (...ops: [op: SessionOp, atMs: number][]) => {
    const session = start(newBook(), NOW_MS)
    for (const [op, atMs] of ops) applyOp(session, op, NOW_MS + atMs, NOW_MS)
    return session.status
  }

  test('follows the ops', () => {
    expect(statusAfter()).toBe('active')
    expect(statusAfter([PAUSE, 10])).toBe('paused')
    expect(statusAfter([PAUSE, 10], [RESUME, 20])).toBe('active')
    expect(statusAfter([PAUSE, 10], [END, 20])).toBe('ended')
  })

  test('is that of the greatest moment, in whatever order the ops come', () => {
    expect(statusAfter([RESUME, 20], [PAUSE, 10])).toBe('active')
    expect(statusAfter([PAUSE, 20], [RESUME, 10])).toBe('paused')
  })

  test('is that of the later op at the same moment', () => {
    expect(statusAfter([PAUSE, 10], [RESUME, 10])).toBe('active')
    expect(statusAfter([RESUME, 10], [PAUSE, 10])).toBe('active')
    expect(statusAfter([PAUSE, 0])).toBe('paused')
    expect(statusAfter([END, 10], [RESUME, 10])).toBe('ended')
  })

  test('does not change again once it is ended', () => {
    expect(statusAfter([END, 10], [RESUME, 20])).toBe('ended')
  })

  test('is not that of an end older than the op that decided', () => {
    expect(statusAfter([RESUME, 20], [END, 10])).toBe('active')
  })

  test('is decided by the ops of the device once it has claimed what the hub had made up', () => {
    const book = newBook()
    keep(book, NOW_MS + 100_000)
    const session = keep(book, NOW_MS + 50_000)
    expect(session.startedMs).toBe(NOW_MS + 50_000)
    const claimed = book.named(NOW_MS + 50_000, NOW_MS, [])
    expect(claimed).toBe(session)
    applyOp(claimed, PAUSE, NOW_MS + 60_000, NOW_MS)
    expect(claimed.status).toBe('paused')
  })

  test('comes out the same when every op is repeated, and a repeated op is no change', () => {
    const anyOp = fc.record({ op: fc.constantFrom(START, PAUSE, RESUME, END), atMs: fc.nat(5) })
    fc.assert(
      fc.property(fc.array(anyOp, { maxLength: 8 }), fc.array(fc.nat(7), { maxLength: 8 }), (ops, again) => {
        const once = start(newBook(), NOW_MS)
        const often = start(newBook(), NOW_MS)
        ops.forEach(({ op, atMs }, i) => {
          applyOp(once, op, NOW_MS + atMs, NOW_MS)
          applyOp(often, op, NOW_MS + atMs, NOW_MS)
          const { revision } = often
          for (const which of again) {
            const old = ops[which % (i + 1)]!
            applyOp(often, old.op, NOW_MS + old.atMs, NOW_MS)
          }
          expect(often.revision).toBe(revision)
        })
        expect([often.status, often.endedMs]).toEqual([once.status, once.endedMs])
      }),
    )
  })
})

describe('the end of a session', () => {
  test('is the moment of its op, or its last point when that is later', () => {
    const book = newBook()
    const early = start(book, NOW_MS)
    applyOp(early, END, NOW_MS + MINUTE_MS, NOW_MS)
    expect(early.endedMs).toBe(NOW_MS + MINUTE_MS)
    const late = start(book, NOW_MS + HOUR_MS)
    book.addPoint(late, NOW_MS + 2 * HOUR_MS, NOW_MS)
    applyOp(late, END, NOW_MS + HOUR_MS, NOW_MS)
    expect(late.endedMs).toBe(NOW_MS + 2 * HOUR_MS)
  })

  test('is moved by points that still arrive, if they are later, and that is news for the store', () => {
    const book = newBook()
    const session = start(book, NOW_MS)
    applyOp(session, END, NOW_MS + MINUTE_MS, NOW_MS)
    store(session)
    book.addPoint(session, NOW_MS + MINUTE_MS, NOW_MS)
    expect([session.endedMs, isUnstored(session)]).toEqual([NOW_MS + MINUTE_MS, false])
    book.addPoint(session, NOW_MS + HOUR_MS, NOW_MS)
    expect([session.endedMs, isUnstored(session)]).toEqual([NOW_MS + HOUR_MS, true])
    expect(session.status).toBe('ended')
  })
})

describe('an idle session', () => {
  test('is ended at its last point when it is automatic, once the gap has passed', () => {
    const book = newBook()
    const session = keep(book, NOW_MS - MINUTE_MS, NOW_MS)
    store(session)
    expect(book.endIdle(NOW_MS + GAP_MS)).toEqual([])
    expect(book.endIdle(NOW_MS + GAP_MS + 1)).toEqual([session])
    expect(session).toMatchObject({ status: 'ended', endedMs: NOW_MS - MINUTE_MS })
    expect(isUnstored(session)).toBe(true)
  })

  test('is ended at its last point when it is explicit, after 24 h without points', () => {
    const book = newBook()
    const session = start(book, NOW_MS)
    book.addPoint(session, NOW_MS + MINUTE_MS, NOW_MS + MINUTE_MS)
    expect(book.endIdle(NOW_MS + MINUTE_MS + IDLE_MS)).toEqual([])
    expect(book.endIdle(NOW_MS + MINUTE_MS + IDLE_MS + 1)).toEqual([session])
    expect(session).toMatchObject({ status: 'ended', endedMs: NOW_MS + MINUTE_MS })
  })

  test('is ended where it started when it has no point', () => {
    const book = newBook()
    const session = start(book, NOW_MS)
    book.endIdle(NOW_MS + IDLE_MS + 1)
    expect(session).toMatchObject({ status: 'ended', endedMs: NOW_MS })
  })

  test('is ended when it is paused, and not again when it has ended', () => {
    const book = newBook()
    const session = start(book, NOW_MS)
    applyOp(session, PAUSE, NOW_MS, NOW_MS)
    expect(book.endIdle(NOW_MS + IDLE_MS + 1)).toEqual([session])
    expect(book.endIdle(NOW_MS + 3 * IDLE_MS)).toEqual([])
  })

  test('is ended by an op that comes after the one before it, so that the store lets it win', () => {
    const book = newBook()
    const session = start(book, NOW_MS)
    book.addPoint(session, NOW_MS + 1, NOW_MS)
    applyOp(session, PAUSE, NOW_MS + MINUTE_MS, NOW_MS)
    book.endIdle(NOW_MS + 2 * IDLE_MS)
    expect(session).toMatchObject({ statusMs: NOW_MS + MINUTE_MS, statusOp: END, endedMs: NOW_MS + 1 })
  })

  test('is not one that sends old points now', () => {
    const book = newBook()
    keep(book, NOW_MS - 20 * HOUR_MS, NOW_MS)
    expect(book.endIdle(NOW_MS + GAP_MS)).toEqual([])
  })
})

describe('what the store found', () => {
  test('gives the session its id, and nothing is left to store', () => {
    const session = start(newBook(), NOW_MS)
    expect(isUnstored(session)).toBe(true)
    store(session, 81)
    expect([session.id, isUnstored(session)]).toEqual([81, false])
  })

  test('does not hide what changed while it was writing', () => {
    const session = start(newBook(), NOW_MS)
    const { startedMs, automatic, status, statusMs, statusOp, endedMs, revision } = session
    const written = { id: 5, startedMs, automatic, status, statusMs, statusOp, endedMs }
    applyOp(session, PAUSE, NOW_MS + 1, NOW_MS)
    confirm(session, written, revision)
    expect([session.status, isUnstored(session)]).toEqual(['paused', true])
  })

  test('wins where its op is later, and loses where it is earlier', () => {
    const known = { id: 5, startedMs: NOW_MS, automatic: false, endedMs: null }
    const behind = start(newBook(), NOW_MS)
    confirm(behind, { ...known, status: 'paused', statusMs: NOW_MS + 9, statusOp: PAUSE }, 1)
    expect(behind.status).toBe('paused')
    const ahead = start(newBook(), NOW_MS)
    applyOp(ahead, RESUME, NOW_MS + 10, NOW_MS)
    confirm(ahead, { ...known, status: 'paused', statusMs: NOW_MS + 9, statusOp: PAUSE }, 2)
    expect(ahead.status).toBe('active')
  })

  test('says nothing of a pause from before its start, where the device has claimed an earlier one meanwhile', () => {
    const book = newBook()
    const session = keep(book, NOW_MS)
    const { startedMs, automatic, status, statusMs, statusOp, endedMs, revision } = session
    keep(book, NOW_MS - 20)
    applyOp(book.named(NOW_MS - 20, NOW_MS, []), PAUSE, NOW_MS - 10, NOW_MS)
    confirm(session, { id: 5, startedMs, automatic, status, statusMs, statusOp, endedMs }, revision, true)
    expect(session).toMatchObject({ id: 5, startedMs: NOW_MS - 20, status: 'paused', statusMs: NOW_MS - 10 })
    expect(isUnstored(session)).toBe(true)
  })

  test('wins where it has ended, and the later end is the end', () => {
    const ended = { id: 5, startedMs: NOW_MS, automatic: false, status: 'ended' as const, statusOp: END }
    const session = start(newBook(), NOW_MS)
    applyOp(session, RESUME, NOW_MS + 99, NOW_MS)
    confirm(session, { ...ended, statusMs: NOW_MS + 9, endedMs: NOW_MS + 20 }, 2)
    expect(session).toMatchObject({ status: 'ended', endedMs: NOW_MS + 20 })
    applyOp(session, RESUME, NOW_MS + 200, NOW_MS)
    expect(session.status).toBe('ended')
  })

  test('wins over an end of ours that came second and has not the greatest moment', () => {
    const session = start(newBook(), NOW_MS)
    applyOp(session, END, NOW_MS + 10, NOW_MS)
    const known = { id: 5, startedMs: NOW_MS, automatic: false, endedMs: null }
    confirm(session, { ...known, status: 'paused', statusMs: NOW_MS + 20, statusOp: PAUSE }, session.revision)
    expect(session).toMatchObject({ status: 'paused', statusMs: NOW_MS + 20, endedMs: null })
    applyOp(session, END, NOW_MS + 30, NOW_MS)
    expect(session).toMatchObject({ status: 'ended', endedMs: NOW_MS + 30 })
  })

  test('wins with its end over a later end of ours', () => {
    const session = start(newBook(), NOW_MS)
    applyOp(session, END, NOW_MS + 30, NOW_MS)
    const ended = { id: 5, startedMs: NOW_MS, automatic: false, status: 'ended' as const, statusOp: END }
    confirm(session, { ...ended, statusMs: NOW_MS + 10, endedMs: NOW_MS + 10 }, session.revision)
    expect(session).toMatchObject({ statusMs: NOW_MS + 10, endedMs: NOW_MS + 10 })
  })

  test('makes two of a book one when they are one in the store', () => {
    const book = newBook()
    const early = keep(book, NOW_MS - HOUR_MS)
    const late = keep(book, NOW_MS)
    expect(book.sessions).toEqual([early, late])
    const known = { id: 5, startedMs: NOW_MS - 2 * HOUR_MS, automatic: true, endedMs: null }
    const stored = { ...known, status: 'active' as const, statusMs: NOW_MS - 2 * HOUR_MS, statusOp: START }
    confirm(early, stored, 0)
    confirm(late, stored, 0)
    expect(book.sessions).toEqual([early])
    expect(early).toMatchObject({ firstMs: NOW_MS - 2 * HOUR_MS, lastMs: NOW_MS })
    // What the store says of one of them is true of both.
    confirm(late, { ...stored, status: 'ended', statusMs: NOW_MS, statusOp: END, endedMs: NOW_MS }, 2)
    expect(early).toMatchObject({ status: 'ended', endedMs: NOW_MS })
    expect(keep(book, NOW_MS + 1)).toBe(early)
    expect(early.endedMs).toBe(NOW_MS + 1)
    expect(isUnstored(early)).toBe(true)
  })

  test('and what the hub has agree after every write, in whatever order ops, points and hubs come', () => {
    const step = fc.record({
      hub: fc.nat(2),
      what: fc.constantFrom(...OPS, 'point' as const, 'take' as const, 'finish' as const),
      atMs: fc.nat(6),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const row = createRow()
        const hubs = [0, 1, 2].map(() => createHub(row))
        const expectAgreed = (session: Session) => {
          const { status, statusMs, statusOp, endedMs } = row.get()!
          expect(session).toMatchObject({ status, statusMs, statusOp, endedMs })
        }
        for (const { hub: which, what, atMs } of steps) {
          const hub = hubs[which]!
          if (what === 'take') hub.take()
          else if (what === 'point') hub.point(NOW_MS + atMs)
          else if (what !== 'finish') hub.op(what, NOW_MS + atMs)
          else if (hub.finish() && !isUnstored(hub.session)) expectAgreed(hub.session)
        }
        // Once to tell what they have, and once more to hear what the others had.
        for (const { session, writeAll } of [...hubs, ...hubs]) {
          session.revision += 1
          writeAll()
          expectAgreed(session)
        }
        const { status, endedMs } = row.get()!
        if (status !== 'ended') return
        for (const { session } of hubs) expect(endedMs).toBeGreaterThanOrEqual(session.lastMs)
      }),
      { numRuns: runs(2_000) },
    )
  })

  test('is news for the store where points had moved an end that only the store knew', () => {
    // The hub did not know that the session had ended, and has kept a point after that end.
    const book = newBook()
    const session = book.named(NOW_MS, NOW_MS, [])
    book.addPoint(session, NOW_MS + HOUR_MS, NOW_MS)
    const { revision } = session
    const ended = { id: 5, startedMs: NOW_MS, automatic: false, status: 'ended' as const, statusOp: END }
    confirm(session, { ...ended, statusMs: NOW_MS + 9, endedMs: NOW_MS + 9 }, revision)
    expect(session).toMatchObject({ status: 'ended', endedMs: NOW_MS + HOUR_MS })
    expect(isUnstored(session)).toBe(true)
  })

  test('may be that the session began earlier, or that the device had named it', () => {
    const book = newBook()
    const session = keep(book, NOW_MS)
    const known = { id: 5, status: 'active' as const, statusMs: 0, statusOp: START, endedMs: null }
    confirm(session, { ...known, startedMs: NOW_MS - 5, automatic: true }, 0)
    expect(session).toMatchObject({ id: 5, startedMs: NOW_MS - 5, automatic: true })
    expect(isUnstored(session)).toBe(true)
    confirm(session, { ...known, startedMs: NOW_MS - 5, automatic: false }, 1)
    expect([session.automatic, isUnstored(session)]).toEqual([false, false])
  })

  test('puts a start right that could not move, unless it has moved again since', () => {
    const book = newBook()
    const session = keep(book, NOW_MS)
    store(session)
    keep(book, NOW_MS - 5)
    const known = { id: 1, automatic: true, status: 'active' as const, statusOp: START, endedMs: null }
    const unmoved = { ...known, startedMs: NOW_MS, statusMs: NOW_MS }
    const written = session.revision
    keep(book, NOW_MS - 9)
    confirm(session, unmoved, written)
    expect(session.startedMs).toBe(NOW_MS - 9)
    confirm(session, unmoved, session.revision)
    expect(session.startedMs).toBe(NOW_MS)
  })

  test('may be nothing at all, after a failover: then the session is stored again', () => {
    const session = start(newBook(), NOW_MS)
    store(session)
    forgetId(session)
    expect([session.id, isUnstored(session)]).toEqual([0, true])
  })
})

describe('a book', () => {
  test('keeps what is open or not yet stored, and forgets the oldest of the rest', () => {
    const book = newBook()
    const open = start(book, NOW_MS - 2 * HOUR_MS)
    store(open, 999)
    const unstored = start(book, NOW_MS - HOUR_MS)
    applyOp(unstored, END, NOW_MS, NOW_MS)
    for (let i = 0; i < 200; i++) {
      const session = start(book, NOW_MS + i)
      applyOp(session, END, NOW_MS + i, NOW_MS)
      store(session, i + 1)
    }
    expect(book.sessions.length).toBeLessThanOrEqual(64)
    expect(book.sessions).toContain(open)
    expect(book.sessions).toContain(unstored)
    const starts = book.sessions.map(({ startedMs }) => startedMs)
    for (let i = 150; i < 200; i++) expect(starts).toContain(NOW_MS + i)
  })
})

type Row = StoredSession | undefined

/** One row of a database that keeps what its statements keep, written by one hub after another. */
function createRow() {
  let row: Row
  return { get: () => row, write }

  /** Returns the row, and whether it is new. */
  function write(given: StoredSession & { lastMs: number }): [StoredSession, boolean] {
    const isNew = row === undefined
    row ??= { ...given, id: 1 }
    if (isNew) return [row, true]
    const isLater =
      given.statusMs > row.statusMs || (given.statusMs === row.statusMs && given.statusOp > row.statusOp)
    if (row.status === 'ended') row = { ...row, endedMs: Math.max(row.endedMs!, given.lastMs) }
    else if (isLater) {
      const { status, statusMs, statusOp, endedMs } = given
      row = { ...row, status, statusMs, statusOp, endedMs }
    }
    return [row, false]
  }
}

/** A hub that knows one session, and what it is writing of it just now. */
function createHub(row: ReturnType<typeof createRow>) {
  const book = newBook()
  const session = book.named(NOW_MS, NOW_MS, [])
  let writing: { given: Session; revision: number } | null = null
  return { session, op, point, take, finish, writeAll }

  function op(which: SessionOp, atMs: number): void {
    applyOp(session, which, atMs, NOW_MS)
  }

  function point(recordedMs: number): void {
    book.addPoint(session, recordedMs, NOW_MS)
  }

  function take(): void {
    if (isUnstored(session)) writing ??= { given: { ...session }, revision: session.revision }
  }

  /** False when nothing was being written. */
  function finish(): boolean {
    if (writing === null) return false
    const { given, revision } = writing
    writing = null
    const [stored, isNew] = row.write(given)
    confirm(session, stored, revision, isNew)
    return true
  }

  function writeAll(): void {
    finish()
    for (; isUnstored(session); finish()) take()
  }
}
