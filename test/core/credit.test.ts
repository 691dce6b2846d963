/** What a device may have in flight, and what the hub may hold of all of them (D4, D6). */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  acceptFrame,
  type CreditLimits,
  closeWindow,
  createCredit,
  grantMore,
  openWindow,
  settleFrame,
  unsettledPoints,
  type Window,
  windowPoints,
} from '../../src/core/credit.ts'

const ROOMY: CreditLimits = {
  backlogPointsMax: 100_000,
  devicesMax: 10,
  batchPointsMax: 20,
  windowPointsMax: 100,
}
/** Room for what each of two devices must find, and not a point more. */
const TIGHT: CreditLimits = { backlogPointsMax: 40, devicesMax: 2, batchPointsMax: 20, windowPointsMax: 100 }

function open(credit: ReturnType<typeof createCredit>): Window {
  const window = openWindow(credit)
  expect(window).not.toBeNull()
  return window!
}

/** A frame is stored and acknowledged. */
function acknowledge(window: Window, seq: number, cost: number): number {
  settleFrame(window, seq, cost)
  grantMore(window)
  return windowPoints(window)
}

describe('seq', () => {
  test('grows, with gaps or without', () => {
    const window = open(createCredit(ROOMY))
    expect([1, 2, 10, 11].map((seq) => acceptFrame(window, seq, 1))).toEqual(['kept', 'kept', 'kept', 'kept'])
  })

  test.each([5, 4, 1])('that was 5 and now is %d is refused', (seq) => {
    const window = open(createCredit(ROOMY))
    acceptFrame(window, 5, 1)
    expect(acceptFrame(window, seq, 1)).toBe('sequence')
  })

  test('of a refused frame may come again, because nothing of it was kept', () => {
    const window = open(createCredit(TIGHT))
    expect(acceptFrame(window, 3, 21)).toBe('limit')
    expect(unsettledPoints(window)).toBe(0)
    expect(acceptFrame(window, 3, 20)).toBe('kept')
  })

  test('that an ACK may name is that of the last settled frame', () => {
    const window = open(createCredit(ROOMY))
    for (const seq of [1, 4, 9]) acceptFrame(window, seq, 2)
    expect(window.settledSeq).toBe(0)
    settleFrame(window, 1, 2)
    settleFrame(window, 4, 2)
    expect(window.settledSeq).toBe(4)
    expect(unsettledPoints(window)).toBe(2)
  })
})

describe('a window', () => {
  test('holds what was granted to the point, and one more is refused', () => {
    const window = open(createCredit(ROOMY))
    expect(windowPoints(window)).toBe(100)
    expect(acceptFrame(window, 1, 60)).toBe('kept')
    expect(acceptFrame(window, 2, 40)).toBe('kept')
    expect(acceptFrame(window, 3, 1)).toBe('limit')
  })

  test('is open again for what has been acknowledged', () => {
    const window = open(createCredit(ROOMY))
    acceptFrame(window, 1, 60)
    acceptFrame(window, 2, 40)
    expect(acknowledge(window, 1, 60)).toBe(100)
    expect(acceptFrame(window, 3, 61)).toBe('limit')
    expect(acceptFrame(window, 3, 60)).toBe('kept')
  })

  test('is never smaller than a batch, however little is left', () => {
    const credit = createCredit(TIGHT)
    const windows = [open(credit), open(credit)]
    for (const window of windows) {
      expect(windowPoints(window)).toBe(20)
      acceptFrame(window, 1, 20)
      expect(acknowledge(window, 1, 20)).toBe(20)
    }
  })

  test('grows with its ACKs to the largest, while nobody else needs the room', () => {
    const credit = createCredit({ ...ROOMY, backlogPointsMax: 120, devicesMax: 1 })
    const window = open(credit)
    expect(windowPoints(window)).toBeLessThan(100)
    for (let seq = 1; seq <= 10; seq++) {
      acceptFrame(window, seq, 1)
      acknowledge(window, seq, 1)
    }
    expect(windowPoints(window)).toBe(100)
  })

  test('may shrink with an ACK, but not below what an earlier one granted', () => {
    const credit = createCredit({ ...ROOMY, backlogPointsMax: 220, devicesMax: 4 })
    const first = open(credit)
    const granted = windowPoints(first)
    const others = [open(credit), open(credit), open(credit)]
    for (let round = 0; round < 20; round++) for (const other of others) grantMore(other)
    const cost = 20
    acceptFrame(first, 1, cost)
    const shrunk = acknowledge(first, 1, cost)
    expect(shrunk).toBeLessThan(granted)
    // More than the batch that it may always have: only what was granted before makes it so much.
    expect(granted - cost).toBeGreaterThan(20)
    expect(shrunk).toBeGreaterThanOrEqual(granted - cost)
    expect(acceptFrame(first, 2, shrunk)).toBe('kept')
  })

  test('still takes what its last ACK granted when others have come since', () => {
    const credit = createCredit({ ...ROOMY, backlogPointsMax: 200 })
    const first = open(credit)
    const granted = windowPoints(first)
    while (openWindow(credit) !== null);
    expect(acceptFrame(first, 1, granted)).toBe('kept')
  })

  test('takes what was granted while the ACK is still on its way', () => {
    const window = open(createCredit(ROOMY))
    acceptFrame(window, 1, 100)
    settleFrame(window, 1, 100)
    expect(acceptFrame(window, 2, 1)).toBe('limit')
    grantMore(window)
    expect(acceptFrame(window, 2, 100)).toBe('kept')
  })
})

describe('a closed connection', () => {
  test('leaves nothing held once what it sent is settled', () => {
    const credit = createCredit(ROOMY)
    const window = open(credit)
    acceptFrame(window, 1, 30)
    closeWindow(window)
    expect([credit.heldPoints, credit.openWindows]).toEqual([30, 0])
    settleFrame(window, 1, 30)
    expect(credit.heldPoints).toBe(0)
  })

  test('is granted nothing more and takes nothing more', () => {
    const credit = createCredit(ROOMY)
    const window = open(credit)
    acceptFrame(window, 1, 30)
    closeWindow(window)
    expect(acceptFrame(window, 2, 1)).toBe('limit')
    settleFrame(window, 1, 30)
    grantMore(window)
    expect(acceptFrame(window, 2, 1)).toBe('limit')
    expect(credit.heldPoints).toBe(0)
  })

  test('may be closed twice', () => {
    const credit = createCredit(ROOMY)
    open(credit)
    const window = open(credit)
    closeWindow(window)
    closeWindow(window)
    expect([credit.heldPoints, credit.openWindows]).toEqual([100, 1])
  })
})

describe('a new connection', () => {
  test('is refused while as many as allowed are open, and not after one of them has closed', () => {
    const credit = createCredit(TIGHT)
    const first = open(credit)
    open(credit)
    expect(openWindow(credit)).toBeNull()
    closeWindow(first)
    expect(openWindow(credit)).not.toBeNull()
  })

  test('is refused when what others left behind leaves no room for a batch', () => {
    const credit = createCredit(TIGHT)
    for (let i = 0; i < 2; i++) {
      const window = open(credit)
      acceptFrame(window, 1, 20)
      closeWindow(window)
    }
    expect(credit.openWindows).toBe(0)
    expect(openWindow(credit)).toBeNull()
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
          for (const which of grants) if (which < windows.length) grantMore(windows[which]!)
        }
        for (const window of windows) {
          expect(windowPoints(window)).toBeGreaterThanOrEqual(given.batchPointsMax)
          expect(windowPoints(window)).toBeLessThanOrEqual(given.windowPointsMax)
        }
        expect(credit.heldPoints).toBeLessThanOrEqual(given.backlogPointsMax)
      }),
    )
  })

  test('leaves something for the next greedy one', () => {
    const credit = createCredit({ ...ROOMY, backlogPointsMax: 1_000, windowPointsMax: 10_000 })
    const first = windowPoints(open(credit))
    const second = windowPoints(open(credit))
    expect(first).toBeLessThan(800)
    expect(second).toBeGreaterThan(20)
  })
})

test('what is held stays within the backlog when two devices are settled by one commit', () => {
  // Both frames are settled before either device is granted anything: one statement stores many frames.
  const limits = { backlogPointsMax: 20, devicesMax: 2, batchPointsMax: 10, windowPointsMax: 20 }
  const credit = createCredit(limits)
  const [a, b] = [open(credit), open(credit)]
  acceptFrame(a, 1, 1)
  acceptFrame(b, 1, 10)
  settleFrame(a, 1, 1)
  settleFrame(b, 1, 10)
  grantMore(a)
  grantMore(b)
  for (const window of [a, b]) expect(windowPoints(window)).toBeGreaterThanOrEqual(10)
  expect(credit.heldPoints).toBeLessThanOrEqual(20)
})
