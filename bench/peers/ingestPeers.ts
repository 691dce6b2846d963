/**
 * What people would store positions with instead of a hub: a tracker that gives each a transaction of its own, and
 * a broker that keeps the messages of the devices until a writer has put them into the same database.
 */
import type { Run } from '../../src/store/line/run.ts'
import { openChild } from '../children.ts'
import type { Databases } from '../databases.ts'
import type { DeviceLoad } from '../load/deviceLoad.ts'
import { figureOf, rounded, tell } from '../report/report.ts'
import { startBroker } from './brokers.ts'
import { createInsertLoop } from './insertLoop.ts'
import type { JetStreamWriterTasks } from './jetStreamWriter.ts'

export interface IngestPeer {
  name: string
  version: string | null
  /** What a sender may believe once a position has been taken. */
  durability: string
  facts: Record<string, unknown>
  /** Committed points per second of each round, and the processor time of its servers, the database left out. */
  rounds: { pointsPerSecond: number; cpuMicrosPerPoint: number }[]
  measure: (points: number) => Promise<{ pointsPerSecond: number; cpuMicrosPerPoint: number }>
  close: () => Promise<void>
}

export interface IngestPeersOptions {
  databases: Databases
  load: DeviceLoad
  devices: number
  pointsPerFrame: number
  batchRows: number
  /** The other database, over as many connections as the tracker has. */
  tracker: { run: Run; connections: number }
}

/** The tracker is so much slower that the points of a whole round would take minutes. */
const TRACKER_SHARE = 0.05
const WARM_UP_POINTS = 20_000
const KEEP_NOTHING =
  'Mosquitto, ws, Socket.IO: they store nothing; JetStream stands for a broker with a writer behind it'

/** Where one cannot be had, says so: a sentence for the report. */
export async function openIngestPeers(options: IngestPeersOptions) {
  const found = [await openTracker(options), await openJetStream(options)]
  const peers = found.filter((one): one is IngestPeer => 'measure' in one)
  const missing = [...found.flatMap((one) => ('missing' in one ? [one.missing] : [])), KEEP_NOTHING]
  for (const reason of missing) tell(`not measured: ${reason}`)
  return { peers, missing, measure, rowsOf, close }

  async function measure(points: number, round: number): Promise<void> {
    for (const peer of peers) {
      await options.databases.empty()
      const measured = await peer.measure(points)
      peer.rounds.push(measured)
      tell(`round ${round}: ${peer.name} ${Math.round(measured.pointsPerSecond)} points/s`)
    }
  }

  /** For the report, beside a hub that stores `hubPointsPerSecond`. */
  function rowsOf(hubPointsPerSecond: number) {
    return peers.map(({ name, version, durability, facts, rounds }) => {
      const pointsPerSecond = figureOf(rounds.map((round) => round.pointsPerSecond))
      return {
        name,
        version,
        durability,
        ...facts,
        pointsPerSecond,
        cpuMicrosPerPoint: figureOf(rounds.map((round) => round.cpuMicrosPerPoint)),
        hubIsTimes: rounded(hubPointsPerSecond / pointsPerSecond.median),
      }
    })
  }

  async function close(): Promise<void> {
    for (const peer of peers) await peer.close()
  }
}

/** It is not even sent anything: what is measured is no more than its way of storing. */
async function openTracker({ devices, tracker }: IngestPeersOptions): Promise<IngestPeer> {
  const { run, connections } = tracker
  const loop = await createInsertLoop(run, devices, 'tracker@example.org')
  return {
    name: 'one INSERT per position, what trackers do by default',
    version: null,
    durability: 'committed in PostgreSQL, a transaction for each position',
    facts: { connections },
    rounds: [],
    measure: async (points) => {
      const inserted = await loop.insertSingly(Math.round(points * TRACKER_SHARE), connections)
      return { pointsPerSecond: inserted.rowsPerSecond, cpuMicrosPerPoint: inserted.cpuMicrosPerRow }
    },
    close: async () => {},
  }
}

/** Measured until the commit, as the hub is; its devices hear before that that the broker has their points in a file. */
async function openJetStream(options: IngestPeersOptions): Promise<IngestPeer | { missing: string }> {
  const { databases, load, devices, pointsPerFrame, batchRows } = options
  const name = 'NATS JetStream with a writer'
  const databaseUrl = databases.referenceUrl
  if (databaseUrl === null) return { missing: `${name}: only its hub reaches an embedded database` }
  const broker = await startBroker('nats-server', true)
  if ('missing' in broker) return { missing: `${name}: ${broker.missing}` }
  const { port, plainPort, version, cpuMs, stop } = broker
  const writer = openChild<JetStreamWriterTasks>('peers/jetStreamWriter')
  await writer.ask('open', { port: plainPort, databaseUrl, devices, batchRows })
  const deviceKeys = Array.from({ length: devices }, (_, i) => `sender ${i + 1}`)
  const target = { port, deviceKeys, pointsPerFrame, dialect: 'jetstream' as const }
  await measure(WARM_UP_POINTS)
  return {
    name,
    version,
    durability: 'a file of the broker, not yet flushed; afterwards committed in PostgreSQL',
    facts: { pointsPerFrame, batchRows },
    rounds: [],
    measure,
    close: async () => {
      await writer.end()
      await stop()
    },
  }

  async function measure(points: number) {
    const before = (await writer.ask('begin', undefined)).cpuMs + (await cpuMs())
    const { pointsSent, firstSendMs } = await load.drive(target, points)
    const end = await writer.ask('stored', { points: pointsSent })
    const usedCpuMs = end.cpuMs + (await cpuMs()) - before
    return {
      pointsPerSecond: (pointsSent / (end.lastCommitMs - firstSendMs)) * 1000,
      cpuMicrosPerPoint: (usedCpuMs / pointsSent) * 1000,
    }
  }
}
