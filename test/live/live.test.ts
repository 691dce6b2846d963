/** When devices hear that somebody watches them: soon, and once for however many came or went. */
import { expect, test } from 'vitest'
import { parseConfig } from '../../src/config.ts'
import { createFleet } from '../../src/core/fleet.ts'
import { createLane } from '../../src/core/lane.ts'
import { createLive } from '../../src/live/live.ts'
import { createSnapshot } from '../../src/live/snapshot.ts'
import type { Subscriber } from '../../src/live/subscription.ts'
import { type Counts, createMetrics } from '../../src/ops/metrics.ts'
import type { Ops } from '../../src/ops/ops.ts'

const USER_ID = 1

function setUp() {
  const { limits } = parseConfig({})
  const metrics = createMetrics(() => ({}) as never)
  metrics.close()
  let told = 0
  const faults: unknown[] = []
  const live = createLive({
    limits,
    ops: {
      counts: metrics.counts as Counts,
      faults: { guard: (work: Promise<unknown>) => work.catch((error) => faults.push(error)) },
    } as unknown as Ops,
    access: { attended: { attendedMs: () => 0 }, admission: {}, rights: {}, onWithdrawn: () => {} } as never,
    fleet: createFleet({ ...limits, retentionMs: null }),
    publisher: { publish: () => {}, flush: () => {} },
    records: { readIds: async () => [], readRecords: async () => [] },
  })
  live.attach({
    closeDevice: () => {},
    tellRates: () => {
      told += 1
    },
  })
  return { live, faults, told: () => told, viewer }

  function viewer(): Subscriber {
    const changed = new Set<number>()
    const peer = { isOpen: true, send: () => true, end: () => {}, join: () => {}, leave: () => {} }
    return {
      peer,
      topics: [],
      changed,
      lane: createLane(),
      snapshot: createSnapshot(changed),
      request: 0,
      isPreparing: false,
      isPumping: false,
      hasLostFrames: false,
      subscription: null,
    }
  }
}

test('RATE is due when viewers have come or gone, and not again until the next do', async () => {
  const { live, faults, told, viewer } = setUp()
  live.check()
  expect(told()).toBe(0)
  const [one, other] = [viewer(), viewer()]
  for (const each of [one, other]) {
    live.subscriptions.subscribe(each, { role: 'user', userId: USER_ID }, null, null)
  }
  live.check()
  live.check()
  expect(told()).toBe(1)
  live.subscriptions.close(one)
  live.subscriptions.close(other)
  live.check()
  live.check()
  expect(told()).toBe(2)
  await new Promise((resolve) => setImmediate(resolve))
  expect(faults).toEqual([])
})
