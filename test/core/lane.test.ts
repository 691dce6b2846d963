/** When a viewer leaves the live stream, when it may return, and when it is given up (V4). */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as lanes from '../../src/core/lane.ts'
import { MINUTE_MS, NOW_MS, SECOND_MS } from './frames.ts'

const LATE_MS = 5 * SECOND_MS
const LOST_MS = 30 * SECOND_MS
const LIMITS = { tickMs: 2 * SECOND_MS, seenLateMs: LATE_MS, seenTimeoutMs: LOST_MS }

/** A lane with a clock and a count of its ticks; `answer` is a TICK and its SEEN. */
function openLane() {
  const lane = lanes.createLane()
  let nowMs = NOW_MS
  let tick = 0
  return {
    lane,
    wait,
    sendTick,
    seen,
    answer,
    answers,
    judge: () => lanes.judge(lane, nowMs, LIMITS),
    demote,
  }

  function wait(ms: number): void {
    nowMs += ms
  }
  function sendTick(): number {
    tick += 1
    lanes.ticked(lane, tick, nowMs)
    return tick
  }
  function seen(number = tick): boolean {
    return lanes.seen(lane, number, nowMs, LIMITS)
  }
  function answer(afterMs = 100): void {
    sendTick()
    wait(afterMs)
    seen()
  }
  function answers(count: number): void {
    for (let i = 0; i < count; i++) answer()
  }
  function demote(): void {
    lanes.demote(lane, nowMs)
  }
}

function liveLane() {
  const rig = openLane()
  lanes.goLive(rig.lane)
  return rig
}

/** Timely answers until the viewer may return, and its return. */
function answersUntilLive(rig: ReturnType<typeof openLane>): number {
  for (let count = 0; count < 1_000; count++) {
    if (lanes.mayReturn(rig.lane)) {
      lanes.goLive(rig.lane)
      return count
    }
    rig.answer()
  }
  throw new Error('a thousand timely answers were not enough')
}

describe('a new viewer', () => {
  test('is not live before its snapshot is complete, and needs no answers to become so', () => {
    const { lane } = openLane()
    expect([lane.isLive, lane.isDemoted, lanes.mayReturn(lane), lanes.isClear(lane)]).toEqual([
      false,
      false,
      true,
      true,
    ])
    lanes.goLive(lane)
    expect([lane.isLive, lane.isDemoted]).toEqual([true, false])
  })

  test('leaves the live stream for the snapshot of a new subscription, and is not blamed for it', () => {
    const { lane } = liveLane()
    lanes.restart(lane)
    expect([lane.isLive, lane.isDemoted, lanes.mayReturn(lane)]).toEqual([false, false, true])
  })
})

describe('TICK', () => {
  test('is due 2 s after the last one, once that is answered', () => {
    const { lane, wait, sendTick, seen } = liveLane()
    const isDueAt = (ms: number) => lanes.isTickDue(lane, NOW_MS + ms, LIMITS)
    sendTick()
    expect(isDueAt(60_000)).toBe(false)
    wait(500)
    seen()
    expect([isDueAt(1_999), isDueAt(2_000)]).toEqual([false, true])
  })

  test('is open until its own number comes back, once', () => {
    const { lane, sendTick, seen } = liveLane()
    const number = sendTick()
    expect(lanes.isClear(lane)).toBe(false)
    expect([seen(number - 1), seen(number + 1)]).toEqual([false, false])
    expect(lanes.isClear(lane)).toBe(false)
    expect(seen(number)).toBe(true)
    expect(lanes.isClear(lane)).toBe(true)
    expect(seen(number)).toBe(false)
  })
})

describe('a viewer that owes an answer', () => {
  test('is fine for 5 s, late after that, and lost after 30 s', () => {
    const { judge, wait, sendTick } = liveLane()
    sendTick()
    const verdicts = [0, LATE_MS, 1, LOST_MS - LATE_MS - 1, 1].map((ms) => {
      wait(ms)
      return judge()
    })
    expect(verdicts).toEqual(['fine', 'fine', 'late', 'late', 'lost'])
  })

  test('is fine again once it has answered, however long it took', () => {
    const { judge, wait, sendTick, seen } = liveLane()
    sendTick()
    wait(LOST_MS)
    seen()
    wait(LOST_MS + 1)
    expect(judge()).toBe('fine')
  })

  test('is not excused by an answer to another tick', () => {
    const { judge, wait, sendTick, seen } = liveLane()
    const number = sendTick()
    wait(LOST_MS + 1)
    seen(number - 1)
    expect(judge()).toBe('lost')
  })

  test('a viewer that owes nothing is never late', () => {
    const { judge, wait } = liveLane()
    wait(24 * 60 * MINUTE_MS)
    expect(judge()).toBe('fine')
  })
})

describe('a demoted viewer', () => {
  test('leaves the live stream and returns after three timely answers in a row', () => {
    const { lane, demote, answer } = liveLane()
    demote()
    expect([lane.isLive, lane.isDemoted, lanes.mayReturn(lane)]).toEqual([false, true, false])
    answer()
    answer()
    expect(lanes.mayReturn(lane)).toBe(false)
    answer(LATE_MS)
    expect(lanes.mayReturn(lane)).toBe(true)
    lanes.goLive(lane)
    expect([lane.isLive, lane.isDemoted]).toEqual([true, false])
  })

  test('begins to count anew after a late answer', () => {
    const { lane, demote, answer, answers } = liveLane()
    demote()
    answers(2)
    answer(LATE_MS + 1)
    answers(2)
    expect(lanes.mayReturn(lane)).toBe(false)
    answer()
    expect(lanes.mayReturn(lane)).toBe(true)
  })

  test('gets no credit for what it answered before, and none for the tick that it was late for', () => {
    const { lane, demote, answers, sendTick, wait, seen } = liveLane()
    answers(50)
    sendTick()
    wait(LATE_MS + 1)
    demote()
    seen()
    answers(2)
    expect(lanes.mayReturn(lane)).toBe(false)
    answers(1)
    expect(lanes.mayReturn(lane)).toBe(true)
  })

  test('loses nothing by being late again before it has returned', () => {
    const { lane, demote, answers } = liveLane()
    demote()
    answers(2)
    demote()
    answers(1)
    expect(lanes.mayReturn(lane)).toBe(true)
  })

  test('stays demoted when it subscribes anew', () => {
    const { lane, demote, answers } = liveLane()
    demote()
    lanes.restart(lane)
    expect([lane.isDemoted, lanes.mayReturn(lane)]).toEqual([true, false])
    answers(3)
    expect(lanes.mayReturn(lane)).toBe(true)
  })
})

describe('relapses', () => {
  test('within 10 min each asks for twice as many answers', () => {
    const rig = liveLane()
    const counts = [1, 2, 3, 4, 5].map(() => {
      rig.wait(MINUTE_MS)
      rig.demote()
      return answersUntilLive(rig)
    })
    expect(counts).toEqual([3, 6, 12, 24, 48])
  })

  test('the answers asked for have a bound, so that a viewer always returns', () => {
    const rig = liveLane()
    for (let relapses = 0; relapses < 40; relapses++) {
      rig.demote()
      expect(answersUntilLive(rig)).toBeLessThanOrEqual(96)
    }
  })

  test('after more than 10 min without one a viewer begins with three again', () => {
    const rig = liveLane()
    rig.demote()
    answersUntilLive(rig)
    rig.demote()
    expect(answersUntilLive(rig)).toBe(6)
    rig.wait(10 * MINUTE_MS + 1)
    rig.demote()
    expect(answersUntilLive(rig)).toBe(3)
  })

  test('9 min later one still counts', () => {
    const rig = liveLane()
    rig.demote()
    answersUntilLive(rig)
    rig.wait(9 * MINUTE_MS)
    rig.demote()
    expect(answersUntilLive(rig)).toBe(6)
  })
})

test('whatever a viewer answers and when, it returns only after as many timely answers as it owes', () => {
  const deed = fc.oneof(
    { weight: 5, arbitrary: fc.record({ afterMs: fc.constantFrom(0, 100, LATE_MS, LATE_MS + 1, LOST_MS) }) },
    { weight: 1, arbitrary: fc.record({ restMs: fc.constantFrom(0, MINUTE_MS, 11 * MINUTE_MS) }) },
    { weight: 1, arbitrary: fc.constant('subscribe' as const) },
  )
  fc.assert(
    fc.property(fc.array(deed, { maxLength: 80 }), (deeds) => {
      const { lane, wait, sendTick, seen, demote } = liveLane()
      let clockMs = 0
      const pass = (ms: number) => {
        clockMs += ms
        wait(ms)
      }
      // What V4 says: answers in a row so far, how many are owed, and since when.
      let owed = 0
      let row = 0
      let relapseMs = Number.NEGATIVE_INFINITY
      let lastOwed = 3
      for (const step of deeds) {
        if (step === 'subscribe') {
          lanes.restart(lane)
        } else if ('restMs' in step) {
          pass(step.restMs)
        } else {
          sendTick()
          pass(step.afterMs)
          const isLate = lanes.judge(lane, NOW_MS + clockMs, LIMITS) !== 'fine'
          expect(isLate).toBe(step.afterMs > LATE_MS)
          row = isLate ? 0 : row + 1
          if (isLate && lane.isLive) {
            lastOwed = clockMs - relapseMs <= 10 * MINUTE_MS ? Math.min(2 * lastOwed, 96) : 3
            relapseMs = clockMs
            owed = lastOwed
            demote()
          }
          seen()
        }
        expect(lanes.mayReturn(lane), `${row} answers of ${owed}`).toBe(row >= owed)
        if (lanes.mayReturn(lane) && !lane.isLive) {
          lanes.goLive(lane)
          owed = 0
        }
      }
    }),
  )
})
