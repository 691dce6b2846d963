/** The goals as data: what each is about, and how the raw lines answer it. How they are shown it does not know. */
import { type Line, lastLine, numberOf, type Row } from './lines.ts'
import { rounded } from './report.ts'

export interface Goal {
  what: string
  goal: string
  /** What was measured, and whether it is enough; null where it was not. */
  answer: () => { measured: string; isMet: boolean } | null
}

type Bound = { atLeast: number } | { atMost: number }

const GOAL_POINTS = 10
const GOAL_VIEWERS = [50, 1000]
const HALF_LOAD = 50

export const GOALS: readonly Goal[] = [
  goal('points in, one writer lane, of the bare INSERT loop', { atLeast: 0.9 }, '', 'ingest', ({ results }) =>
    least(
      results.filter((row) => row.writerLanes === 1),
      'ratio',
    ),
  ),
  goal('CPU of the hub for a point, 10 a frame', { atMost: 4 }, ' µs', 'cost', (line) =>
    numberOf(ofPoints(line), 'cpuMicrosPerPoint'),
  ),
  goal('the same, times decoding alone', { atMost: 2.5 }, '', 'cost', (line) =>
    numberOf(ofPoints(line), 'timesDecoding'),
  ),
  ...GOAL_VIEWERS.map((viewers) =>
    goal(
      `fan-out to ${viewers} viewers, of bare uWebSockets.js`,
      { atLeast: 0.9 },
      '',
      'fanout',
      ({ results }) =>
        numberOf(
          results.find((row) => row.viewers === viewers),
          'ratio',
        ),
    ),
  ),
  peerGoal('nats-server', 1),
  peerGoal('ws', 10),
  peerGoal('mosquitto QoS 0', 10),
  peerGoal('mosquitto QoS 1', 10),
  peerGoal('Socket.IO', 20),
  goal('device → viewer p99 at half load, times a bare relay', { atMost: 2 }, '', 'latency', ({ results }) =>
    numberOf(atHalf(results), 'timesRelay'),
  ),
  goal('the same, times Mosquitto QoS 0', { atMost: 1 }, '', 'latency', ({ results, peers }) =>
    ratioOf(
      numberOf(atHalf(results), 'viewerP99Ms'),
      numberOf(atHalf(peers?.filter(({ name }) => name === 'mosquitto QoS 0')), 'viewerP99Ms'),
    ),
  ),
  ...['device', 'viewer'].map((kind) =>
    goal(`an idle ${kind}`, { atMost: 4096 }, ' bytes', 'connections', ({ results }) =>
      numberOf(
        results.find((row) => row.kind === kind),
        'bytesPerSocket',
      ),
    ),
  ),
  goal('cost of a point, 10 000 devices over 100', { atMost: 1.2 }, '', 'growth', ({ results }) =>
    ratioOf(...endsOf(results, 'devices')),
  ),
  {
    what: 'half of the viewers stalled: p99 of the others',
    goal: 'within the rounds without them',
    answer: () => {
      const line = lastLine('slow')
      if (!line) return null
      const [row] = line.results
      const highest = Math.max(
        ...(line.reference as { viewerP99Ms: { rounds: number[] } }).viewerP99Ms.rounds,
      )
      const measured = `${numberOf(row, 'viewerP99Ms')} ms; without them up to ${rounded(highest)} ms`
      return { measured, isMet: row?.isWithinSpread === true }
    },
  },
]

function goal(
  what: string,
  bound: Bound,
  unit: string,
  scenario: string,
  of: (line: Line) => number | null,
): Goal {
  const words = 'atLeast' in bound ? `≥ ${bound.atLeast}${unit}` : `≤ ${bound.atMost}${unit}`
  return { what, goal: words, answer }

  function answer() {
    const line = lastLine(scenario)
    const value = line && of(line)
    if (value === null || !Number.isFinite(value)) return null
    const isMet = 'atLeast' in bound ? value >= bound.atLeast : value <= bound.atMost
    return { measured: `${rounded(value)}${unit}`, isMet }
  }
}

function peerGoal(name: string, times: number): Goal {
  return goal(`fan-out, times ${name}`, { atLeast: times }, '', 'fanout', ({ peers }) =>
    least(peers?.filter((peer) => peer.name === name) ?? [], 'hubIsTimes'),
  )
}

function ofPoints({ results }: Line): Row | undefined {
  return results.find((row) => row.pointsPerFrame === GOAL_POINTS)
}

function atHalf(rows: readonly Row[] | undefined): Row | undefined {
  return rows?.find((row) => row.percent === HALF_LOAD)
}

function least(rows: readonly Row[], name: string): number | null {
  const values = rows.map((row) => numberOf(row, name)).filter((value) => value !== null)
  return values.length === 0 ? null : Math.min(...values)
}

/** The cost at the most and at the fewest devices. */
function endsOf(results: readonly Row[], axis: string): [number | null, number | null] {
  const rows = results.filter((row) => row.axis === axis)
  return [numberOf(rows.at(-1), 'cpuMicrosPerPoint'), numberOf(rows[0], 'cpuMicrosPerPoint')]
}

function ratioOf(value: number | null, other: number | null): number | null {
  return value === null || other === null ? null : value / other
}
