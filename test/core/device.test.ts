/** What becomes of one frame of a device: stored or rejected (D8), shown or left out (D9), counted (V2, D10). */
import { describe, expect, test } from 'vitest'
import {
  comeOnline,
  type Device,
  endIdleSessions,
  forgetOld,
  isWithinRates,
  type Kept,
  keepPoints,
  keepSessionOp,
  nextPosition,
  recordOf,
} from '../../src/core/device.ts'
import { confirm, type Session } from '../../src/core/sessions.ts'
import {
  GAP_MS,
  HOUR_MS,
  LIMITS,
  MINUTE_MS,
  NOW_MS,
  newDevice,
  type PointParts,
  pointsFrame,
  row,
  rowsOf,
  SECOND_MS,
  sessionFrame,
  storedSession,
} from './frames.ts'

const [START, PAUSE, , END] = [0, 1, 2, 3] as const
const [COORDINATE, FUTURE, TOO_OLD, FIELD] = [1, 2, 3, 4] as const
const YEAR_2000_MS = Date.UTC(2000, 0, 1)
const DAY_MS = 24 * HOUR_MS
const INT32_MAX = 2 ** 31 - 1

/** The device sends these points now. */
function send(
  device: Device,
  points: readonly (number | PointParts)[],
  session: number | null = NOW_MS,
): Kept {
  return keepPoints(device, pointsFrame(1, session, points), NOW_MS, LIMITS)
}

const timesOf = (kept: Kept) => rowsOf(kept.values, kept.count).map(([recordedMs]) => recordedMs)
const liveOf = (kept: Kept) => kept.live.flatMap(({ from, to }) => timesOf(kept).slice(from, to))

/** The store writes what it has to learn of these sessions. */
function store(sessions: readonly Session[]): void {
  sessions.forEach((session, i) => {
    confirm(session, { ...session, id: session.id || i + 1 }, session.revision, true)
  })
}

describe('a point is kept', () => {
  test('with every field as it was sent', () => {
    const full = {
      recordedMs: NOW_MS,
      lat: -900_000_000,
      lng: 1_800_000_000,
      accuracy: INT32_MAX,
      speed: 0,
      heading: 35_999,
      altitude: -INT32_MAX,
      source: 3,
    }
    const kept = send(newDevice(), [full])
    expect(rowsOf(kept.values, kept.count)).toEqual([row(full)])
    expect(kept.rejected).toEqual([])
  })

  test.each([
    ['recorded in the first millisecond of 2000', { recordedMs: YEAR_2000_MS }],
    ['stamped 24 h ahead', { recordedMs: NOW_MS + DAY_MS }],
    ['without accuracy', { recordedMs: NOW_MS, accuracy: Number.NaN }],
    ['at the south pole', { recordedMs: NOW_MS, lat: -900_000_000, lng: -1_800_000_000 }],
  ])('%s', (_, point) => {
    const kept = send(newDevice(), [point])
    expect([kept.count, kept.rejected]).toEqual([1, []])
  })
})

describe('a point is rejected', () => {
  test.each<[string, PointParts, number]>([
    ['north of the pole', { recordedMs: NOW_MS, lat: 900_000_001 }, COORDINATE],
    ['south of the pole', { recordedMs: NOW_MS, lat: -900_000_001 }, COORDINATE],
    ['east of 180°', { recordedMs: NOW_MS, lng: 1_800_000_001 }, COORDINATE],
    ['west of 180°', { recordedMs: NOW_MS, lng: -1_800_000_001 }, COORDINATE],
    ['more than 24 h ahead', { recordedMs: NOW_MS + DAY_MS + 1 }, FUTURE],
    ['before 2000', { recordedMs: YEAR_2000_MS - 1 }, TOO_OLD],
    ['before 1970', { recordedMs: -5 }, TOO_OLD],
    ['with a negative accuracy', { recordedMs: NOW_MS, accuracy: -1 }, FIELD],
    ['with an accuracy beyond 2³¹ − 1', { recordedMs: NOW_MS, accuracy: INT32_MAX + 1 }, FIELD],
    ['with a negative speed', { recordedMs: NOW_MS, speed: -1 }, FIELD],
    ['with a speed beyond 2³¹ − 1', { recordedMs: NOW_MS, speed: INT32_MAX + 1 }, FIELD],
    ['with a heading of 360°', { recordedMs: NOW_MS, heading: 36_000 }, FIELD],
    ['with a negative heading', { recordedMs: NOW_MS, heading: -1 }, FIELD],
    ['too high', { recordedMs: NOW_MS, altitude: INT32_MAX + 1 }, FIELD],
    ['too deep', { recordedMs: NOW_MS, altitude: -INT32_MAX - 1 }, FIELD],
    ['of an unknown source', { recordedMs: NOW_MS, source: 4 }, FIELD],
    ['of a negative source', { recordedMs: NOW_MS, source: -1 }, FIELD],
  ])('%s, and the rest of the frame is kept', (_, bad, reason) => {
    const kept = send(newDevice(), [NOW_MS - 2, bad, NOW_MS - 1])
    expect(kept.rejected).toEqual([[1, 1, reason]])
    expect(timesOf(kept)).toEqual([NOW_MS - 2, NOW_MS - 1])
    expect(kept.sessionOf.map(({ startedMs }) => startedMs)).toEqual([NOW_MS, NOW_MS])
  })

  test('and goes to the dead letters when its time is at fault, with what was sent', () => {
    const late = { recordedMs: YEAR_2000_MS - 1, speed: 5 }
    const early = { recordedMs: NOW_MS + DAY_MS + 1, lat: 7 }
    const kept = send(newDevice(), [NOW_MS, late, { recordedMs: NOW_MS, lat: 900_000_001 }, early])
    expect(
      kept.deadLetters.map(({ reason, sessionMs, values }) => [reason, sessionMs, ...rowsOf(values)]),
    ).toEqual([
      [TOO_OLD, NOW_MS, row(late)],
      [FUTURE, NOW_MS, row(early)],
    ])
  })

  test('and goes nowhere when it could not be stored as a dead letter either', () => {
    const broken = { recordedMs: NOW_MS, lat: Number.MAX_SAFE_INTEGER }
    const kept = send(newDevice(), [NOW_MS, broken], YEAR_2000_MS - 1)
    expect(kept.deadLetters.map(({ values }) => rowsOf(values))).toEqual([[row({ recordedMs: NOW_MS })]])
  })

  test('with its whole frame when the session is of an impossible time', () => {
    const device = newDevice()
    for (const [session, reason] of [
      [NOW_MS + DAY_MS + 1, FUTURE],
      [YEAR_2000_MS - 1, TOO_OLD],
    ] as const) {
      const kept = send(device, [NOW_MS, NOW_MS + 1], session)
      expect([kept.count, kept.live, kept.leftOut]).toEqual([0, [], null])
      expect(kept.rejected).toEqual([[1, -1, reason]])
      expect(kept.deadLetters.map((letter) => letter.reason)).toEqual([reason, reason])
    }
    expect(device.book.sessions).toEqual([])
    expect(device.newest).toBeNull()
  })
})

describe('what goes live', () => {
  test('is what is newer than everything before, in order', () => {
    const device = newDevice()
    expect(liveOf(send(device, [NOW_MS - 5, NOW_MS - 7, NOW_MS - 4, NOW_MS - 4, NOW_MS - 3]))).toEqual([
      NOW_MS - 5,
      NOW_MS - 4,
      NOW_MS - 3,
    ])
    expect(liveOf(send(device, [NOW_MS - 3, NOW_MS - 2]))).toEqual([NOW_MS - 2])
  })

  test('is at most 60 s ahead, and what is further ahead does not count as the newest', () => {
    const device = newDevice()
    expect(liveOf(send(device, [NOW_MS + MINUTE_MS + 1, NOW_MS, NOW_MS + MINUTE_MS]))).toEqual([
      NOW_MS,
      NOW_MS + MINUTE_MS,
    ])
    expect(device.newest!.values[0]).toBe(NOW_MS + MINUTE_MS)
  })

  test('is not older than the live age, except the last of a frame when it is the newest', () => {
    const device = newDevice()
    const [old, edge] = [NOW_MS - MINUTE_MS - 1, NOW_MS - MINUTE_MS]
    expect(liveOf(send(device, [old - 2, old - 1, old]))).toEqual([old])
    expect(liveOf(send(device, [old - 1]))).toEqual([])
    expect(liveOf(send(newDevice(), [old, edge]))).toEqual([edge])
  })

  test('is the last that is left of a frame when those behind it are rejected', () => {
    const old = NOW_MS - HOUR_MS
    const kept = send(newDevice(), [old, { recordedMs: NOW_MS, lat: 900_000_001 }])
    expect(liveOf(kept)).toEqual([old])
  })

  test('is not the newest of an old frame when it is not its last', () => {
    const device = newDevice()
    const kept = send(device, [NOW_MS - HOUR_MS, NOW_MS - 2 * HOUR_MS])
    expect(liveOf(kept)).toEqual([])
    expect(device.newest!.values[0]).toBe(NOW_MS - HOUR_MS)
  })

  test('names the session of each point', () => {
    const device = newDevice()
    const kept = send(device, [NOW_MS - GAP_MS - 2, NOW_MS - 1, NOW_MS], null)
    expect(kept.live.map(({ session, from, to }) => [session.startedMs, from, to])).toEqual([
      [NOW_MS - 1, 1, 3],
    ])
    expect(kept.sessionOf[0]!.startedMs).toBe(NOW_MS - GAP_MS - 2)
  })

  test('goes on from the newest stored point when the hub begins anew', () => {
    const session = storedSession({ id: 4, startedMs: NOW_MS - HOUR_MS })
    const newest = {
      sessionId: 4,
      sessionMs: NOW_MS - MINUTE_MS,
      sessionStatus: 'ended' as const,
      values: Float64Array.from(row({ recordedMs: NOW_MS - 5 })),
    }
    const device = newDevice({ newest, sessions: [session] })
    expect(liveOf(send(device, [NOW_MS - 6, NOW_MS - 5, NOW_MS - 4]))).toEqual([NOW_MS - 4])
  })

  test('goes on from the newest stored point also when its session is not among the recent ones', () => {
    const newest = {
      sessionId: 4,
      sessionMs: NOW_MS - MINUTE_MS,
      sessionStatus: 'ended' as const,
      values: Float64Array.from(row({ recordedMs: NOW_MS - 5 })),
    }
    const device = newDevice({ newest, sessions: [] })
    expect(liveOf(send(device, [NOW_MS - 6, NOW_MS - 5, NOW_MS - 4]))).toEqual([NOW_MS - 4])
  })
})

describe('what is left out of the live stream', () => {
  test('is a span from the oldest to the newest of it', () => {
    const device = newDevice()
    expect(send(device, [NOW_MS]).leftOut).toBeNull()
    const times = [NOW_MS - HOUR_MS, NOW_MS + 1, NOW_MS - 3 * HOUR_MS, NOW_MS - 1]
    expect(send(device, times).leftOut).toEqual({ fromMs: NOW_MS - 3 * HOUR_MS, toMs: NOW_MS - 1 })
  })

  test('has nothing of what is rejected or stamped more than 60 s ahead', () => {
    const device = newDevice()
    send(device, [NOW_MS])
    const kept = send(device, [
      NOW_MS + MINUTE_MS + 1,
      NOW_MS - 1,
      { recordedMs: NOW_MS - 9, source: 9 },
      YEAR_2000_MS - 1,
    ])
    expect(kept.leftOut).toEqual({ fromMs: NOW_MS - 1, toMs: NOW_MS - 1 })
    expect(send(device, [NOW_MS + HOUR_MS]).leftOut).toBeNull()
  })
})

describe('a SESSION frame', () => {
  test('is news for the store, and stores no point', () => {
    const device = newDevice()
    const kept = keepSessionOp(device, sessionFrame(1, NOW_MS, START), NOW_MS)
    expect(kept.changed).toHaveLength(1)
    expect(kept.changed[0]).toMatchObject({ startedMs: NOW_MS, status: 'active', automatic: false })
    expect([kept.count, kept.rejected, kept.live, kept.leftOut]).toEqual([0, [], [], null])
  })

  test('that repeats what is stored is no news', () => {
    const device = newDevice()
    store(keepSessionOp(device, sessionFrame(1, NOW_MS, PAUSE, NOW_MS + 5), NOW_MS).changed)
    expect(keepSessionOp(device, sessionFrame(2, NOW_MS, PAUSE, NOW_MS + 5), NOW_MS).changed).toEqual([])
    expect(keepSessionOp(device, sessionFrame(3, NOW_MS, END, NOW_MS + 5), NOW_MS).changed).toHaveLength(1)
  })

  test.each([
    ['a session more than 24 h ahead', NOW_MS + DAY_MS + 1, NOW_MS, FUTURE],
    ['a session before 2000', YEAR_2000_MS - 1, NOW_MS, TOO_OLD],
    ['an op more than 24 h ahead', NOW_MS, NOW_MS + DAY_MS + 1, FUTURE],
    ['an op before 2000', NOW_MS, YEAR_2000_MS - 1, TOO_OLD],
  ])('of %s is rejected whole', (_, session, atMs, reason) => {
    const device = newDevice()
    const kept = keepSessionOp(device, sessionFrame(9, session, END, atMs), NOW_MS)
    expect(kept.rejected).toEqual([[9, -1, reason]])
    expect(kept.changed).toEqual([])
    expect(device.book.sessions).toEqual([])
  })

  test('of 24 h ahead is kept', () => {
    const frame = sessionFrame(1, NOW_MS + DAY_MS, START)
    expect(keepSessionOp(newDevice(), frame, NOW_MS).changed).toHaveLength(1)
  })
})

describe('the store is told', () => {
  test('of a session that a POINTS frame names for the first time, also when no point of it is kept', () => {
    const kept = send(newDevice(), [YEAR_2000_MS - 1])
    expect(kept.changed.map(({ startedMs, status }) => [startedMs, status])).toEqual([[NOW_MS, 'active']])
  })

  test('of every change of a session that a point makes, and of none once it knows', () => {
    const device = newDevice()
    store(send(device, [NOW_MS, NOW_MS - MINUTE_MS], null).changed)
    expect(send(device, [NOW_MS + 1], null).changed).toEqual([])
    const begun = send(device, [NOW_MS - 2 * MINUTE_MS], null).changed
    expect(begun.map(({ startedMs }) => startedMs)).toEqual([NOW_MS - 2 * MINUTE_MS])
  })

  test('of a claim of what the hub had made up, also when no point of the frame is kept', () => {
    const device = newDevice()
    store(send(device, [NOW_MS], null).changed)
    const { changed } = send(device, [YEAR_2000_MS - 1], NOW_MS)
    expect(changed.map(({ startedMs, automatic }) => [startedMs, automatic])).toEqual([[NOW_MS, false]])
  })

  test('of the sessions that were idle for too long, and of nothing when there are none', () => {
    const device = newDevice()
    const { changed } = send(device, [NOW_MS - 5], null)
    expect(endIdleSessions(device, NOW_MS + GAP_MS)).toBeNull()
    const ended = endIdleSessions(device, NOW_MS + GAP_MS + 1)!
    expect(ended.changed).toEqual(changed)
    expect(ended.changed[0]).toMatchObject({ status: 'ended', endedMs: NOW_MS - 5 })
    expect([ended.count, ended.rejected, ended.live]).toEqual([0, [], []])
    expect(endIdleSessions(device, NOW_MS + 2 * GAP_MS)).toBeNull()
  })
})

describe('the count of live frames', () => {
  test('begins at 1 with every epoch and grows by one', () => {
    const device = newDevice()
    comeOnline(device, NOW_MS + 1)
    expect([1, 2].map(() => nextPosition(device))).toEqual([
      { deviceId: 7, epoch: NOW_MS + 1, n: 1 },
      { deviceId: 7, epoch: NOW_MS + 1, n: 2 },
    ])
    comeOnline(device, NOW_MS + 50)
    expect(nextPosition(device)).toEqual({ deviceId: 7, epoch: NOW_MS + 50, n: 1 })
  })

  test.each([
    ['stands still', 0],
    ['goes back', -HOUR_MS],
  ])('has a higher epoch for each connection also while the clock %s', (_, driftMs) => {
    const device = newDevice()
    comeOnline(device, NOW_MS + 10)
    comeOnline(device, NOW_MS + 10 + driftMs)
    expect(device.epoch).toBe(NOW_MS + 11)
  })

  test('is higher than in an earlier run of the hub before any connection', () => {
    const device = newDevice()
    expect(nextPosition(device)).toEqual({ deviceId: 7, epoch: NOW_MS, n: 1 })
  })
})

describe('a device as viewers see it', () => {
  test('has no last position before its first point', () => {
    expect(recordOf(newDevice())).toEqual({
      deviceId: 7,
      userId: 3,
      name: 'van',
      color: 'green',
      platform: 'android',
      online: false,
      lastSeenMs: null,
      epoch: NOW_MS,
      n: 0,
      last: null,
    })
  })

  test('has the newest point, its session and where the count stands', () => {
    const device = newDevice()
    comeOnline(device, NOW_MS + 5)
    nextPosition(device)
    send(device, [{ recordedMs: NOW_MS, lat: 12 }, NOW_MS - 5, NOW_MS + HOUR_MS], NOW_MS - 9)
    keepSessionOp(device, sessionFrame(2, NOW_MS - 9, PAUSE, NOW_MS), NOW_MS)
    expect(recordOf(device)).toMatchObject({
      online: true,
      lastSeenMs: NOW_MS + 5,
      epoch: NOW_MS + 5,
      n: 1,
      last: {
        sessionMs: NOW_MS - 9,
        sessionStatus: 'paused',
        values: Float64Array.from(row({ recordedMs: NOW_MS, lat: 12 })),
      },
    })
  })

  test('stays as it was seen while newer points come', () => {
    const device = newDevice()
    send(device, [{ recordedMs: NOW_MS - 1, lat: 12 }])
    const seen = recordOf(device)
    send(device, [{ recordedMs: NOW_MS, lat: 13 }])
    expect(seen.last!.values).toEqual(Float64Array.from(row({ recordedMs: NOW_MS - 1, lat: 12 })))
    expect(recordOf(device).last!.values).toEqual(Float64Array.from(row({ recordedMs: NOW_MS, lat: 13 })))
  })
})

describe('a device as viewers see it when the hub begins anew', () => {
  const newest = {
    sessionId: 4,
    sessionMs: NOW_MS - HOUR_MS,
    sessionStatus: 'ended' as const,
    values: Float64Array.from(row({ recordedMs: NOW_MS - 5 })),
  }

  test('has the session of its newest point as it is now, when that is among the recent ones', () => {
    const session = storedSession({ id: 4, startedMs: NOW_MS - HOUR_MS })
    const device = newDevice({ newest: { ...newest, sessionStatus: 'active' }, sessions: [session] })
    keepSessionOp(device, sessionFrame(1, NOW_MS - HOUR_MS, PAUSE, NOW_MS), NOW_MS)
    expect(recordOf(device).last).toMatchObject({ sessionMs: NOW_MS - HOUR_MS, sessionStatus: 'paused' })
  })

  test('has the session that stayed, when that of its newest point turned out to be the same', () => {
    const startedMs = NOW_MS - HOUR_MS
    const known = storedSession({ id: 4, startedMs, automatic: true, isLastKnown: false })
    const device = newDevice({ sessions: [known] })
    const kept = send(device, [NOW_MS - 1], null)
    // The store has points in between that nobody here has seen, so that both are one.
    confirm(kept.sessionOf[0]!, { ...known }, 0)
    expect(device.book.sessions).toEqual([known])
    keepSessionOp(device, sessionFrame(2, startedMs, END, NOW_MS), NOW_MS)
    expect(recordOf(device).last).toMatchObject({ sessionMs: startedMs, sessionStatus: 'ended' })
  })

  test('has it as it was read, when it is not among them', () => {
    const device = newDevice({ newest, sessions: [storedSession({ id: 9, startedMs: NOW_MS })] })
    expect(recordOf(device).last).toMatchObject({ sessionMs: NOW_MS - HOUR_MS, sessionStatus: 'ended' })
  })
})

describe('the rates of a device', () => {
  const perHour = 3_600
  const framesOnly = (device: Device, count: number, nowMs = NOW_MS) =>
    Array.from({ length: count }, () => isWithinRates(device, 1, nowMs))

  test('bound its frames', () => {
    const device = newDevice({}, { deviceFramesPerS: 1, deviceFramesBurst: 2 })
    expect(framesOnly(device, 3)).toEqual([true, true, false])
    expect(framesOnly(device, 2, NOW_MS + SECOND_MS)).toEqual([true, false])
  })

  test('bound its points', () => {
    const device = newDevice({}, { devicePointsPerS: 10, devicePointsBurst: 15 })
    expect([10, 10, 1].map((points) => isWithinRates(device, points, NOW_MS))).toEqual([true, true, false])
    expect(isWithinRates(device, 1, NOW_MS + SECOND_MS)).toBe(true)
  })

  test.each<[string, (device: Device, at: number) => Kept]>([
    ['points that name it', (device, at) => send(device, [at], at)],
    ['points that name none', (device, at) => send(device, [at], null)],
    ['points that name none, the later first', (device, at) => send(device, [at, at - 1], null)],
    ['its start', (device, at) => keepSessionOp(device, sessionFrame(1, at, START), NOW_MS)],
    ['its end', (device, at) => keepSessionOp(device, sessionFrame(1, at, END, at + 1), NOW_MS)],
  ])('bound the sessions that it makes by %s', (_, make) => {
    const device = newDevice({}, { deviceSessionsPerHour: perHour, deviceSessionsBurst: 2 })
    const isAllowed = [1, 2, 3].map((day) => {
      const isWithin = isWithinRates(device, 1, NOW_MS)
      if (isWithin) make(device, NOW_MS - day * DAY_MS)
      return isWithin
    })
    expect(isAllowed).toEqual([true, true, false])
    // One a second flows in.
    const laterMs = NOW_MS + SECOND_MS
    expect(isWithinRates(device, 1, laterMs)).toBe(true)
    make(device, NOW_MS - 9 * DAY_MS)
    // The session was made by a clock that has gone back, which fills nothing.
    expect(isWithinRates(device, 1, NOW_MS)).toBe(false)
  })

  test('count every session that one frame makes', () => {
    const device = newDevice({}, { deviceSessionsPerHour: 1, deviceSessionsBurst: 3 })
    send(device, [NOW_MS - 3 * DAY_MS, NOW_MS - 2 * DAY_MS, NOW_MS - DAY_MS], null)
    expect(device.book.sessions).toHaveLength(3)
    expect(isWithinRates(device, 1, NOW_MS)).toBe(false)
  })

  test('count a session once, however many frames come before it is stored', () => {
    const device = newDevice({}, { deviceSessionsPerHour: 1, deviceSessionsBurst: 3 })
    for (let i = 0; i < 10; i++) {
      expect(isWithinRates(device, 1, NOW_MS)).toBe(true)
      send(device, [NOW_MS + i])
    }
  })
})

describe('with a retention limit', () => {
  const limits = { ...LIMITS, retentionMs: 10 * DAY_MS }
  const oldestMs = NOW_MS - 10 * DAY_MS
  const sendUnder = (device: Device, points: number[], session: number | null) =>
    keepPoints(device, pointsFrame(1, session, points), NOW_MS, limits)

  test('points are rejected from a millisecond before it on, and the rest of the frame is kept', () => {
    const kept = sendUnder(newDevice(), [oldestMs - 1, oldestMs, NOW_MS], null)
    expect(kept.rejected).toEqual([[1, 0, TOO_OLD]])
    expect(timesOf(kept)).toEqual([oldestMs, NOW_MS])
    expect(kept.deadLetters).toHaveLength(1)
  })

  test('sessions obey it as well, unless they are open', () => {
    const began = oldestMs - DAY_MS
    const device = newDevice()
    expect(sendUnder(device, [NOW_MS], began).rejected).toEqual([[1, -1, TOO_OLD]])
    const start = sessionFrame(1, began, START)
    expect(keepSessionOp(device, start, NOW_MS, limits).rejected).toEqual([[1, -1, TOO_OLD]])
    // As a hub that was started with the limit knows it.
    keepSessionOp(device, start, NOW_MS)
    expect(sendUnder(device, [NOW_MS], began).rejected).toEqual([])
    expect(sendUnder(device, [oldestMs - 1], began).rejected).toEqual([[1, 0, TOO_OLD]])
    const end = sessionFrame(1, began, END, NOW_MS)
    expect(keepSessionOp(device, end, NOW_MS, limits).rejected).toEqual([])
    expect(sendUnder(device, [NOW_MS + 1], began).rejected).toEqual([[1, -1, TOO_OLD]])
  })

  test('a limit before 2000 lets no more in than none', () => {
    const ages = { ...LIMITS, retentionMs: 100 * 366 * DAY_MS }
    const kept = keepPoints(newDevice(), pointsFrame(1, null, [YEAR_2000_MS - 1]), NOW_MS, ages)
    expect(kept.rejected).toEqual([[1, 0, TOO_OLD]])
  })

  test('a last position that is older is forgotten, and a newer one is not', () => {
    const device = newDevice()
    send(device, [oldestMs], null)
    forgetOld(device, oldestMs)
    expect(recordOf(device).last).not.toBeNull()
    forgetOld(device, oldestMs + 1)
    expect(recordOf(device).last).toBeNull()
  })
})
