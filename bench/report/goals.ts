/**
 * The goals as data: what each is about, how the raw lines answer it, and what they say of the way to a goal that is not
 * met. How they are shown it does not know.
 */
import { isFigure, type Line, lastLine, numberOf, type Row, rowsOf } from './lines.ts'
import { STEADY } from './profileParts.ts'
import { amount, rounded } from './report.ts'

export interface Goal {
  what: string
  goal: string
  /** Whose line answers it. */
  scenario: string
  /** What was measured, and whether it is enough; null where it was not. */
  answer: () => { measured: string; isMet: boolean } | null
  /** What takes the rest where it is not met, in figures of the same lines; null where they do not tell. */
  why: () => string | null
}

type Bound = { atLeast: number } | { atMost: number }

const GOAL_POINTS = 10
const GOAL_VIEWERS = [50, 1000]
const HALF_LOAD = 50
const MOSQUITTO = 'mosquitto QoS 0'
const [STALL, READ] = ['stall', 'read']
const WIDE_HUB = 'hub with two writer lanes'

export const GOALS: readonly Goal[] = [
  goal(
    'points in, one writer lane, of the bare INSERT loop',
    { atLeast: 0.9 },
    '',
    'ingest',
    ({ results }) =>
      least(
        results.filter((row) => row.writerLanes === 1),
        'ratio',
      ),
    whyIngest,
  ),
  goal('CPU of the hub for a point, 10 a frame', { atMost: 4 }, ' µs', 'cost', (line) =>
    numberOf(ofPoints(line.results), 'cpuMicrosPerPoint'),
  ),
  goal(
    'the same, times decoding alone',
    { atMost: 2.5 },
    '',
    'cost',
    (line) => numberOf(ofPoints(line.results), 'timesDecoding'),
    whyDecoding,
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
      (line) => whyFanout(line, viewers),
    ),
  ),
  peerGoal('nats-server', 1),
  peerGoal('ws', 10),
  peerGoal('mosquitto QoS 0', 10),
  peerGoal('mosquitto QoS 1', 10),
  peerGoal('Socket.IO', 20),
  peerGoal('Socket.IO on uWebSockets.js', 20),
  goal(
    'device → viewer p99 at half load, times a bare relay',
    { atMost: 2 },
    '',
    'latency',
    ({ results }) => numberOf(atHalf(results), 'timesRelay'),
    whyLatency,
  ),
  goal(
    'the same, times Mosquitto QoS 0',
    { atMost: 1 },
    '',
    'latency',
    (line) =>
      ratioOf(
        numberOf(atHalf(line.results), 'viewerP99Ms'),
        numberOf(atHalf(ofPeer(line, MOSQUITTO)), 'viewerP99Ms'),
      ),
    whyLatency,
  ),
  ...['device', 'viewer'].map((kind) =>
    goal(`an idle ${kind}`, { atMost: 4096 }, ' bytes', 'connections', ({ results }) =>
      numberOf(
        results.find((row) => row.kind === kind),
        'bytesPerSocket',
      ),
    ),
  ),
  goal(
    'cost of a point, 10 000 devices over 100',
    { atMost: 1.2 },
    '',
    'growth',
    ({ results }) => ratioOf(...endsOf(results, 'devices')),
    whyGrowth,
  ),
  {
    what: 'half of the viewers stalled: p99 of the others',
    goal: 'within the rounds in which that half reads',
    scenario: 'slow',
    answer: () => {
      const line = lastLine('slow')
      const [stalled, control] = line ? [ofOthers(line, STALL), ofOthers(line, READ)] : []
      const rounds = control?.viewerP99Ms
      if (!stalled || !isFigure(rounds) || stalled.missing !== 0) return null
      const measured = `${numberOf(stalled, 'viewerP99Ms')} ms; while it reads up to ${Math.max(...rounds.rounds)} ms`
      return { measured, isMet: stalled.isWithinSpread === true }
    },
    why: () => {
      const line = lastLine('slow')
      return line && whySlow(line)
    },
  },
]

function goal(
  what: string,
  bound: Bound,
  unit: string,
  scenario: string,
  of: (line: Line) => number | null,
  reason: (line: Line) => string | null = () => null,
): Goal {
  const words = 'atLeast' in bound ? `≥ ${bound.atLeast}${unit}` : `≤ ${bound.atMost}${unit}`
  return { what, goal: words, scenario, answer, why }

  function why() {
    const line = lastLine(scenario)
    return line && reason(line)
  }

  function answer() {
    const line = lastLine(scenario)
    // A frame that never came is in no figure, so there is none.
    const isWhole = line?.results.every((row) => (numberOf(row, 'missing') ?? 0) === 0)
    const value = line && isWhole ? of(line) : null
    if (value === null || !Number.isFinite(value)) return null
    const isMet = 'atLeast' in bound ? value >= bound.atLeast : value <= bound.atMost
    return { measured: `${rounded(value)}${unit}`, isMet }
  }
}

function peerGoal(name: string, times: number): Goal {
  return goal(
    `fan-out, times ${name}`,
    { atLeast: times },
    '',
    'fanout',
    (line) => least(ofPeer(line, name), 'hubIsTimes'),
    (line) => whyFanout(line, leastRow(ofPeer(line, name), 'hubIsTimes')?.viewers as number),
  )
}

function ofPeer({ peers }: Line, name: string): Row[] {
  return peers?.filter((peer) => peer.name === name) ?? []
}

function whyIngest({ results, reference, machine }: Line): string | null {
  const [ours] = results.filter((row) => row.writerLanes === 1)
  const [loop] = rowsOf(reference)
  const more = results.find((row) => row.writerLanes === 2)
  return told`In µs of processor time: the loop takes ${numberOf(loop, 'cpuMicrosPerRow')} for a row and lets the database
    take ${numberOf(loop, 'databaseCpuMicrosPerRow')}; the hub takes ${numberOf(ours, 'hubCpuMicrosPerPoint')} for a point,
    beside ${numberOf(ours, 'databaseCpuMicrosPerPoint')} of the database, on ${machine.cores} processors. With two lanes
    it stores ${numberOf(more, 'ratio')} times what the loop does.`
}

function whyDecoding({ results, reference, parameters }: Line): string | null {
  const [ours, parts] = [ofPoints(results), ofPoints(rowsOf(reference))]
  const costs = told`In µs: uWebSockets.js alone takes ${numberOf(parts, 'receivingMicrosPerPoint')} to receive, decode and
    acknowledge a point, decoding in it ${numberOf(parts, 'decodingMicrosPerPoint')}, and the bare loop
    ${numberOf(parts, 'storingMicrosPerPoint')} to write and send the same INSERT. The hub takes
    ${numberOf(ours, 'cpuMicrosPerPoint')}, ${numberOf(ours, 'timesParts')} times both.`
  return joined(costs, profiled(`${parameters.devices} devices`))
}

function whyFanout({ results, reference }: Line, viewers: number): string | null {
  const ours = results.find((row) => row.viewers === viewers)
  const [alone, storing] = ['nothing', 'the same rows stored'].map((beside) =>
    rowsOf(reference).find((row) => row.viewers === viewers && row.beside === beside),
  )
  const [rate, cost] = [numberOf(ours, 'deliveriesPerSecond'), numberOf(ours, 'cpuMicrosPerDelivery')]
  const bare = numberOf(alone, 'cpuMicrosPerDelivery')
  if (rate === null || cost === null || bare === null) return null
  const costs = told`A delivery takes ${cost} µs of the hub, so its rate takes ${(rate * cost) / 1e6} processors, and
    uWebSockets.js alone ${bare}. That is ${(cost - bare) * viewers} µs more for a frame to ${viewers} viewers, which the
    hub reads, checks, stores and acknowledges, and nothing beside it does. While the same rows are stored beside it
    uWebSockets.js alone makes ${numberOf(storing, 'deliveriesPerSecond')} deliveries a second.`
  const sustained = told`Until it has stored the last point, too, the hub makes ${numberOf(ours, 'sustainedPerSecond')} a
    second, ${numberOf(ours, 'ratioStoring')} times as many as that.`
  return joined(costs, sustained, profiled(`${viewers} viewers`))
}

function whyLatency(line: Line): string | null {
  const { results, reference, machine } = line
  const [ours, relay, broker] = [atHalf(results), atHalf(rowsOf(reference)), atHalf(ofPeer(line, MOSQUITTO))]
  const wide = atHalf(ofPeer(line, WIDE_HUB))
  const waits = told`Of each second the hub is ready to run and has no processor for ${numberOf(ours, 'serverWaitsMs')} ms,
    the relay for ${numberOf(relay, 'serverWaitsMs')}, Mosquitto for ${numberOf(broker, 'serverWaitsMs')}; the devices and
    the viewer beside them wait for ${numberOf(ours, 'clientsWaitMs')}, ${numberOf(relay, 'clientsWaitMs')} and
    ${numberOf(broker, 'clientsWaitMs')}. With two writer lanes, so two busy processes of the database, the hub waits for
    ${numberOf(wide, 'serverWaitsMs')} ms, its median is ${numberOf(wide, 'viewerP50Ms')} ms and its p99
    ${numberOf(wide, 'viewerP99Ms')}.`
  const costs = told`The median is ${numberOf(ours, 'viewerP50Ms')} ms, of the relay ${numberOf(relay, 'viewerP50Ms')}, of
    Mosquitto ${numberOf(broker, 'viewerP50Ms')}. Of ${machine.cores} processors all of it, the database included, keeps
    ${numberOf(ours, 'processorsBusy')} busy with the hub, ${numberOf(relay, 'processorsBusy')} with the relay and
    ${numberOf(broker, 'processorsBusy')} with Mosquitto. For a frame, which it checks, stores and acknowledges besides, the
    hub takes ${numberOf(ours, 'cpuMicrosPerFrame')} µs, the relay ${numberOf(relay, 'cpuMicrosPerFrame')}, Mosquitto
    ${numberOf(broker, 'cpuMicrosPerFrame')}; ${numberOf(ours, 'collectionsPerSecond')} times a second the hub stands still
    for ${numberOf(ours, 'collectionMs')} ms on average to collect garbage. Frames themselves leave late by
    ${numberOf(ours, 'sendLateP99Ms')} ms at p99 beside the hub, ${numberOf(relay, 'sendLateP99Ms')} beside the relay and
    ${numberOf(broker, 'sendLateP99Ms')} beside Mosquitto.`
  return joined(costs, waits, profiled(STEADY))
}

function whyGrowth({ results, reference }: Line): string | null {
  const [ours, bare] = [endsOf(results, 'devices'), endsOf(rowsOf(reference), 'devices')]
  return told`uWebSockets.js alone, which keeps nothing of them, takes ${bare[1]} µs a point from the fewest devices and
    ${bare[0]} from the most, the hub ${ours[1]} and ${ours[0]}.`
}

function whySlow(line: Line): string | null {
  const of = [STALL, READ, 'are not there'].map((others) => ofOthers(line, others))
  const [stall, read, alone] = of.map((row) => ({
    p99: numberOf(row, 'viewerP99Ms'),
    cpu: numberOf(row, 'cpuMicrosPerFrame'),
    waits: numberOf(row, 'hubWaitsMs'),
  }))
  return told`For a frame the hub takes ${stall!.cpu} µs while half of the viewers stall, ${read!.cpu} while they read and
    ${alone!.cpu} without them, and waits ${stall!.waits}, ${read!.waits} and ${alone!.waits} ms of each second for a
    processor. The p99 is ${stall!.p99}, ${read!.p99} and ${alone!.p99} ms.`
}

/** A column of the profile of the hub, what takes most first; null where there is none. */
function profiled(column: string): string | null {
  const parts = (lastLine('profile')?.results ?? []).flatMap((row) => {
    const micros = numberOf(row, column)
    return micros === null ? [] : [{ part: String(row.part), micros }]
  })
  if (parts.length === 0) return null
  const listed = parts
    .sort((one, other) => other.micros - one.micros)
    .map(({ part, micros }) => `${amount(micros)} ${part}`)
  return `By the profile of such a load (${column}), in µs for a point: ${listed.join('; ')}.`
}

/** What is said first has to be known for the rest to make sense. */
function joined(first: string | null, ...rest: (string | null)[]): string | null {
  return first && [first, ...rest].filter((text) => text !== null).join(' ')
}

/** The text with its figures, in one line; null where one of them was not measured. */
function told(text: TemplateStringsArray, ...figures: (number | null)[]): string | null {
  if (figures.some((figure) => figure === null)) return null
  const filled = text.reduce((whole, part, i) => `${whole}${amount(figures[i - 1]!)}${part}`)
  return filled.replace(/\s+/g, ' ')
}

function ofPoints(rows: readonly Row[]): Row | undefined {
  return rows.find((row) => row.pointsPerFrame === GOAL_POINTS)
}

function ofOthers({ results, reference }: Line, others: string): Row | undefined {
  return [...results, ...rowsOf(reference)].find((row) => row.others === others)
}

function atHalf(rows: readonly Row[] | undefined): Row | undefined {
  return rows?.find((row) => row.percent === HALF_LOAD)
}

function least(rows: readonly Row[], name: string): number | null {
  return numberOf(leastRow(rows, name), name)
}

function leastRow(rows: readonly Row[], name: string): Row | undefined {
  const value = (row: Row) => numberOf(row, name) ?? Number.POSITIVE_INFINITY
  return [...rows].sort((one, other) => value(one) - value(other))[0]
}

/** The cost at the most and at the fewest devices; null where only one crowd was measured. */
function endsOf(results: readonly Row[], axis: string): [number | null, number | null] {
  const rows = results.filter((row) => row.axis === axis)
  if (rows.length < 2) return [null, null]
  return [numberOf(rows.at(-1), 'cpuMicrosPerPoint'), numberOf(rows[0], 'cpuMicrosPerPoint')]
}

function ratioOf(value: number | null, other: number | null): number | null {
  return value === null || other === null ? null : value / other
}
