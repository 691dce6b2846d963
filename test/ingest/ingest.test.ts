/** What becomes of points that a source brings which is no socket, and of a source whose database goes away or refuses. */
import { expect, test } from 'vitest'
import { parseConfig } from '../../src/config.ts'
import { type BacklogEntry, SIDE_LANE } from '../../src/core/backlog.ts'
import type { Device } from '../../src/core/device.ts'
import { createFleet } from '../../src/core/fleet.ts'
import { createIngest, type PointsListener } from '../../src/ingest/ingest.ts'
import type { Inlet } from '../../src/ingest/intake.ts'
import type { Source } from '../../src/ingest/source.ts'
import type { Ops } from '../../src/ops/ops.ts'
import { CLOSE, type Close } from '../../src/protocol/closes.ts'
import { createDrivenClock, START_MS } from '../client/drivenClock.ts'
import { HOUR_MS, knownDevice, pointsFrame } from '../core/frames.ts'

interface Told {
  acks: [seq: number, rejected: number][]
  ends: Close[]
  pauses: number
}

/** A source of this test, and what it was told; one that would listen to PAUSE, or not. */
function sourceOf(hears: { pause: boolean }): { source: Source; told: Told } {
  const told: Told = { acks: [], ends: [], pauses: 0 }
  const source: Source = {
    isOpen: true,
    ack: (seq, _, rejected) => told.acks.push([seq, rejected.length]) > 0,
    end: (close) => void told.ends.push(close),
  }
  if (hears.pause) {
    source.pause = () => {
      told.pauses += 1
    }
  }
  return { source, told }
}

/** A part with everything around it played by the test; `listener` is what the writer would say. */
function setUp({ publish = () => {} } = {}) {
  const clock = createDrivenClock()
  // A cache takes a moment of 0 for none.
  clock.advance(1)
  const limits = { ...parseConfig({}).limits, retentionMs: null }
  const fleet = createFleet(limits)
  const counts = Object.assign(Object.create({ framesReceived: 0 }), { pausesSent: 0, limitsExceeded: 0 })
  const held = new Set<Device>()
  let listener: PointsListener | undefined
  const ingest = createIngest({
    limits,
    ops: {
      log: { info: () => {}, warn: () => {}, error: () => {} },
      counts,
      distributions: {
        ackMs: { record: () => {} },
        batchRows: { record: () => {} },
        writeMs: { record: () => {} },
      },
      lastErrors: { note: () => {}, noteRejected: () => {} },
    } as unknown as Ops,
    clock,
    access: {
      admission: { newestReceivedMs: () => 0, noteReceived: () => {} },
      holdDevice: (device: Device) => {
        held.add(device)
        return () => held.delete(device)
      },
    } as never,
    fleet,
    live: { publish, isWatched: () => false },
    points: {
      lanes: 1,
      openWriter: (_, told) => {
        listener = told
        return { stop: async () => true, awayLanes: 0 }
      },
    },
    seen: { note: () => {} },
  })
  ingest.begin()
  return { clock, fleet, ingest, counts, held, enter, store, listener: listener! }

  function enter(id: number, source: Source): Inlet {
    const device = fleet.hold(knownDevice({ id }), clock.now())
    const entered = ingest.enter(source, { device, keyHash: 'a hash' })
    expect('close' in entered).toBe(false)
    return entered as Inlet
  }

  /** All that waits in a lane is stored, or refused. */
  function store(lane: number, refusedRows = 0): BacklogEntry<Inlet>[] {
    const entries = ingest.backlog.take(lane, 1_000)
    for (const entry of entries) ingest.backlog.done(entry)
    const refused = new Map(refusedRows === 0 ? [] : [[entries[0]!.device.id, refusedRows]])
    listener!.stored({ entries, sessions: [], rows: entries.length, inserted: 0, refused, tookMs: 1 })
    return entries
  }
}

const LANE = 1

test('a source that is no socket is told of its points when they are stored, and not before', () => {
  const { ingest, enter, store } = setUp()
  const { source, told } = sourceOf({ pause: false })
  const inlet = enter(7, source)
  ingest.intake.takePoints(inlet, pointsFrame(1, null, [START_MS, START_MS + 1]))
  ingest.intake.takePoints(inlet, pointsFrame(2, null, [{ recordedMs: START_MS, lat: 2_000_000_000 }]))
  expect(told.acks).toEqual([])
  store(LANE)
  expect(told.acks).toEqual([[2, 1]])
  ingest.intake.finish(inlet)
  expect(told.ends).toEqual([CLOSE.normal])
})

test('whoever waits when the database goes away is told to pause, nobody else, and nobody who would not hear it', () => {
  const { ingest, enter, counts, listener } = setUp()
  const [waits, rests, deaf] = [
    sourceOf({ pause: true }),
    sourceOf({ pause: true }),
    sourceOf({ pause: false }),
  ]
  ingest.intake.takePoints(enter(7, waits.source), pointsFrame(1, null, [START_MS]))
  enter(8, rests.source)
  ingest.intake.takePoints(enter(9, deaf.source), pointsFrame(1, null, [START_MS]))
  listener.away(LANE, { message: 'nobody there' })
  expect([waits.told.pauses, rests.told.pauses]).toEqual([1, 0])
  expect(counts.pausesSent).toBe(1)
})

test('a device whose points the database refuses keeps to the side lane until it has behaved for an hour', () => {
  const { clock, ingest, enter, store } = setUp()
  const inlet = enter(7, sourceOf({ pause: true }).source)
  const send = (seq: number) => ingest.intake.takePoints(inlet, pointsFrame(seq, null, [START_MS + seq]))
  send(1)
  expect(store(LANE, 1)).toHaveLength(1)
  send(2)
  expect(store(SIDE_LANE)).toHaveLength(1)
  clock.advance(HOUR_MS - 1)
  ingest.forgive()
  send(3)
  expect(store(SIDE_LANE)).toHaveLength(1)
  clock.advance(2)
  ingest.forgive()
  send(4)
  expect(store(LANE)).toHaveLength(1)
})

test('a fault while a device enters leaves nothing of it behind', () => {
  const { clock, fleet, ingest, held } = setUp({
    publish: () => {
      throw new Error('a fault of this test')
    },
  })
  const device = fleet.hold(knownDevice({ id: 7 }), clock.now())
  const { source } = sourceOf({ pause: true })
  expect(() => ingest.enter(source, { device, keyHash: 'a hash' })).toThrow('a fault of this test')
  expect([ingest.credit.heldPoints, held.size, device.online]).toEqual([0, 0, false])
})
