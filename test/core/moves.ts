/**
 * Everything that can happen to a hub with a few devices, generated: what they send and hear, what the writer
 * does and when, and a clock that jumps. Times are relative, so that a shortened script keeps its meaning.
 */
import fc from 'fast-check'
import type { CreditLimits } from '../../src/core/credit.ts'
import type { SessionOp } from '../../src/protocol/messages.ts'
import { GAP_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from './frames.ts'

export interface Script {
  credit: CreditLimits
  liveAgeMs: number
  moves: Move[]
}

export type Move =
  | PointsMove
  | OpMove
  | { do: 'connect' | 'drop' | 'hear'; device: number }
  | { do: 'take'; lane: number; rowsMax: number }
  | { do: 'finish'; lane: number }
  | { do: 'write' | 'sweep' }
  | { do: 'wait'; ms: number }
  | { do: 'suspect'; device: number; isSuspect: boolean }

export type PointsMove = { do: 'points'; session: Moment | null; points: PointMove[] } & Sending
export type OpMove = { do: 'op'; session: Moment; op: SessionOp; at: Moment } & Sending

interface Sending {
  device: number
  /** How much larger the seq is than the last; not at all, sometimes. */
  seqStep: number
  /** Sent whether the window allows it or not. */
  isGreedy: boolean
}

interface PointMove {
  at: Moment
  /** lat, lng, accuracy, speed, heading, altitude, source. */
  fields: number[]
}

/** A moment: relative to the hub's clock, to the begin of the play, to 2000, or to one the device named before. */
export interface Moment {
  of: 'now' | 'begin' | 'year 2000' | 'earlier'
  /** Which of the earlier moments, counted back from the last. */
  back: number
  offsetMs: number
}

/** Ids as lanes see them: two of one parity. */
export const DEVICE_IDS = [4, 6, 9]

/** One of these, each so many times as often. */
function weighted<T>(...choices: [weight: number, arbitrary: fc.Arbitrary<T>][]): fc.Arbitrary<T> {
  return fc.oneof(...choices.map(([weight, arbitrary]) => ({ weight, arbitrary })))
}

const edges = [0, 1, MINUTE_MS, MINUTE_MS + 1, GAP_MS / 2, GAP_MS, GAP_MS + 1, 24 * HOUR_MS, 24 * HOUR_MS + 1]
const anyOffset = weighted(
  [3, fc.integer({ min: -5, max: 5 })],
  [2, fc.constantFrom(...edges, ...edges.map((ms) => -ms))],
  [1, fc.integer({ min: -3 * GAP_MS, max: GAP_MS })],
)

function moment(offsetMs: fc.Arbitrary<number>, weights: Record<Moment['of'], number>): fc.Arbitrary<Moment> {
  const names = Object.keys(weights) as Moment['of'][]
  const of = weighted(
    ...names.map((name): [number, fc.Arbitrary<Moment['of']>] => [weights[name], fc.constant(name)]),
  )
  return fc.record({ of, back: fc.nat(6), offsetMs })
}

const anyTime = moment(anyOffset, { now: 8, earlier: 6, begin: 2, 'year 2000': 1 })
/** Often the very moment of a point or a session, so that sessions meet again; sometimes one that is refused. */
const anyStart = weighted(
  [9, moment(fc.constant(0), { earlier: 12, begin: 3, now: 2, 'year 2000': 1 })],
  [3, moment(anyOffset, { earlier: 12, begin: 3, now: 2, 'year 2000': 1 })],
  [
    1,
    moment(fc.constantFrom(24 * HOUR_MS, 24 * HOUR_MS + 1), { earlier: 0, begin: 0, now: 1, 'year 2000': 0 }),
  ],
)

const int32OrNil = fc.constantFrom(0, 1, 2 ** 31 - 1, Number.NaN)
const goodFields = fc.tuple(
  fc.constantFrom(0, -900_000_000, 900_000_000, 481_234_567),
  fc.constantFrom(0, -1_800_000_000, 1_800_000_000, 115_678_901),
  int32OrNil,
  int32OrNil,
  fc.constantFrom(0, 35_999, Number.NaN),
  fc.constantFrom(1 - 2 ** 31, 2 ** 31 - 1, Number.NaN),
  fc.nat(3),
)
const badField = fc.constantFrom(
  ...[-900_000_001, 900_000_001, Number.MAX_SAFE_INTEGER].map((value) => ({ place: 0, value })),
  ...[-1_800_000_001, 1_800_000_001].map((value) => ({ place: 1, value })),
  ...[2, 3, 4, 6].map((place) => ({ place, value: -1 })),
  ...[2, 3, 5].map((place) => ({ place, value: 2 ** 31 })),
  { place: 4, value: 36_000 },
  { place: 5, value: -(2 ** 31) },
  { place: 6, value: 4 },
)
const anyFields = weighted(
  [9, goodFields],
  [1, fc.tuple(goodFields, badField).map(([fields, { place, value }]) => fields.with(place, value))],
)

const anyDevice = fc.nat(DEVICE_IDS.length - 1)
const anyLane = fc.nat(2)
const sending = {
  device: anyDevice,
  seqStep: weighted([25, fc.integer({ min: 1, max: 3 })], [1, fc.integer({ min: -2, max: 0 })]),
  isGreedy: weighted([9, fc.constant(false)], [1, fc.constant(true)]),
}
const anyPoints: fc.Arbitrary<Move> = fc.record({
  do: fc.constant('points'),
  session: weighted([3, fc.constant(null)], [1, anyStart]),
  points: fc.array(fc.record({ at: anyTime, fields: anyFields }), {
    minLength: 1,
    maxLength: 6,
    size: 'max',
  }),
  ...sending,
})
const anyOp: fc.Arbitrary<Move> = fc.record({
  do: fc.constant('op'),
  session: anyStart,
  // Many ends, or one explicit session would soon have every point to itself.
  op: fc.constantFrom<SessionOp>(0, 1, 2, 3, 3, 3),
  at: anyTime,
  ...sending,
})
const anyRows = fc.integer({ min: 1, max: 12 })
const anyWaitMs = weighted(
  [3, fc.integer({ min: 0, max: 5 })],
  [2, fc.constantFrom(SECOND_MS, MINUTE_MS, MINUTE_MS + 1, GAP_MS, GAP_MS + 1, HOUR_MS)],
  [1, fc.constantFrom(24 * HOUR_MS, 25 * HOUR_MS, -1, -5 * SECOND_MS, -MINUTE_MS)],
)

const anyMove = weighted<Move>(
  [14, anyPoints],
  [4, anyOp],
  [2, fc.record({ do: fc.constant('hear'), device: anyDevice })],
  [1, fc.record({ do: fc.constantFrom('connect', 'drop'), device: anyDevice })],
  [3, fc.record({ do: fc.constant('take'), lane: anyLane, rowsMax: anyRows })],
  [3, fc.record({ do: fc.constant('finish'), lane: anyLane })],
  [5, fc.record({ do: fc.constant('write') })],
  [4, fc.record({ do: fc.constant('wait'), ms: anyWaitMs })],
  [1, fc.record({ do: fc.constant('sweep') })],
  [1, fc.record({ do: fc.constant('suspect'), device: anyDevice, isSuspect: fc.boolean() })],
)

const anyCredit = fc
  .record({
    devicesMax: fc.constantFrom(3, 3, 3, 3, 5, 5, 2, 1),
    batchPointsMax: fc.integer({ min: 1, max: 6 }),
    windowExtra: fc.constantFrom(0, 5, 20, 50),
    backlogExtra: fc.constantFrom(0, 1, 5, 20, 100),
  })
  .map(({ devicesMax, batchPointsMax, windowExtra, backlogExtra }) => ({
    devicesMax,
    batchPointsMax,
    windowPointsMax: batchPointsMax + windowExtra,
    // What the configuration asks for at least.
    backlogPointsMax: devicesMax * batchPointsMax + backlogExtra,
  }))

export const anyScript: fc.Arbitrary<Script> = fc.record({
  credit: anyCredit,
  liveAgeMs: fc.constantFrom(MINUTE_MS, 0, 2 * HOUR_MS),
  moves: fc.array(anyMove, { maxLength: 120, size: 'max' }),
})
