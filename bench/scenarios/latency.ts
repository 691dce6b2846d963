/**
 * `npm run bench:latency`: how long a point takes from its device to a viewer and to its ACK, at shares of the most that
 * the hub takes from these devices, against a relay by uWebSockets.js alone and by Mosquitto. Devices and viewer live in
 * this one process, so one clock measures. Frames are due at fixed moments and times count from those, so a server that
 * stalls cannot hide it by being sent less. While the others are measured, a process writes as many rows into a
 * database as the hub does, one statement at a time; so does the hub where there are no more than two processors, and a
 * hub with two writer lanes, which keeps two processes of the database busy, is measured beside it. Goal: at half load
 * p99 to the viewer at most twice that of uWebSockets.js, and not above Mosquitto's.
 */

import { openChild } from '../children.ts'
import { monotonicMs } from '../clock.ts'
import { openDatabases, versionOf } from '../databases.ts'
import { endWithin } from '../deadline.ts'
import { readFlags } from '../flags.ts'
import { type Hub, startHub } from '../hubProcess.ts'
import type { DatabaseLoadTasks } from '../load/databaseLoad.ts'
import { bareContender, type Contender, HUB_ENV, hubContender } from '../load/deliveries.ts'
import type { GeneratorTasks } from '../load/generator.ts'
import { type Latencies, measureLatency, quantileMs } from '../load/openLoop.ts'
import { frameBytes } from '../load/points.ts'
import type { BareServerTasks } from '../peers/bareServer.ts'
import { type Peer, type Peers, startPeers } from '../peers/peers.ts'
import { mainThreadWaitMs, processCpuMs } from '../processes.ts'
import { figureOf, medianOf, report, rounded, tell } from '../report/report.ts'

const flags = readFlags('Milliseconds from a device to a viewer and to its ACK.', {
  percent: { value: [10, 50, 80], says: 'shares of the maximum; several are measured in turn' },
  maximum: { value: 'measure', says: 'frames per second of all devices together, a point each' },
  devices: { value: 20, says: 'devices' },
  seconds: { value: 3, says: 'length of a round' },
  rounds: { value: 9, says: 'rounds of each' },
  peers: { value: 'mosquitto QoS 0', says: 'peers by name, with commas between; or none' },
  embedded: { value: false, says: 'use the embedded database; then nothing loads it for the others' },
  profile: { value: '', says: 'folder for a CPU profile of the hub' },
  secondsMax: { value: 700, says: 'give up after so long' },
})
endWithin(flags.secondsMax)

/** One round of one server. */
interface Round extends Pick<Latencies, 'viewer' | 'ack' | 'sendLate' | 'missing'> {
  /** Processor time of the server. */
  cpuMicrosPerFrame: number
  /** The same of the database, which stores as many points whoever is measured. */
  databaseCpuMicrosPerFrame: number
  /** Processors that all of it kept busy: server, database and what loads it, and this process with devices and viewer. */
  processorsBusy: number
  /** In a second, how long the server and this process were ready to run and had no processor; null where nobody counts. */
  serverWaitsMs: number | null
  clientsWaitMs: number | null
  /** Stored by somebody else, at the same rate as the hub's; null beside a hub, which stores its own. */
  rowsBesidePerSecond: number | null
  /** Of the hub: how often in a second it stops to collect garbage, and how long each time. */
  collections: { perSecond: number; ms: number } | null
}

const WARM_UP_SECONDS = 1
/** Points that a device may have in flight while the maximum is looked for. */
const WINDOW_POINTS = 400
const TRIAL_FRAMES = 40_000
const TRIALS = 4
const TWO_LANES = { ALZY_WRITER_LANES: '2' }
const WIDE = { name: 'hub with two writer lanes', version: null, durability: 'committed in PostgreSQL' }
/** The share that the goal is about. */
const GOAL_PERCENT = 50

const databases = await openDatabases(flags.embedded)
const bareServer = openChild<BareServerTasks>('peers/bareServer')
const generator = openChild<GeneratorTasks>('load/generator')
const databaseLoad = openChild<DatabaseLoadTasks>('load/databaseLoad')
const hubs: Hub[] = []
let peers: Peers | null = null
try {
  peers = await startPeers(flags.peers, flags.devices)
  hubs.push(await startHub({ ...databases.hubEnv, ...HUB_ENV }, flags.profile))
  // An embedded database has one lane anyhow, and one hub.
  if (!flags.embedded) hubs.push(await startHub({ ...databases.hubEnv, ...HUB_ENV, ...TWO_LANES }, ''))
  await compare(peers)
} finally {
  for (const hub of hubs) await hub.stop()
  await peers?.close()
  await Promise.all([bareServer, generator, databaseLoad].map((child) => child.end()))
  await databases.close()
}
process.exit()

async function compare({ measured, missing }: Peers): Promise<void> {
  const connection = await databases.openReference()
  const postgres = await versionOf(connection)
  await connection.close()
  for (const reason of missing) tell(`not measured: ${reason}`)
  if (databases.referenceUrl !== null) {
    await databaseLoad.ask('open', { url: databases.referenceUrl, devices: flags.devices })
  }
  const [mine, wide] = await Promise.all(hubs.map((hub) => hubContender(hub, flags.devices)))
  if (mine === undefined) throw new Error('no hub was started')
  const instead: Peer[] = [...measured, ...(wide ? [{ ...wide, ...WIDE }] : [])]
  const bare = await bareContender(bareServer, flags.devices)
  const maximum = flags.maximum === 'measure' ? await findMaximum(mine) : Number(flags.maximum)
  tell(`the hub takes ${maximum} frames/s of one point`)
  const results = []
  const references = []
  const others = []
  for (const percent of flags.percent) {
    const rate = Math.max(1, Math.round((maximum * percent) / 100))
    const rounds = await alternate([bare, ...instead, mine], rate)
    const [kept, reference] = [summaryOf(rounds.get(mine)!), summaryOf(rounds.get(bare)!)]
    const timesRelay = rounded(kept.viewerP99Ms.median / reference.viewerP99Ms.median)
    results.push({ percent, rate, ...kept, timesRelay })
    references.push({ percent, rate, ...reference })
    for (const peer of instead) others.push({ ...factsOf(peer), percent, ...summaryOf(rounds.get(peer)!) })
  }
  report({
    scenario: flags.embedded ? 'latency-embedded' : 'latency',
    postgres,
    parameters: {
      ...flags,
      maximum,
      profile: flags.profile !== '',
      loaded: databases.referenceUrl !== null,
      liveFrameBytes: frameBytes(1).live,
    },
    results,
    reference: references,
    peers: others,
    notMeasured: missing,
    ratio: (results.find(({ percent }) => percent === GOAL_PERCENT) ?? results.at(-1)!).timesRelay,
  })
}

/** Frames of one point that the hub acknowledges in a second while its viewer watches. */
async function findMaximum({ port, users }: Contender): Promise<number> {
  const framesPerDevice = Math.round(TRIAL_FRAMES / flags.devices)
  const rates: number[] = []
  for (let trial = 0; trial < TRIALS; trial++) {
    await databases.empty()
    await generator.ask('connect', {
      port,
      tokens: [users[0].token],
      deviceKeys: users[0].deviceKeys,
      firstPlace: 0,
    })
    await generator.ask('prepare', { framesPerDevice, pointsPerFrame: 1, as: 'points' })
    const sent = await generator.ask('send', { pointsPerFrame: 1, windowPoints: WINDOW_POINTS })
    await generator.ask('disconnect', undefined)
    rates.push((framesPerDevice * flags.devices * 1_000) / (sent.lastAckMs - sent.firstSendMs))
  }
  return Math.round(medianOf(rates.slice(1)))
}

/** A hub loads its own database; for the others somebody has to. */
async function alternate(contenders: readonly Contender[], rate: number) {
  const rounds = new Map<Contender, Round[]>(contenders.map((one) => [one, []]))
  for (let round = 0; round <= flags.rounds; round++) {
    for (const one of contenders) {
      await databases.empty()
      const hub = hubs.find(({ pid }) => pid === one.pid)
      const isLoaded = hub === undefined && databases.referenceUrl !== null
      const seconds = round === 0 ? WARM_UP_SECONDS : flags.seconds
      let loadedMs = 0
      const begin = async () => {
        loadedMs = monotonicMs()
        if (isLoaded) await databaseLoad.ask('start', { rowsPerSecond: rate })
      }
      const options = { ...one, user: one.users[0], rate, seconds, begin }
      const latencies = await measureLatency(options, async () => ({
        used: await usedMs(one),
        waited: [mainThreadWaitMs(one.pid), mainThreadWaitMs(process.pid)],
        collected: hub ? await hub.collections() : null,
      }))
      const beside = isLoaded ? await databaseLoad.ask('stop', undefined) : null
      const besideMs = monotonicMs() - loadedMs
      const { before, after, tookMs } = latencies
      const [server, database, rest] = after.used.map((used, of) => used - before.used[of]!)
      const [serverWaitsMs, clientsWaitMs] = after.waited.map((waited, of) =>
        waited === null ? null : ((waited - before.waited[of]!) * 1_000) / tookMs,
      )
      const measured: Round = {
        ...latencies,
        cpuMicrosPerFrame: (server! * 1_000) / (rate * seconds),
        databaseCpuMicrosPerFrame: (database! * 1_000) / (rate * seconds),
        processorsBusy: (server! + database! + rest!) / tookMs,
        serverWaitsMs: serverWaitsMs!,
        clientsWaitMs: clientsWaitMs!,
        rowsBesidePerSecond: beside && (beside.rows * 1_000) / besideMs,
        collections:
          before.collected && after.collected && collectionsSince(before.collected, after.collected, tookMs),
      }
      if (round === 0) continue
      rounds.get(one)!.push(measured)
      const ack = measured.ack.totalCount > 0 ? `, ACK ${inWords(measured.ack)}` : ''
      tell(`round ${round}: ${rate}/s: ${one.name}: to the viewer ${inWords(measured.viewer)}${ack}`)
    }
  }
  return rounds
}

function collectionsSince(
  before: { count: number; ms: number },
  after: { count: number; ms: number },
  tookMs: number,
): { perSecond: number; ms: number } {
  const count = after.count - before.count
  return { perSecond: (count * 1_000) / tookMs, ms: count === 0 ? 0 : (after.ms - before.ms) / count }
}

/** Processor time so far: of the server, of the database, of what makes load and measures. */
async function usedMs(one: Contender): Promise<[number, number, number]> {
  return [await one.cpuMs(), databases.cpuMs(), processCpuMs(process.pid) + processCpuMs(databaseLoad.pid)]
}

function summaryOf(rounds: readonly Round[]) {
  const over = (of: 'viewer' | 'ack' | 'sendLate', q: number) =>
    figureOf(rounds.map((round) => quantileMs(round[of], q)))
  return {
    viewerP50Ms: over('viewer', 0.5),
    viewerP99Ms: over('viewer', 0.99),
    viewerP999Ms: over('viewer', 0.999),
    // Not everybody acknowledges.
    ...(rounds.every(({ ack }) => ack.totalCount > 0) && {
      ackP50Ms: over('ack', 0.5),
      ackP99Ms: over('ack', 0.99),
      ackP999Ms: over('ack', 0.999),
    }),
    /** How late the frames left here; part of all the others. */
    sendLateP99Ms: over('sendLate', 0.99),
    cpuMicrosPerFrame: figureOf(rounds.map((round) => round.cpuMicrosPerFrame)),
    ...(!flags.embedded && {
      databaseCpuMicrosPerFrame: figureOf(rounds.map((round) => round.databaseCpuMicrosPerFrame)),
    }),
    processorsBusy: figureOf(rounds.map((round) => round.processorsBusy)),
    ...(rounds.every(({ serverWaitsMs }) => serverWaitsMs !== null) && {
      serverWaitsMs: figureOf(rounds.map((round) => round.serverWaitsMs!)),
      clientsWaitMs: figureOf(rounds.map((round) => round.clientsWaitMs!)),
    }),
    ...(rounds.every(({ rowsBesidePerSecond }) => rowsBesidePerSecond !== null) && {
      rowsBesidePerSecond: figureOf(rounds.map(({ rowsBesidePerSecond }) => rowsBesidePerSecond!)),
    }),
    ...(rounds.every(({ collections }) => collections !== null) && {
      collectionsPerSecond: figureOf(rounds.map(({ collections }) => collections!.perSecond)),
      collectionMs: figureOf(rounds.map(({ collections }) => collections!.ms)),
    }),
    missing: rounds.reduce((sum, { missing }) => sum + missing, 0),
  }
}

function factsOf({ name, version, durability }: Peer) {
  return { name, version, durability }
}

function inWords(of: Latencies['viewer']): string {
  return `p50 ${rounded(quantileMs(of, 0.5))} ms, p99 ${rounded(quantileMs(of, 0.99))} ms`
}
