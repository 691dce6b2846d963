/** Which figures of the raw lines become plots. How a plot is drawn it does not know. */
import type { Bars } from './chart.ts'
import { type Line, numberOf, type Row, rowsOf } from './lines.ts'

/** A group for each result; in it the hub, its reference and its peers, in that order. */
interface Plot {
  title: string
  unit: string
  /** What is compared, and which field tells the groups apart. */
  figure: string
  by: string
  groupName: (value: unknown) => string
  isLogarithmic: boolean
}

const REFERENCE = 'uWebSockets.js alone'

const PLOTS: Readonly<Record<string, Plot>> = {
  fanout: {
    title: 'LIVE frames to viewers of one user',
    unit: 'deliveries/s',
    figure: 'deliveriesPerSecond',
    by: 'viewers',
    groupName: (viewers) => `${viewers} viewers`,
    isLogarithmic: true,
  },
  latency: {
    title: 'Device to viewer, p99',
    unit: 'ms',
    figure: 'viewerP99Ms',
    by: 'percent',
    groupName: (percent) => `${percent} % of the maximum`,
    isLogarithmic: true,
  },
  connections: {
    title: 'Memory of an idle socket',
    unit: 'bytes',
    figure: 'bytesPerSocket',
    by: 'kind',
    groupName: String,
    isLogarithmic: false,
  },
}

/** Null where that scenario has no plot. */
export function plotOf(line: Line): Bars | null {
  if (line.scenario === 'ingest') return ingest(line)
  if (line.scenario === 'growth') return growth(line)
  const plot = PLOTS[line.scenario]
  return plot ? compared(plot, line) : null
}

function compared({ title, unit, figure, by, groupName, isLogarithmic }: Plot, line: Line): Bars {
  const groups = line.results.map((result) => {
    const belongs = (row: Row) => row[by] === result[by]
    const bars = [
      barOf('hub', result, figure),
      ...rowsOf(line.reference)
        .filter((row) => belongs(row) && isAlone(row))
        .map((row) => barOf(REFERENCE, row, figure)),
      ...(line.peers ?? []).filter(belongs).map((row) => barOf(String(row.name), row, figure)),
    ]
    return { name: groupName(result[by]), bars }
  })
  return { title, unit, groups, isLogarithmic }
}

/** A reference may be measured once more with work beside it; the plot shows it without. */
function isAlone({ beside = 'nothing' }: Row): boolean {
  return beside === 'nothing'
}

function ingest({ results, reference, peers }: Line): Bars {
  const [loop] = rowsOf(reference)
  const bars = [
    ...results.map((row) =>
      barOf(`hub, lanes ${row.writerLanes}, ${row.pointsPerFrame} a frame`, row, 'pointsPerSecond'),
    ),
    barOf('bare INSERT loop', loop!, 'rowsPerSecond'),
    ...(peers ?? []).map((row) => barOf(String(row.name).split(',')[0]!, row, 'pointsPerSecond')),
  ]
  const groups = [{ name: 'committed', bars }]
  return { title: 'Points from devices to the commit', unit: 'points/s', groups, isLogarithmic: true }
}

function growth({ results }: Line): Bars {
  const axes = [...new Set(results.map((row) => String(row.axis)))]
  const groups = axes.map((axis) => ({
    name: axis,
    bars: results
      .filter((row) => row.axis === axis)
      .map((row) => barOf(String(row.size), row, 'cpuMicrosPerPoint')),
  }))
  return { title: 'CPU of the hub for a point', unit: 'µs', groups, isLogarithmic: false }
}

function barOf(name: string, row: Row, figure: string): { name: string; value: number } {
  return { name, value: numberOf(row, figure) ?? 0 }
}
