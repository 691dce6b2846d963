/**
 * What the hub counts. The hot path adds to plain numbers; /metrics and the stats socket read the same table,
 * so they cannot disagree.
 */
import { createHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** Counts since the start of the hub, by name in /metrics without `alzy_` and `_total`. */
const COUNTS = {
  framesReceived: 'Frames from devices',
  pointsReceived: 'Points in them',
  pointsStored: 'Points that were new in the database',
  pointsDuplicate: 'Points that the database had already: sent again, or by a write whose answer was lost',
  pointsRejectedCoordinate: 'Points rejected: coordinate out of range',
  pointsRejectedFuture: 'Points rejected: more than 24 h ahead of the hub',
  pointsRejectedTooOld: 'Points rejected: too old',
  pointsRejectedField: 'Points rejected: another field out of range',
  pointsRejectedDatabase: 'Points rejected: refused by the database',
  acksSent: 'ACKs to devices',
  framesAcknowledged: 'Frames that an ACK covered',
  pausesSent: 'PAUSEs to devices',
  writes: 'Batches written',
  writeRetries: 'Statements tried again because the database was away',
  liveFrames: 'Frames published to viewers, each once',
  deliveries: 'Published frames times the viewers that they went to',
  snapshotsSent: 'SNAP parts to viewers',
  viewersDemoted: 'Times a viewer left the live stream because it was slow',
  viewersReturned: 'Times a viewer came back to it',
  viewersTooSlow: 'Viewers closed because they did not keep up',
  publishDrops: 'Times a published frame did not fit into the buffer of a viewer',
  helloTimeouts: 'Connections closed because no HELLO came',
  helloRefused: 'HELLOs with a credential that is unknown, wrong, revoked or not enough',
  authRefused: 'AUTHs with a token that is refused, or of somebody else',
  framesMalformed: 'Frames that are not of the protocol',
  limitsExceeded: 'Connections closed for exceeding a window or a rate',
  windowsExceeded: 'Devices among them that exceeded their window',
  deviceRatesExceeded: 'Devices among them that sent too many frames, points or sessions',
  viewerRatesExceeded: 'Viewers and admins among them that sent too many frames',
  userSocketsRefused: 'Viewers and admins closed because their user or share had too many sockets',
  userDevicesRefused: 'Devices refused because their user had too many',
  userSharesRefused: 'Shares refused because their user had too many that go on',
  takeovers: 'Connections replaced by a newer one of the same device',
  devicesPaired: 'Pairing tokens redeemed',
  pairingsRefused: 'Tries to redeem a pairing token that is unknown, used or expired',
  pairingTriesLimited: 'Tries refused because one network tried too often',
  pairingTriesLimitedInAll: 'Tries refused because all together tried too often',
  keysTrusted: 'HELLOs with a key that the hub remembers, which the database is asked about afterwards',
  reads: 'Statements of everything but the writer',
  connectionsRefused: 'Upgrades refused because the hub was full',
  socketsRefusedWaiting: 'Upgrades refused because too many sockets waited for their WELCOME',
  socketsRefusedAddressFull: 'Upgrades refused because their address had too many sockets',
  socketsRefusedAddressWaiting:
    'Upgrades refused because too many sockets of their address waited for a WELCOME',
  socketsRefusedAddressRate: 'Upgrades refused because too many came from their address',
  connectionsDropped: 'Connections closed at once because there were too many in all',
  connectionsDroppedAddress: 'Connections closed at once because too many came from their address',
  originsRefused: 'Upgrades and requests of browsers whose origin is not allowed',
  httpRequests: 'HTTP requests',
  exports: 'Answers of any length: tracks and lists of points',
  exportsBroken: 'Of those that had begun, broken off because the database failed',
  exportsLeft: 'Of those, left by whoever had asked',
  exportsStalled: 'Of those, ended because nobody read on',
  exportsWithdrawn: 'Of those, ended because whoever had asked lost the right to them',
  exportsRefused: 'Answers of that kind refused because too many were under way, in all or of one address',
  pointPages: 'Pages of points read for them',
  requestsRefused: 'HTTP requests refused because too many came from their address',
  bodiesTooLarge: 'HTTP requests whose body was too large',
  bodiesTooSlow: 'HTTP requests whose body took too long',
  pointsExpired: 'Points deleted because they were older than the retention limit',
  sessionsExpired: 'Sessions deleted because they were older and had no points left',
  rejectedPointsExpired: 'Dead letters deleted because they were older than the retention limit',
  handlerFaults: 'Faults of our own, which the log tells; one in a handler of a socket closed it',
} as const

/** Figures of this moment. */
export const GAUGES = {
  devices: 'Device connections',
  viewers: 'Viewer connections',
  admins: 'Stats connections',
  viewersLive: 'Viewers in the live stream',
  viewersOnSnapshots: 'Viewers that are served snapshots at their own pace',
  backlogPoints: 'Points that wait for the writer or are being written',
  backlogFrames: 'Frames that wait for the writer or are being written',
  backlogAgeMs: 'How long the oldest frame has waited for the writer',
  windowPointsHeld: 'Points that devices may have in flight, used or not',
  devicesHeld: 'Devices in memory, connected or not',
  exportsOpen: 'Answers of any length that are under way',
  lanesAway: 'Writer lanes whose database is away',
  httpConnections: 'Connections that are no WebSocket, or not yet',
  waitingSockets: 'Sockets that wait for their WELCOME',
  addressesHeld: 'Addresses whose connections and requests are counted',
  retentionDevices: 'Devices that retention has looked at since it began anew; 0 while it rests',
  retentionFinishedMs: 'When retention was last through with all devices, in ms since 1970; 0: never',
  certificateExpiresMs: 'When the certificate in use ends, in ms since 1970; 0: no TLS by the hub',
} as const

/** What is counted when something is refused, by the reason. */
const REFUSAL_COUNTS = {
  routeFull: 'connectionsRefused',
  crowded: 'socketsRefusedWaiting',
  addressFull: 'socketsRefusedAddressFull',
  addressWaiting: 'socketsRefusedAddressWaiting',
  addressRate: 'socketsRefusedAddressRate',
  origin: 'originsRefused',
  requestRate: 'requestsRefused',
  bodySize: 'bodiesTooLarge',
  bodyTime: 'bodiesTooSlow',
} as const satisfies Record<string, keyof typeof COUNTS>

/** Something was turned away at the door. */
export function countRefusal(counts: Counts, reason: keyof typeof REFUSAL_COUNTS): void {
  counts[REFUSAL_COUNTS[reason]] += 1
}

/** Distributions, with the unit in the name. */
const DISTRIBUTIONS = {
  batchRows: { help: 'Rows of a batch', buckets: [1, 3, 10, 30, 100, 300, 1000, 3000] },
  writeMs: {
    help: 'Time from taking a batch to its commit',
    buckets: [1, 2, 5, 10, 25, 50, 100, 250, 1000, 5000],
  },
  ackMs: {
    help: 'Time from receiving a frame to its ACK, of the oldest frame that an ACK covers',
    buckets: [1, 2, 5, 10, 25, 50, 100, 250, 1000, 5000],
  },
} as const

export type Counts = Record<keyof typeof COUNTS, number>
export type Distributions = Readonly<Record<keyof typeof DISTRIBUTIONS, Distribution>>
export type Gauges = Record<keyof typeof GAUGES, number>
export type Metrics = ReturnType<typeof createMetrics>

export interface Distribution {
  record: (value: number) => void
  /** Since the last call. */
  quantiles: () => { count: number; p50: number; p99: number }
}

/** `gauges` is called whenever somebody looks. */
export function createMetrics(gauges: () => Gauges) {
  const registry = new Registry()
  const counts = Object.fromEntries(Object.keys(COUNTS).map((name) => [name, 0])) as Counts
  const eventLoop = monitorEventLoopDelay({ resolution: 10 })
  const distributions: Distributions = {
    batchRows: distribution('batchRows'),
    writeMs: distribution('writeMs'),
    ackMs: distribution('ackMs'),
  }
  let figures = {} as Gauges
  register()
  eventLoop.enable()
  return {
    counts,
    distributions,
    text,
    stats,
    close: () => eventLoop.disable(),
    contentType: registry.contentType,
  }

  /** What /metrics answers. */
  function text(): Promise<string> {
    // Once for all of them.
    figures = gauges()
    return registry.metrics()
  }

  /** What the stats socket sends: the same figures, with quantiles since the last call. */
  function stats(): Record<string, unknown> {
    const memory = process.memoryUsage()
    const lagMs = eventLoop.percentile(99) / 1e6
    eventLoop.reset()
    return {
      ...counts,
      ...gauges(),
      batchRows: distributions.batchRows.quantiles(),
      writeMs: distributions.writeMs.quantiles(),
      ackMs: distributions.ackMs.quantiles(),
      eventLoopLagMs: Number.isFinite(lagMs) ? lagMs : 0,
      residentBytes: memory.rss,
      heapBytes: memory.heapUsed,
      uptimeS: Math.floor(process.uptime()),
    }
  }

  function register(): void {
    collectDefaultMetrics({ register: registry })
    for (const [name, help] of Object.entries(COUNTS)) {
      const counter = new Counter({
        name: `alzy_${snake(name)}_total`,
        help,
        registers: [registry],
        collect() {
          counter.reset()
          counter.inc(counts[name as keyof Counts])
        },
      })
    }
    for (const [name, help] of Object.entries(GAUGES)) {
      const gauge = new Gauge({
        name: `alzy_${snake(name)}`,
        help,
        registers: [registry],
        collect() {
          gauge.set(figures[name as keyof Gauges])
        },
      })
    }
  }

  function distribution(name: keyof typeof DISTRIBUTIONS): Distribution {
    const { help, buckets } = DISTRIBUTIONS[name]
    const total = new Histogram({
      name: `alzy_${snake(name)}`,
      help,
      buckets: [...buckets],
      registers: [registry],
    })
    const recent = createHistogram()
    return { record, quantiles }

    function record(value: number): void {
      total.observe(value)
      recent.record(Math.max(1, Math.round(value)))
    }

    function quantiles(): { count: number; p50: number; p99: number } {
      const { count } = recent
      const answer =
        count === 0
          ? { count, p50: 0, p99: 0 }
          : { count, p50: recent.percentile(50), p99: recent.percentile(99) }
      recent.reset()
      return answer
    }
  }
}

/** `pointsStored` → `points_stored`. */
function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
