/** What a device may have in flight, and what the hub may hold of all of them (D4, D6). */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type CreditLimits, createCredit, type Window } from '../../src/core/credit.ts'

const ROOMY: CreditLimits = {
  backlogPointsMax: 100_000,
  devicesMax: 10,
  batchPointsMax: 20,
  windowPointsMax: 100,
}
/** Room for what each of two devices must find, and not a point more. */
const TIGHT: CreditLimits = { backlogPointsMax: 40, devicesMax: 2, batchPointsMax: 20, windowPointsMax: 100 }

function open(credit: ReturnType<typeof createCredit>): Window {
  const window = credit.open()
  expect(window).not.toBeNull()
  return window!
}

/** A frame is stored and acknowledged. */
function acknowledge(window: Window, seq: number, cost: number): number {
  window.settle(seq, cost)
  window.grant()
  return window.windowPoints
}

describe('seq', () => {
  test('grows, with gaps or without', () => {
    const window = open(createCredit(ROOMY))
    expect([1, 2, 10, 11].map((seq) => window.accept(seq, 1))).toEqual(['kept', 'kept', 'kept', 'kept'])
  })

  test.each([5, 4, 1])('that was 5 and now is %d is refused', (seq) => {
    const window = open(createCredit(ROOMY))
    window.accept(5, 1)
    expect(window.accept(seq, 1)).toBe('sequence')
  })

  test('of a refused frame may come again, because nothing of it was kept', () => {
    const window = open(createCredit(TIGHT))
    expect(window.accept(3, 21)).toBe('limit')
    expect(window.unsettledPoints).toBe(0)
    expect(window.accept(3, 20)).toBe('kept')
  })

  test('that an ACK may name is that of the last settled frame', () => {
    const window = open(createCredit(ROOMY))
    for (const seq of [1, 4, 9]) window.accept(seq, 2)
    expect(window.settledSeq).toBe(0)
    window.settle(1, 2)
    window.settle(4, 2)
    expect(window.settledSeq).toBe(4)
    expect(window.unsettledPoints).toBe(2)
  })
})

describe('a window', () => {
  test('holds what was granted to the point, and one more is refused', () => {
    const window = open(createCredit(ROOMY))
    expect(window.windowPoints).toBe(100)
    expect(window.accept(1, 60)).toBe('kept')
    expect(window.accept(2, 40)).toBe('kept')
    expect(window.accept(3, 1)).toBe('limit')
  })

  test('is open again for what has been acknowledged', () => {
    const window = open(createCredit(ROOMY))
    window.accept(1, 60)
    window.accept(2, 40)
    expect(acknowledge(window, 1, 60)).toBe(100)
    expect(window.accept(3, 61)).toBe('limit')
    expect(window.accept(3, 60)).toBe('kept')
  })

  test('is never smaller than a batch, however little is left', () => {
    const credit = createCredit(TIGHT)
    const windows = [open(credit), open(credit)]
    for (const window of windows) {
      expect(window.windowPoints).toBe(20)
      window.accept(1, 20)
      expect(acknowledge(window, 1, 20)).toBe(20)
    }
  })

  test('grows with its ACKs to the largest, while nobody else needs the room', () => {
    const credit = createCredit({ ...ROOMY, backlogPointsMax: 120, devicesMax: 1 })
    const window = open(credit)
    expect(window.windowPoints).toBeLessThan(100)
    for (let seq = 1; seq <= 10; seq++) {
      window.accept(seq, 1)
      acknowledge(window, seq, 1)
    }
    expect(window.windowPoints).toBe(100)
  })

  test('may shrink with an ACK, but not below what an earlier one granted', () => {
    const credit = createCredit({ ...ROOMY, backlogPointsMax: 220, devicesMax: 4 })
    const first = open(credit)
    const granted = first.windowPoints
    const others = [open(credit), open(credit), open(credit)]
    for (let round = 0; round < 20; round++) for (const other of others) other.grant()
    const cost = 20
    first.accept(1, cost)
    const shrunk = acknowledge(first, 1, cost)
    expect(shrunk).toBeLessThan(granted)
    // More than the batch that it may always have: only what was granted before makes it so much.
    expect(granted - cost).toBeGreaterThan(20)
    expect(shrunk).toBeGreaterThanOrEqual(granted - cost)
    expect(first.accept(2, shrunk)).toBe('kept')
  })

  test('still takes what its last ACK granted when others have come since', () => {
    const credit = createCredit({ ...ROOMY, backlogPointsMax: 200 })
    const first = open(credit)
    const granted = first.windowPoints
    while (credit.open() !== null);
    expect(first.accept(1, granted)).toBe('kept')
  })

  test('takes what was granted while the ACK is still on its way', () => {
    const window = open(createCredit(ROOMY))
    window.accept(1, 100)
    window.settle(1, 100)
    expect(window.accept(2, 1)).toBe('limit')
    window.grant()
    expect(window.accept(2, 100)).toBe('kept')
  })
})

describe('a closed connection', () => {
  test('leaves nothing held once what it sent is settled', () => {
    const credit = createCredit(ROOMY)
    const window = open(credit)
    window.accept(1, 30)
    window.close()
    expect([credit.heldPoints, credit.openWindows]).toEqual([30, 0])
    window.settle(1, 30)
    expect(credit.heldPoints).toBe(0)
  })

  test('is granted nothing more and takes nothing more', () => {
    const credit = createCredit(ROOMY)
    const window = open(credit)
    window.accept(1, 30)
    window.close()
    expect(window.accept(2, 1)).toBe('limit')
    window.settle(1, 30)
    window.grant()
    expect(window.accept(2, 1)).toBe('limit')
    expect(credit.heldPoints).toBe(0)
  })

  test('may be closed twice', () => {
    const credit = createCredit(ROOMY)
    open(credit)
    const window = open(credit)
    window.close()
    window.close()
    expect([credit.heldPoints, credit.openWindows]).toEqual([100, 1])
  })
})

describe('a new connection', () => {
  test('is refused while as many as allowed are open, and not after one of them has closed', () => {
    const credit = createCredit(TIGHT)
    const first = open(credit)
    open(credit)
    expect(credit.open()).toBeNull()
    first.close()
    expect(credit.open()).not.toBeNull()
  })

  test('is refused when what others left behind leaves no room for a batch', () => {
    const credit = createCredit(TIGHT)
    for (let i = 0; i < 2; i++) {
      const window = open(credit)
      window.accept(1, 20)
      window.close()
    }
    expect(credit.openWindows).toBe(0)
    expect(credit.open()).toBeNull()
  })

  test('finds a batch even after greedy ones, up to the number allowed', () => {
    const limits = fc
      .record({
        devicesMax: fc.integer({ min: 1, max: 8 }),
        batchPointsMax: fc.integer({ min: 1, max: 10 }),
        extraWindow: fc.nat(50),
        extraBacklog: fc.nat(200),
      })
      .map(({ devicesMax, batchPointsMax, extraWindow, extraBacklog }) => ({
        devicesMax,
        batchPointsMax,
        windowPointsMax: batchPointsMax + extraWindow,
        backlogPointsMax: devicesMax * batchPointsMax + extraBacklog,
      }))
    fc.assert(
      fc.property(limits, fc.array(fc.nat(7), { maxLength: 40 }), (given, grants) => {
        const credit = createCredit(given)
        const windows: Window[] = []
        for (let i = 0; i < given.devicesMax; i++) {
          windows.push(open(credit))
          for (const which of grants) windows[which]?.grant()
        }
        for (const window of windows) {
          expect(window.windowPoints).toBeGreaterThanOrEqual(given.batchPointsMax)
          expect(window.windowPoints).toBeLessThanOrEqual(given.windowPointsMax)
        }
        expect(credit.heldPoints).toBeLessThanOrEqual(given.backlogPointsMax)
      }),
    )
  })

  test('leaves something for the next greedy one', () => {
    const credit = createCredit({ ...ROOMY, backlogPointsMax: 1_000, windowPointsMax: 10_000 })
    const first = open(credit).windowPoints
    const second = open(credit).windowPoints
    expect(first).toBeLessThan(800)
    expect(second).toBeGreaterThan(20)
  })
})

test('what is held stays within the backlog when two devices are settled by one commit', () => {
  // Both frames are settled before either device is granted anything: one statement stores many frames.
  const limits = { backlogPointsMax: 20, devicesMax: 2, batchPointsMax: 10, windowPointsMax: 20 }
  const credit = createCredit(limits)
  const [a, b] = [open(credit), open(credit)]
  a.accept(1, 1)
  b.accept(1, 10)
  a.settle(1, 1)
  b.settle(1, 10)
  a.grant()
  b.grant()
  for (const window of [a, b]) expect(window.windowPoints).toBeGreaterThanOrEqual(10)
  expect(credit.heldPoints).toBeLessThanOrEqual(20)
})
