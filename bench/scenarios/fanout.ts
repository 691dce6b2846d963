/**
 * `npm run bench:fanout`: how many LIVE frames a second reach the viewers of one user, against uWebSockets.js alone
 * publishing frames of the same size, driven by the same senders and counted by the same process, and against what
 * people would use instead. Goals: 0.9 of uWebSockets.js; nats-server; 10 times `ws` and Mosquitto; 20 times Socket.IO.
 *
 * What is measured is publishing, not storing, so no sender waits for a commit: several devices of the user send,
 * each with a large window, and go on as soon as one of the viewers, which lives in their process, has seen what they
 * sent. How much may be on its way is chosen by the deliveries it causes: enough to keep the server busy, and far
 * less than the buffer of a viewer holds, since nobody is to be demoted here. The hub stores every point all the
 * same, and where processors are few its database takes its share of them; the processor time of the hub for each
 * delivery tells how much of a lower rate that is. What it keeps up until the last point is stored as well is told
 * beside the rate, and is what compares with uWebSockets.js while the same rows are stored beside it.
 */

import { openChild } from '../children.ts'
import { openDatabases, versionOf } from '../databases.ts'
import { endWithin } from '../deadline.ts'
import { readFlags } from '../flags.ts'
import { growth, type Hub, startHub } from '../hubProcess.ts'
import type { DatabaseLoadTasks } from '../load/databaseLoad.ts'
import {
  bareContender,
  type Contender,
  deliver,
  HUB_ENV,
  hubContender,
  type Round,
} from '../load/deliveries.ts'
import type { GeneratorTasks } from '../load/generator.ts'
import { frameBytes } from '../load/points.ts'
import type { ViewersTasks } from '../load/viewers.ts'
import type { BareServerTasks } from '../peers/bareServer.ts'
import { type Peers, startPeers } from '../peers/peers.ts'
import { processCpuMs } from '../processes.ts'
import { type Figure, figureOf, generatorCheck, report, rounded, tell } from '../report/report.ts'

const flags = readFlags('LIVE frames per second from devices of a user to its viewers.', {
  viewers: { value: [50, 1000], says: 'viewers of each user; several are measured in turn' },
  users: {
    value: 1,
    says: 'users, each with devices and viewers of its own; with more than one, without peers',
  },
  devices: { value: 20, says: 'devices of each user that send' },
  seconds: { value: 1, says: 'about how long a round takes' },
  underway: { value: 100_000, says: 'deliveries that may be under way' },
  rounds: { value: 5, says: 'rounds of each' },
  peers: { value: 'all', says: 'peers by name, with commas between; or none' },
  embedded: { value: false, says: 'use the embedded database' },
  profile: { value: '', says: 'folder for a CPU profile of the hub' },
  secondsMax: { value: 500, says: 'give up after so long' },
})
endWithin(flags.secondsMax)

/** Rounds that are not reported: the first is short, for nobody knows the rates yet, and code is being compiled. */
const COLD_ROUNDS = 3
/** Viewers of each user that live in the generator. */
const OWN_VIEWERS = 1
const STORING = 'the same rows stored'

const databases = await openDatabases(flags.embedded)
const generator = openChild<GeneratorTasks>('load/generator')
const viewersChild = openChild<ViewersTasks>('load/viewers')
const bareServer = openChild<BareServerTasks>('peers/bareServer')
const databaseLoad = openChild<DatabaseLoadTasks>('load/databaseLoad')
let hub: Hub | null = null
let peers: Peers | null = null
try {
  // What a peer publishes goes to everybody who watches.
  peers = await startPeers(flags.users > 1 ? 'none' : flags.peers, flags.devices)
  hub = await startHub({ ...databases.hubEnv, ...HUB_ENV }, flags.profile)
  await compare(hub, peers)
} finally {
  await hub?.stop()
  await peers?.close()
  await Promise.all([generator, viewersChild, bareServer, databaseLoad].map((child) => child.end()))
  await databases.close()
}
process.exit()

interface FanoutRow extends Record<string, unknown> {
  viewers: number
  deliveriesPerSecond: Figure
  ratio: number
  /** What is sustained, of uWebSockets.js while the same rows are stored beside it. */
  ratioStoring?: number
}

async function compare(hub: Hub, { measured: peers, missing }: Peers): Promise<void> {
  const connection = await databases.openReference()
  const postgres = await versionOf(connection)
  await connection.close()
  const mine = await hubContender(hub, flags.devices, flags.users)
  const bare = await bareContender(bareServer, flags.devices, { userCount: flags.users })
  const storing = await storingBeside(bare, mine)
  const results: FanoutRow[] = []
  const references = []
  const others = []
  for (const reason of missing) tell(`not measured: ${reason}`)
  for (const viewers of flags.viewers) {
    const before = await hub.metrics()
    const rounds = await alternate([bare, ...peers, mine, ...(storing === null ? [] : [storing])], viewers)
    const losses = lossesOf(before, await hub.metrics())
    const [kept, reference] = [summaryOf(rounds.get(mine)!), summaryOf(rounds.get(bare)!)]
    results.push({
      viewers,
      ...kept,
      ...losses,
      ratio: rounded(kept.deliveriesPerSecond.median / reference.deliveriesPerSecond.median),
      cpuRatio: rounded(kept.cpuMicrosPerDelivery.median / reference.cpuMicrosPerDelivery.median),
    })
    references.push({ viewers, beside: 'nothing', ...reference })
    if (storing !== null) {
      const loaded = summaryOf(rounds.get(storing)!)
      references.push({ viewers, beside: STORING, ...loaded })
      results.at(-1)!.ratioStoring = rounded(
        kept.sustainedPerSecond.median / loaded.deliveriesPerSecond.median,
      )
    }
    for (const peer of peers) {
      const summary = summaryOf(rounds.get(peer)!)
      const times = rounded(kept.deliveriesPerSecond.median / summary.deliveriesPerSecond.median)
      const { name, version, durability } = peer
      others.push({ name, version, durability, viewers, ...summary, hubIsTimes: times })
    }
    const lost = Object.values(losses).reduce((sum, count) => sum + count, kept.missing)
    if (lost > 0)
      tell(`not every frame was delivered live: ${JSON.stringify({ ...losses, missing: kept.missing })}`)
  }
  report({
    scenario: nameOf(flags),
    postgres,
    parameters: { ...flags, profile: flags.profile !== '', liveFrameBytes: frameBytes(1).live },
    results,
    reference: references,
    generatorCheck: await checkGenerator(bare, results),
    peers: others,
    notMeasured: missing,
    ratio: Math.min(...results.map(({ ratio }) => ratio)),
  })
}

function nameOf({ embedded, users }: { embedded: boolean; users: number }): string {
  return ['fanout', ...(users > 1 ? ['users'] : []), ...(embedded ? ['embedded'] : [])].join('-')
}

/** The reference once more, while somebody stores as many rows a second as the hub does; null where nobody can. */
async function storingBeside(bare: Contender, mine: Contender): Promise<Contender | null> {
  if (databases.referenceUrl === null) return null
  await databaseLoad.ask('open', { url: databases.referenceUrl, devices: flags.devices })
  const contender: Contender = {
    ...bare,
    name: `${bare.name}, ${STORING} beside it`,
    rates: new Map(),
    beside: {
      start,
      stop: () => databaseLoad.ask('stop', undefined),
      cpuMs: () => processCpuMs(databaseLoad.pid),
    },
  }
  return contender

  /** The hub has had its round before. */
  function start(viewers: number): Promise<unknown> {
    return databaseLoad.ask('start', {
      rowsPerSecond: mine.rates.get(viewers)!.sustainedPerSecond / viewers,
    })
  }
}

/**
 * A generator that is the bottleneck measures itself: uWebSockets.js alone, with nobody but the one viewer of each user that
 * the generator itself has, has to take twice the frames from it that the hub did.
 */
async function checkGenerator(bare: Contender, results: readonly FanoutRow[]) {
  const rounds = (await alternate([bare], OWN_VIEWERS)).get(bare)!
  const framesPerSecond = figureOf(rounds.map((round) => round.deliveriesPerSecond / OWN_VIEWERS))
  const fastest = Math.max(
    ...results.map(({ viewers, deliveriesPerSecond }) => deliveriesPerSecond.median / viewers),
  )
  return generatorCheck('framesPerSecond', framesPerSecond, fastest)
}

/** Rounds of all, one after the other, so that a disturbance of the machine meets all. */
async function alternate(contenders: readonly Contender[], viewers: number) {
  const rounds = new Map<Contender, Round[]>(contenders.map((one) => [one, []]))
  const options = { ...flags, generator, viewersChild, databases }
  for (let round = 1 - COLD_ROUNDS; round <= flags.rounds; round++) {
    for (const one of contenders) {
      const measured = await deliver(one, viewers, options)
      if (round < 1) continue
      rounds.get(one)!.push(measured)
      const rate = `${Math.round(measured.deliveriesPerSecond)} deliveries/s`
      const cost = `${measured.cpuMicrosPerDelivery.toFixed(3)} µs of the server each`
      tell(`round ${round}: ${viewers} viewers, ${one.name}: ${rate}, ${cost}`)
    }
  }
  return rounds
}

function summaryOf(rounds: Round[]) {
  return {
    deliveriesPerSecond: figureOf(rounds.map((round) => round.deliveriesPerSecond)),
    sustainedPerSecond: figureOf(rounds.map((round) => round.sustainedPerSecond)),
    cpuMicrosPerDelivery: figureOf(rounds.map((round) => round.cpuMicrosPerDelivery)),
    viewersCpuMs: figureOf(rounds.map((round) => round.viewersCpuMs)),
    generatorCpuMs: figureOf(rounds.map((round) => round.generatorCpuMs)),
    ...(!flags.embedded && { databaseCpuMs: figureOf(rounds.map((round) => round.databaseCpuMs)) }),
    processorsBusy: figureOf(rounds.map((round) => round.processorsBusy)),
    ...(rounds.every(({ rowsBesidePerSecond }) => rowsBesidePerSecond !== null) && {
      rowsBesidePerSecond: figureOf(rounds.map(({ rowsBesidePerSecond }) => rowsBesidePerSecond!)),
    }),
    missing: rounds.reduce((sum, { missing }) => sum + missing, 0),
  }
}

/** What the hub counted of viewers that could not take everything; all of it zero, or the figures say less. */
function lossesOf(before: Map<string, number>, after: Map<string, number>) {
  return {
    publishDrops: growth(before, after, 'alzy_publish_drops_total'),
    viewersDemoted: growth(before, after, 'alzy_viewers_demoted_total'),
    viewersTooSlow: growth(before, after, 'alzy_viewers_too_slow_total'),
  }
}
