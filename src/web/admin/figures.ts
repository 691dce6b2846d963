/** The figures of the hub over the last minutes, and what is drawn of them. It knows neither sockets nor charts. */
import type { Stats } from '../../client/browser.ts'

export interface Sample {
  /** Seconds since 1970. */
  atS: number
  stats: Stats
}

/** A line of a chart: its value from a sample and the one before it. */
export interface Line {
  label: string
  of: (now: Stats, before: Stats, passedS: number) => number | null
}

export interface ChartSpec {
  title: string
  /** For people who have not read the code. */
  meaning: string
  unit: '/s' | 'ms' | 'MB' | ''
  lines: readonly Line[]
}

export const SAMPLES_MAX = 300

export const CHARTS: readonly ChartSpec[] = [
  {
    title: 'Points',
    meaning: 'What devices send, what is new in the database, and what it had already.',
    unit: '/s',
    lines: [
      rate('in', 'pointsReceived'),
      rate('stored', 'pointsStored'),
      rate('duplicate', 'pointsDuplicate'),
    ],
  },
  {
    title: 'Acknowledgements',
    meaning:
      'Frames that devices sent, those that are stored and acknowledged, and the ACKs for them: one may cover many frames.',
    unit: '/s',
    lines: [
      rate('frames', 'framesReceived'),
      rate('acknowledged', 'framesAcknowledged'),
      rate('ACKs', 'acksSent'),
      rate('PAUSEs', 'pausesSent'),
    ],
  },
  {
    title: 'Time to ACK',
    meaning:
      'From a frame to its acknowledgement, that is to the commit. p99: one in a hundred takes longer.',
    unit: 'ms',
    lines: [quantile('p50', 'ackMs', 'p50'), quantile('p99', 'ackMs', 'p99')],
  },
  {
    title: 'Writes',
    meaning: 'How long the database takes for a batch. While it is away, this stops.',
    unit: 'ms',
    lines: [quantile('p50', 'writeMs', 'p50'), quantile('p99', 'writeMs', 'p99')],
  },
  {
    title: 'Backlog',
    meaning:
      'Points that wait for the database or are being written. Growing means that it does not keep up.',
    unit: '',
    lines: [gauge('points', 'backlogPoints')],
  },
  {
    title: 'Deliveries',
    meaning: 'Live frames times the viewers that they went to.',
    unit: '/s',
    lines: [rate('deliveries', 'deliveries'), rate('published', 'liveFrames')],
  },
  {
    title: 'Connections',
    meaning: 'Devices that record, viewers that watch, admins that look at this.',
    unit: '',
    lines: [gauge('devices', 'devices'), gauge('viewers', 'viewers'), gauge('admins', 'admins')],
  },
  {
    title: 'Lanes',
    meaning: 'Viewers in the live stream, and those too slow for it, who get snapshots at their own pace.',
    unit: '',
    lines: [gauge('live', 'viewersLive'), gauge('snapshots', 'viewersOnSnapshots')],
  },
  {
    title: 'Memory',
    meaning: 'Of the process, and what of it JavaScript uses.',
    unit: 'MB',
    lines: [
      { label: 'resident', of: (now) => megabytes(now.residentBytes) },
      { label: 'heap', of: (now) => megabytes(now.heapBytes) },
    ],
  },
  {
    title: 'Event loop lag',
    meaning: 'How late the hub is with what is due, p99. Beyond 100 ms everyone feels it.',
    unit: 'ms',
    lines: [gauge('lag', 'eventLoopLagMs')],
  },
]

export function createSamples() {
  let samples: Sample[] = []
  return {
    add,
    series,
    get count() {
      return samples.length
    },
  }

  function add(sample: Sample): void {
    const before = samples.at(-1)
    // Counts that fall are those of a hub that was started anew.
    const isNew = before !== undefined && number(sample.stats.uptimeS) < number(before.stats.uptimeS)
    samples = [...(isNew ? [] : samples), sample].slice(-SAMPLES_MAX)
  }

  /** Times first, then a row for each line, as charts want them. */
  function series({ lines }: ChartSpec): (number | null)[][] {
    const pairs = samples.slice(1).map((now, i) => ({ now, before: samples[i]! }))
    return [
      pairs.map(({ now }) => now.atS),
      ...lines.map((line) =>
        pairs.map(({ now, before }) => line.of(now.stats, before.stats, Math.max(0.2, now.atS - before.atS))),
      ),
    ]
  }
}

function rate(label: string, name: string): Line {
  return { label, of: (now, before, passedS) => (number(now[name]) - number(before[name])) / passedS }
}

function gauge(label: string, name: string): Line {
  return { label, of: (now) => number(now[name]) }
}

/** Nothing happened in that second: there is no such value. */
function quantile(label: string, name: string, which: 'p50' | 'p99'): Line {
  return {
    label,
    of: (now) => {
      const value = now[name] as { count?: unknown; p50?: unknown; p99?: unknown } | undefined
      return number(value?.count) === 0 ? null : number(value?.[which])
    },
  }
}

export function number(value: unknown): number {
  return typeof value === 'number' ? value : 0
}

function megabytes(bytes: unknown): number {
  return number(bytes) / 2 ** 20
}
