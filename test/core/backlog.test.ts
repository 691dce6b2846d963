/** The order in which kept frames reach the writer, and in which lane. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Backlog, type BacklogEntry, createBacklog, SIDE_LANE } from '../../src/core/backlog.ts'
import { type Device, keepPoints, keepSessionOp } from '../../src/core/device.ts'
import { runs } from '../rig/runs.ts'
import { LIMITS, NOW_MS, newDevice, pointsFrame, sessionFrame } from './frames.ts'

type Owner = string

/** A frame of `count` points as the device socket offers it; none makes it a SESSION frame. */
function entry(device: Device, seq: number, count: number, receivedMs = NOW_MS): BacklogEntry<Owner> {
  const times = Array.from({ length: count }, (_, i) => NOW_MS + seq * 1_000 + i)
  const kept =
    count === 0
      ? keepSessionOp(device, sessionFrame(seq, NOW_MS, 0), NOW_MS)
      : keepPoints(device, pointsFrame(seq, NOW_MS, times), NOW_MS, LIMITS)
  return { device, owner: `socket of ${device.id}`, seq, cost: Math.max(1, count), receivedMs, kept }
}

function offerAll(backlog: Backlog<Owner>, entries: BacklogEntry<Owner>[]): void {
  for (const one of entries) backlog.offer(one)
}

const seqs = (entries: BacklogEntry<Owner>[]) => entries.map(({ seq }) => seq)

describe('a lane', () => {
  test('gives frames in the order they came, of several devices too', () => {
    const backlog = createBacklog<Owner>(1)
    const [a, b] = [newDevice({ id: 1 }), newDevice({ id: 2 })]
    offerAll(backlog, [entry(a, 1, 1), entry(b, 2, 1), entry(a, 3, 1), entry(b, 4, 1)])
    expect(seqs(backlog.take(1, 100))).toEqual([1, 2, 3, 4])
    expect(backlog.take(1, 100)).toEqual([])
  })

  test('gives whole frames, as many as fit into the rows asked for', () => {
    const backlog = createBacklog<Owner>(1)
    const device = newDevice()
    offerAll(backlog, [entry(device, 1, 3), entry(device, 2, 3), entry(device, 3, 4), entry(device, 4, 1)])
    expect(seqs(backlog.take(1, 9))).toEqual([1, 2])
    expect(seqs(backlog.take(1, 5))).toEqual([3, 4])
  })

  test('gives a frame that is larger than the rows asked for, alone', () => {
    const backlog = createBacklog<Owner>(1)
    const device = newDevice()
    offerAll(backlog, [entry(device, 1, 9), entry(device, 2, 1)])
    expect(seqs(backlog.take(1, 4))).toEqual([1])
    expect(seqs(backlog.take(1, 4))).toEqual([2])
  })

  test('counts a SESSION frame as a row, so that there are never too many of them', () => {
    const backlog = createBacklog<string>(1)
    const device = newDevice()
    offerAll(
      backlog,
      [1, 2, 3, 4, 5].map((seq) => entry(device, seq, 0)),
    )
    expect(seqs(backlog.take(1, 3))).toEqual([1, 2, 3])
    expect(seqs(backlog.take(1, 3))).toEqual([4, 5])
  })

  test('gives SESSION frames in their place among the points', () => {
    const backlog = createBacklog<Owner>(1)
    const device = newDevice()
    offerAll(backlog, [entry(device, 1, 0), entry(device, 2, 2), entry(device, 3, 0), entry(device, 4, 1)])
    expect(seqs(backlog.take(1, 4))).toEqual([1, 2, 3])
    expect(seqs(backlog.take(1, 4))).toEqual([4])
  })

  test('is not disturbed by what is offered after a batch was taken', () => {
    const backlog = createBacklog<Owner>(1)
    const device = newDevice()
    backlog.offer(entry(device, 1, 1))
    const taken = backlog.take(1, 10)
    backlog.offer(entry(device, 2, 1))
    expect(seqs(taken)).toEqual([1])
    expect(seqs(backlog.take(1, 10))).toEqual([2])
  })

  test('tells its writer of every frame, and no other writer', () => {
    const backlog = createBacklog<Owner>(2)
    const woken: number[] = []
    for (const lane of [0, 1, 2]) backlog.onOffer(lane, () => woken.push(lane))
    const device = newDevice({ id: 3 })
    offerAll(backlog, [entry(device, 1, 1), entry(device, 2, 1)])
    expect(woken).toHaveLength(2)
    expect(new Set(woken).size).toBe(1)
    expect(seqs(backlog.take(woken[0]!, 10))).toEqual([1, 2])
  })

  test('knows when its oldest waiting frame was received, and that none waits', () => {
    const backlog = createBacklog<Owner>(1)
    const device = newDevice()
    expect(backlog.oldestMs(1)).toBeNull()
    offerAll(backlog, [entry(device, 1, 1, NOW_MS + 5), entry(device, 2, 1, NOW_MS + 9)])
    expect(backlog.oldestMs(1)).toBe(NOW_MS + 5)
    backlog.take(1, 1)
    expect(backlog.oldestMs(1)).toBe(NOW_MS + 9)
    backlog.take(1, 1)
    expect(backlog.oldestMs(1)).toBeNull()
  })
})

describe('what is under way', () => {
  test('is counted from the offer until it is done, not only until it is taken', () => {
    const backlog = createBacklog<Owner>(1)
    const device = newDevice()
    offerAll(backlog, [entry(device, 1, 3), entry(device, 2, 0)])
    expect([backlog.points, backlog.frames]).toEqual([4, 2])
    expect([device.pendingPoints, device.pendingFrames]).toEqual([4, 2])
    const taken = backlog.take(1, 100)
    expect([backlog.points, backlog.frames]).toEqual([4, 2])
    for (const one of taken) backlog.done(one)
    expect([backlog.points, backlog.frames]).toEqual([0, 0])
    expect([device.pendingPoints, device.pendingFrames]).toEqual([0, 0])
  })
})

describe('a device whose points the database refuses', () => {
  function lanesWith(backlog: Backlog<Owner>): number[] {
    return [0, 1, 2].filter((lane) => backlog.oldestMs(lane) !== null)
  }

  test('goes to the side lane, and no device is there without suspicion', () => {
    const backlog = createBacklog<Owner>(2)
    backlog.suspect(5, true)
    for (const id of [1, 2, 3, 4]) backlog.offer(entry(newDevice({ id }), 1, 1))
    expect(lanesWith(backlog)).toEqual([1, 2])
    backlog.offer(entry(newDevice({ id: 5 }), 1, 1))
    expect(backlog.take(SIDE_LANE, 10).map(({ device }) => device.id)).toEqual([5])
  })

  test('changes lanes only when nothing of it is under way any more', () => {
    const backlog = createBacklog<Owner>(1)
    const device = newDevice()
    backlog.offer(entry(device, 1, 1))
    backlog.suspect(device.id, true)
    const [first] = backlog.take(1, 10)
    backlog.offer(entry(device, 2, 1))
    const [second] = backlog.take(1, 10)
    backlog.done(first!)
    backlog.offer(entry(device, 3, 1))
    backlog.done(second!)
    backlog.done(backlog.take(1, 10)[0]!)
    backlog.offer(entry(device, 4, 1))
    expect(seqs(backlog.take(SIDE_LANE, 10))).toEqual([4])
  })

  test('returns to the ordinary lanes once it is trusted again', () => {
    const backlog = createBacklog<Owner>(1)
    const device = newDevice()
    backlog.suspect(device.id, true)
    backlog.offer(entry(device, 1, 1))
    backlog.done(backlog.take(SIDE_LANE, 10)[0]!)
    backlog.suspect(device.id, false)
    backlog.offer(entry(device, 2, 1))
    expect(backlog.oldestMs(SIDE_LANE)).toBeNull()
    expect(seqs(backlog.take(1, 10))).toEqual([2])
  })
})

describe('whatever is offered, taken and done in whatever order', () => {
  const deed = fc.oneof(
    { weight: 4, arbitrary: fc.record({ offer: fc.nat(4), points: fc.nat(4) }) },
    { weight: 2, arbitrary: fc.record({ take: fc.nat(3), rowsMax: fc.integer({ min: 1, max: 8 }) }) },
    { weight: 2, arbitrary: fc.record({ finish: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ suspect: fc.nat(4), isSuspect: fc.boolean() }) },
  )
  const deeds = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.array(deed, { maxLength: 60 }))

  /** One batch at a time in each lane, as the writer has it. Calls `afterEach` with every batch under way. */
  function play(
    [lanes, steps]: [number, (typeof deed extends fc.Arbitrary<infer Deed> ? Deed : never)[]],
    afterEach: (backlog: Backlog<Owner>, writing: BacklogEntry<Owner>[][], devices: Device[]) => void,
  ) {
    const backlog = createBacklog<Owner>(lanes)
    const devices = [1, 2, 3, 4, 5].map((id) => newDevice({ id }))
    const writing: BacklogEntry<Owner>[][] = Array.from({ length: backlog.laneCount }, () => [])
    const offered = new Map<number, number[]>()
    const done = new Map<number, number[]>()
    let seq = 0
    for (const step of steps) {
      if ('offer' in step) {
        seq += 1
        const device = devices[step.offer]!
        backlog.offer(entry(device, seq, step.points))
        offered.set(device.id, [...(offered.get(device.id) ?? []), seq])
      } else if ('take' in step) {
        take(step.take % backlog.laneCount, step.rowsMax)
      } else if ('finish' in step) {
        finish(step.finish % backlog.laneCount)
      } else {
        backlog.suspect(devices[step.suspect]!.id, step.isSuspect)
      }
      afterEach(backlog, writing, devices)
    }
    for (let round = 0; round <= steps.length && backlog.frames > 0; round++) {
      for (let lane = 0; lane < backlog.laneCount; lane++) {
        finish(lane)
        take(lane, 5)
        finish(lane)
      }
    }
    return { backlog, devices, offered, done }

    function take(lane: number, rowsMax: number): void {
      if (writing[lane]!.length === 0) writing[lane] = backlog.take(lane, rowsMax)
    }
    function finish(lane: number): void {
      for (const one of writing[lane]!) {
        backlog.done(one)
        done.set(one.device.id, [...(done.get(one.device.id) ?? []), one.seq])
      }
      writing[lane] = []
    }
  }

  test('every frame of a device is stored once, in the order it came', () => {
    fc.assert(
      fc.property(deeds, (steps) => {
        const { offered, done } = play(steps, () => {})
        expect(done).toEqual(offered)
      }),
      { numRuns: runs(300) },
    )
  })

  test('a device is in one lane at a time', () => {
    fc.assert(
      fc.property(deeds, (steps) => {
        play(steps, (_, writing, devices) => {
          for (const device of devices) {
            const lanes = writing.filter((batch) => batch.some((one) => one.device === device))
            expect(lanes.length).toBeLessThanOrEqual(1)
          }
        })
      }),
      { numRuns: runs(300) },
    )
  })

  test('the counts are the sums over what is under way, and return to zero', () => {
    fc.assert(
      fc.property(deeds, (steps) => {
        const { backlog, devices } = play(steps, ({ points, frames }, _, all) => {
          expect(points).toBe(all.reduce((sum, device) => sum + device.pendingPoints, 0))
          expect(frames).toBe(all.reduce((sum, device) => sum + device.pendingFrames, 0))
        })
        expect([backlog.points, backlog.frames]).toEqual([0, 0])
        for (const device of devices) expect([device.pendingPoints, device.pendingFrames]).toEqual([0, 0])
      }),
      { numRuns: runs(300) },
    )
  })
})
