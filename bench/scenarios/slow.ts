/**
 * `npm run bench:slow`: whether viewers that stopped reading harm the others. In rounds, devices send to the same viewers
 * with as many more of the same user that stall, with as many more that read, and with nobody else; the times are those
 * of a viewer in this process. Goal: beside those that stall its p99 stays within the spread of the rounds in which they
 * read, of as many viewers; how much any more viewers cost it is shown by the rounds without them.
 */
import { openChild } from '../children.ts'
import { openDatabases, versionOf } from '../databases.ts'
import { endWithin } from '../deadline.ts'
import { readFlags } from '../flags.ts'
import { growth, type Hub, type HubUser, startHub } from '../hubProcess.ts'
import { HUB_ENV } from '../load/deliveries.ts'
import { type Latencies, measureLatency, quantileMs } from '../load/openLoop.ts'
import type { ViewersTasks } from '../load/viewers.ts'
import { mainThreadWaitMs } from '../processes.ts'
import { figureOf, report, rounded, tell } from '../report/report.ts'

const flags = readFlags('Milliseconds to a viewer while half of the viewers read nothing.', {
  viewers: { value: 100, says: 'viewers that read; as many more stall, or read, or are not there' },
  rate: { value: 500, says: 'frames per second of all devices together, a point each' },
  devices: { value: 20, says: 'devices' },
  seconds: { value: 8, says: 'length of a round; a hub knows a stalled viewer after five' },
  rounds: { value: 9, says: 'rounds of each' },
  embedded: { value: false, says: 'use the embedded database' },
  profile: { value: '', says: 'folder for a CPU profile of the hub' },
  secondsMax: { value: 500, says: 'give up after so long' },
})
endWithin(flags.secondsMax)

/** What the other half of the viewers does. */
const OTHERS = ['stall', 'read', 'are not there'] as const
type Others = (typeof OTHERS)[number]

interface Round extends Pick<Latencies, 'viewer' | 'missing'> {
  demoted: number
  cpuMicrosPerFrame: number
  /** In a second, how long the hub was ready to run and had no processor; null where nobody counts. */
  hubWaitsMs: number | null
}

const databases = await openDatabases(flags.embedded)
const reading = openChild<ViewersTasks>('load/viewers')
const others = openChild<ViewersTasks>('load/viewers')
let hub: Hub | null = null
try {
  hub = await startHub({ ...databases.hubEnv, ...HUB_ENV }, flags.profile)
  await compare(hub, await hub.addUser(flags.devices))
} finally {
  await hub?.stop()
  await Promise.all([reading.end(), others.end()])
  await databases.close()
}
process.exit()

async function compare(running: Hub, user: HubUser): Promise<void> {
  const connection = await databases.openReference()
  const postgres = await versionOf(connection)
  await connection.close()
  await measure(running, user, 'are not there')
  const rounds: Record<Others, Round[]> = { stall: [], read: [], 'are not there': [] }
  for (let round = 0; round < flags.rounds; round++) {
    for (let turn = 0; turn < OTHERS.length; turn++) {
      // Whoever goes first has the younger hub, so they take turns.
      const kind = OTHERS[(round + turn) % OTHERS.length]!
      const measured = await measure(running, user, kind)
      rounds[kind].push(measured)
      const times = `p50 ${p(measured, 0.5)} ms, p99 ${p(measured, 0.99)} ms`
      tell(`round ${round + 1}: ${flags.viewers} others ${kind}: ${times}; ${measured.demoted} demoted`)
    }
  }
  const [stalled, control, alone] = OTHERS.map((kind) => ({ others: kind, ...summaryOf(rounds[kind]) }))
  const highest = Math.max(...control!.viewerP99Ms.rounds)
  const slowerPairs = stalled!.viewerP99Ms.rounds.filter(
    (ms, i) => ms > control!.viewerP99Ms.rounds[i]!,
  ).length
  report({
    scenario: flags.embedded ? 'slow-embedded' : 'slow',
    postgres,
    parameters: { ...flags, profile: flags.profile !== '' },
    results: [{ ...stalled, slowerPairs, isWithinSpread: stalled!.viewerP99Ms.median <= highest }],
    reference: [control, alone],
    ratio: stalled!.viewerP99Ms.median / control!.viewerP99Ms.median,
  })
}

/** Rejects when a stalled viewer was not found out, since then nothing was tried, or one that reads was. */
async function measure({ pid, port, metrics }: Hub, user: HubUser, kind: Others): Promise<Round> {
  await databases.empty()
  await reading.ask('connect', { port, tokens: [user.token], viewers: flags.viewers - 1 })
  const more = kind === 'are not there' ? 0 : flags.viewers
  await others.ask('connect', { port, tokens: [user.token], viewers: more })
  if (kind === 'stall') await others.ask('stall', undefined)
  const { viewer, missing, before, after, tookMs } = await measureLatency(
    { port, user, sends: 'points', ...flags },
    async () => ({ figures: await metrics(), waitedMs: mainThreadWaitMs(pid) }),
  )
  // The last of them may have been found out since.
  const found = await metrics()
  await Promise.all([reading, others].map((viewers) => viewers.ask('disconnect', undefined)))
  const grown = (until: Map<string, number>, name: string) => growth(before.figures, until, name)
  const demoted = grown(found, 'alzy_viewers_demoted_total') + grown(found, 'alzy_viewers_too_slow_total')
  const isAsMeant = kind === 'stall' ? demoted >= flags.viewers : demoted === 0
  if (!isAsMeant) throw new Error(`${demoted} viewers were found out where ${flags.viewers} others ${kind}`)
  const frames = Math.floor(flags.rate * flags.seconds)
  const waitedMs = before.waitedMs === null ? null : after.waitedMs! - before.waitedMs
  return {
    viewer,
    missing,
    demoted,
    cpuMicrosPerFrame: (grown(after.figures, 'process_cpu_seconds_total') * 1e6) / frames,
    hubWaitsMs: waitedMs && (waitedMs * 1_000) / tookMs,
  }
}

function summaryOf(rounds: readonly Round[]) {
  const over = (q: number) => figureOf(rounds.map((round) => quantileMs(round.viewer, q)))
  return {
    viewerP50Ms: over(0.5),
    viewerP99Ms: over(0.99),
    viewerP999Ms: over(0.999),
    cpuMicrosPerFrame: figureOf(rounds.map((round) => round.cpuMicrosPerFrame)),
    ...(rounds.every(({ hubWaitsMs }) => hubWaitsMs !== null) && {
      hubWaitsMs: figureOf(rounds.map((round) => round.hubWaitsMs!)),
    }),
    demoted: rounds.reduce((sum, { demoted }) => sum + demoted, 0),
    missing: rounds.reduce((sum, { missing }) => sum + missing, 0),
  }
}

function p(round: Round, q: number): number {
  return rounded(quantileMs(round.viewer, q))
}
