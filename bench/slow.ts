/**
 * `npm run bench:slow`: whether viewers that stopped reading harm the others. In pairs of rounds devices send to the
 * same viewers, without and with as many more of the same user that stall; the times are those of a viewer in this
 * process. Goal: with them its p99 stays within the spread of the rounds without them.
 */
import { openChild } from './children.ts'
import { openDatabases, versionOf } from './databases.ts'
import { endWithin } from './deadline.ts'
import { HUB_ENV } from './deliveries.ts'
import { readFlags } from './flags.ts'
import { growth, type Hub, type HubUser, startHub } from './hubProcess.ts'
import { type Latencies, measureLatency, quantileMs } from './openLoop.ts'
import { figureOf, report, rounded, tell } from './report.ts'
import type { ViewersTasks } from './viewers.ts'

const flags = readFlags('Milliseconds to a viewer while half of the viewers read nothing.', {
  viewers: { value: 100, says: 'viewers that read; as many more stall' },
  rate: { value: 500, says: 'frames per second of all devices together, a point each' },
  devices: { value: 20, says: 'devices' },
  seconds: { value: 8, says: 'length of a round; a hub knows a stalled viewer after five' },
  rounds: { value: 9, says: 'pairs of rounds' },
  embedded: { value: false, says: 'use the embedded database' },
  profile: { value: '', says: 'folder for a CPU profile of the hub' },
  secondsMax: { value: 300, says: 'give up after so long' },
})
endWithin(flags.secondsMax)

interface Round extends Latencies {
  demoted: number
}

const databases = await openDatabases(flags.embedded)
const reading = openChild<ViewersTasks>('viewers')
const stalled = openChild<ViewersTasks>('viewers')
let hub: Hub | null = null
try {
  hub = await startHub({ ...databases.hubEnv, ...HUB_ENV }, flags.profile)
  await compare(hub, await hub.addUser(flags.devices))
} finally {
  await hub?.stop()
  await Promise.all([reading.end(), stalled.end()])
  await databases.close()
}
process.exit()

async function compare(running: Hub, user: HubUser): Promise<void> {
  const connection = await databases.openReference()
  const postgres = await versionOf(connection)
  await connection.close()
  await measure(running, user, 0)
  const [without, withStalled]: Round[][] = [[], []]
  for (let round = 1; round <= flags.rounds; round++) {
    // Whoever goes first has the younger hub, so they take turns.
    for (const stalls of round % 2 === 0 ? [flags.viewers, 0] : [0, flags.viewers]) {
      const measured = await measure(running, user, stalls)
      const rounds = stalls === 0 ? without! : withStalled!
      rounds.push(measured)
      const times = `p50 ${p(measured, 0.5)} ms, p99 ${p(measured, 0.99)} ms`
      tell(`round ${round}: ${stalls} stalled: ${times}; ${measured.demoted} demoted`)
    }
  }
  const [result, reference] = [summaryOf(withStalled!), summaryOf(without!)]
  const highest = Math.max(...reference.viewerP99Ms.rounds)
  report({
    scenario: flags.embedded ? 'slow-embedded' : 'slow',
    postgres,
    parameters: { ...flags, profile: flags.profile !== '' },
    results: [{ stalled: flags.viewers, ...result, isWithinSpread: result.viewerP99Ms.median <= highest }],
    reference: { stalled: 0, ...reference },
    ratio: result.viewerP99Ms.median / reference.viewerP99Ms.median,
  })
}

/** Rejects when a stalled viewer was not found out, since then nothing was tried. */
async function measure({ port, metrics }: Hub, user: HubUser, stalls: number): Promise<Round> {
  await databases.empty()
  await reading.ask('connect', { port, tokens: [user.token], viewers: flags.viewers - 1 })
  await stalled.ask('connect', { port, tokens: [user.token], viewers: stalls })
  const before = await metrics()
  await stalled.ask('stall', undefined)
  const latencies = await measureLatency({ port, user, sends: 'points', ...flags }, async () => {})
  const after = await metrics()
  await Promise.all([reading, stalled].map((viewers) => viewers.ask('disconnect', undefined)))
  const demoted =
    growth(before, after, 'alzy_viewers_demoted_total') + growth(before, after, 'alzy_viewers_too_slow_total')
  if (demoted < stalls) throw new Error(`only ${demoted} of ${stalls} stalled viewers were found out`)
  return { ...latencies, demoted }
}

function summaryOf(rounds: readonly Round[]) {
  const over = (q: number) => figureOf(rounds.map((round) => quantileMs(round.viewer, q)))
  return {
    viewerP50Ms: over(0.5),
    viewerP99Ms: over(0.99),
    viewerP999Ms: over(0.999),
    demoted: rounds.reduce((sum, { demoted }) => sum + demoted, 0),
    missing: rounds.reduce((sum, { missing }) => sum + missing, 0),
  }
}

function p(round: Round, q: number): number {
  return rounded(quantileMs(round.viewer, q))
}
