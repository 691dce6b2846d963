/**
 * `npm run bench:fanout`: how many LIVE frames a second reach the viewers of one user, against uWebSockets.js alone
 * publishing frames of the same size, driven by the same senders and counted by the same process.
 *
 * What is measured is publishing, not storing, so no sender waits for a commit: several devices of the user send,
 * each with a large window, and go on as soon as one of the viewers, which lives in their process, has seen what they
 * sent. How much may be on its way is chosen by the deliveries it causes: enough to keep the server busy, and far
 * less than the buffer of a viewer holds, since nobody is to be demoted here. The hub stores every point all the
 * same, and where processors are few its database takes its share of them; the processor time of the hub for each
 * delivery tells how much of a lower rate that is.
 */
import type { BareServerTasks } from './bareServer.ts'
import { openChild } from './children.ts'
import { openDatabases, versionOf } from './databases.ts'
import { endWithin } from './deadline.ts'
import { readFlags } from './flags.ts'
import type { GeneratorTasks } from './generator.ts'
import { growth, type Hub, type HubUser, startHub } from './hubProcess.ts'
import { encodeAsLive, nextPoints, startCourse } from './points.ts'
import { figureOf, report, rounded, tell } from './report.ts'
import type { ViewersTasks } from './viewers.ts'

const flags = readFlags('LIVE frames per second from devices of a user to its viewers.', {
  viewers: { value: [50, 1000], says: 'viewers; several are measured in turn' },
  devices: { value: 20, says: 'devices of the user that send' },
  seconds: { value: 2, says: 'about how long a round takes' },
  underway: { value: 100_000, says: 'deliveries that may be under way' },
  rounds: { value: 3, says: 'rounds of each' },
  embedded: { value: false, says: 'use the embedded database' },
  profile: { value: '', says: 'folder for a CPU profile of the hub' },
  secondsMax: { value: 180, says: 'give up after so long' },
})
endWithin(flags.secondsMax)

/** Hub or reference, as a round uses it. */
interface Contender {
  name: string
  port: number
  user: HubUser
  sends: 'points' | 'live'
  cpuMs: () => Promise<number>
  /** Of the last round with so many viewers: tells how many frames fill the next. */
  rates: Map<number, number>
}

interface Round {
  deliveriesPerSecond: number
  cpuMicrosPerDelivery: number
  viewersCpuMs: number
  generatorCpuMs: number
  missing: number
}

/** A cold server manages about so many; the first round is not reported. */
const COLD_DELIVERIES_PER_S = 100_000
const WINDOW_POINTS = 10_000
/** In a round: what the database then has to store must not take much longer than the round. */
const FRAMES_MAX = 40_000

const databases = await openDatabases(flags.embedded)
const generator = openChild<GeneratorTasks>('generator')
const viewersChild = openChild<ViewersTasks>('viewers')
const bareServer = openChild<BareServerTasks>('bareServer')
let hub: Hub | null = null
try {
  hub = await startHub(
    {
      ...databases.hubEnv,
      ALZY_WINDOW_POINTS_MAX: String(WINDOW_POINTS),
      // The senders mean to be ahead of the database.
      ALZY_PAUSE_AFTER_MS: '60000',
      // One device sends what a crowd would.
      ALZY_DEVICE_FRAMES_PER_S: '100000',
      ALZY_DEVICE_POINTS_PER_S: '1000000',
      // And one user watches as a crowd would.
      ALZY_SOCKETS_PER_USER_MAX: '1000000',
    },
    flags.profile,
  )
  await compare(hub)
} finally {
  await hub?.stop()
  await Promise.all([generator, viewersChild, bareServer].map((child) => child.end()))
  await databases.close()
}
process.exit()

async function compare(hub: Hub): Promise<void> {
  const connection = await databases.openReference()
  const postgres = await versionOf(connection)
  await connection.close()
  const contenders = { hub: await hubContender(hub), bare: await bareContender() }
  const results = []
  const references = []
  for (const viewers of flags.viewers) {
    const before = await hub.metrics()
    const rounds = await alternate(contenders, viewers)
    const losses = lossesOf(before, await hub.metrics())
    const [mine, reference] = [summaryOf(rounds.hub), summaryOf(rounds.bare)]
    results.push({
      viewers,
      ...mine,
      ...losses,
      ratio: rounded(mine.deliveriesPerSecond.median / reference.deliveriesPerSecond.median),
      cpuRatio: rounded(mine.cpuMicrosPerDelivery.median / reference.cpuMicrosPerDelivery.median),
    })
    references.push({ viewers, ...reference })
    const lost = Object.values(losses).reduce((sum, count) => sum + count, mine.missing)
    if (lost > 0)
      tell(`not every frame was delivered live: ${JSON.stringify({ ...losses, missing: mine.missing })}`)
  }
  report({
    scenario: flags.embedded ? 'fanout-embedded' : 'fanout',
    postgres,
    parameters: { ...flags, profile: flags.profile !== '', liveFrameBytes: liveFrameBytes() },
    results,
    reference: references,
    ratio: Math.min(...results.map(({ ratio }) => ratio)),
  })
}

/** Rounds of both, one after the other, so that a disturbance of the machine meets both. */
async function alternate(contenders: { hub: Contender; bare: Contender }, viewers: number) {
  const rounds = { hub: [] as Round[], bare: [] as Round[] }
  for (const one of ['bare', 'hub'] as const) await measure(contenders[one], viewers)
  for (let round = 1; round <= flags.rounds; round++) {
    for (const one of ['bare', 'hub'] as const) {
      const measured = await measure(contenders[one], viewers)
      rounds[one].push(measured)
      const rate = `${Math.round(measured.deliveriesPerSecond)} deliveries/s`
      const cost = `${measured.cpuMicrosPerDelivery.toFixed(3)} µs of the server each`
      tell(`round ${round}: ${viewers} viewers, ${contenders[one].name}: ${rate}, ${cost}`)
    }
  }
  return rounds
}

async function hubContender(hub: Hub): Promise<Contender> {
  const user = await hub.addUser(flags.devices)
  const cpuMs = async () => (await hub.metrics()).get('process_cpu_seconds_total')! * 1000
  return { name: 'hub', port: hub.port, user, sends: 'points', cpuMs, rates: new Map() }
}

/** As many connections as the hub has, so that both read as many sockets for as many frames. */
async function bareContender(): Promise<Contender> {
  const { port } = await bareServer.ask('listen', { windowPoints: WINDOW_POINTS })
  const deviceKeys = Array.from({ length: flags.devices }, (_, i) => `sender ${i + 1}`)
  const cpuMs = async () => (await bareServer.ask('cpu', undefined)).usedMs
  return {
    name: 'uWebSockets.js alone',
    port,
    user: { token: 'anyone', deviceKeys },
    sends: 'live',
    cpuMs,
    rates: new Map(),
  }
}

/** One round, from the first frame sent to the last one delivered. Connecting and encoding are not counted. */
async function measure(contender: Contender, viewers: number): Promise<Round> {
  const { port, user, sends, rates } = contender
  const frames = ((rates.get(viewers) ?? COLD_DELIVERIES_PER_S) * flags.seconds) / viewers
  const framesPerDevice = Math.max(1, Math.round(Math.min(frames, FRAMES_MAX) / flags.devices))
  const unseenFramesMax = Math.max(1, Math.round(flags.underway / viewers / flags.devices))
  const expected = framesPerDevice * flags.devices * viewers
  await databases.empty()
  await viewersChild.ask('connect', { port, token: user.token, viewers: viewers - 1 })
  await generator.ask('connect', { port, ...user, firstPlace: 0 })
  await generator.ask('prepare', { framesPerDevice, pointsPerFrame: 1, as: sends })
  await viewersChild.ask('arm', { expected: framesPerDevice * flags.devices * (viewers - 1) })
  const cpuBeforeMs = await contender.cpuMs()
  const sent = await generator.ask('send', {
    pointsPerFrame: 1,
    windowPoints: WINDOW_POINTS,
    unseenFramesMax,
  })
  const counted = await viewersChild.ask('counted', undefined)
  const cpuMs = (await contender.cpuMs()) - cpuBeforeMs
  await generator.ask('disconnect', undefined)
  await viewersChild.ask('disconnect', undefined)
  const received = counted.received + sent.seen
  const lastMs = Math.max(counted.lastMs, sent.lastSeenMs)
  const deliveriesPerSecond = (received / (lastMs - sent.firstSendMs)) * 1000
  rates.set(viewers, deliveriesPerSecond)
  return {
    deliveriesPerSecond,
    cpuMicrosPerDelivery: (cpuMs / received) * 1000,
    viewersCpuMs: counted.cpuMs,
    generatorCpuMs: sent.cpuMs,
    missing: expected - received,
  }
}

function summaryOf(rounds: Round[]) {
  return {
    deliveriesPerSecond: figureOf(rounds.map((round) => round.deliveriesPerSecond)),
    cpuMicrosPerDelivery: figureOf(rounds.map((round) => round.cpuMicrosPerDelivery)),
    viewersCpuMs: figureOf(rounds.map((round) => round.viewersCpuMs)),
    generatorCpuMs: figureOf(rounds.map((round) => round.generatorCpuMs)),
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

function liveFrameBytes(): number {
  const course = startCourse(1, Date.now())
  return encodeAsLive(flags.devices, 1_000, course.sessionMs, nextPoints(course, 1)).length
}
