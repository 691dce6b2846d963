/**
 * `npm run bench:latency`: how long a point takes from its device to a viewer and to its ACK, at a moderate rate,
 * against uWebSockets.js alone. Devices and viewer live in this one process, so one clock measures. Frames are due
 * at fixed moments and times count from those, so a server that stalls cannot hide it by being sent less.
 */
import type { BareServerTasks } from './bareServer.ts'
import { openChild } from './children.ts'
import { openDatabases, versionOf } from './databases.ts'
import { endWithin } from './deadline.ts'
import { readFlags } from './flags.ts'
import { type Hub, type HubUser, startHub } from './hubProcess.ts'
import { type Latencies, measureLatency } from './openLoop.ts'
import { figureOf, quantileOf, report, rounded, tell } from './report.ts'

const flags = readFlags('Milliseconds from a device to a viewer and to its ACK.', {
  rate: { value: 200, says: 'frames per second of all devices together, a point each' },
  devices: { value: 20, says: 'devices' },
  seconds: { value: 5, says: 'length of a round' },
  rounds: { value: 3, says: 'rounds of each' },
  embedded: { value: false, says: 'use the embedded database' },
  profile: { value: '', says: 'folder for a CPU profile of the hub' },
  secondsMax: { value: 180, says: 'give up after so long' },
})
endWithin(flags.secondsMax)

interface Contender {
  name: string
  port: number
  user: HubUser
  sends: 'points' | 'live'
  rounds: Latencies[]
}

const WARM_UP_SECONDS = 1
const WINDOW_POINTS = 4_000

const databases = await openDatabases(flags.embedded)
const bareServer = openChild<BareServerTasks>('bareServer')
let hub: Hub | null = null
try {
  hub = await startHub(databases.hubEnv, flags.profile)
  await compare(hub)
} finally {
  await hub?.stop()
  await bareServer.end()
  await databases.close()
}
process.exit()

async function compare({ port, addUser }: Hub): Promise<void> {
  const connection = await databases.openReference()
  const postgres = await versionOf(connection)
  await connection.close()
  const bare = await bareServer.ask('listen', { windowPoints: WINDOW_POINTS })
  const deviceKeys = Array.from({ length: flags.devices }, (_, i) => `sender ${i + 1}`)
  const user = await addUser(flags.devices)
  const contenders: [Contender, Contender] = [
    {
      name: 'uWebSockets.js alone',
      ...bare,
      user: { token: 'anyone', deviceKeys },
      sends: 'live',
      rounds: [],
    },
    { name: 'hub', port, user, sends: 'points', rounds: [] },
  ]
  for (const one of contenders) await measureLatency({ ...flags, ...one, seconds: WARM_UP_SECONDS })
  for (let round = 1; round <= flags.rounds; round++) {
    for (const one of contenders) {
      const measured = await measureLatency({ ...flags, ...one })
      one.rounds.push(measured)
      tell(
        `round ${round}: ${one.name}: to the viewer ${inWords(measured.viewerMs)}, ACK ${inWords(measured.ackMs)}`,
      )
    }
  }
  const [reference, result] = contenders.map(summaryOf) as [Summary, Summary]
  report({
    scenario: flags.embedded ? 'latency-embedded' : 'latency',
    postgres,
    parameters: { ...flags, profile: flags.profile !== '' },
    results: [result],
    reference,
    ratio: result.viewerP99Ms.median / reference.viewerP99Ms.median,
  })
}

type Summary = ReturnType<typeof summaryOf>

function summaryOf({ rounds }: Contender) {
  const over = (of: (round: Latencies) => number[], q: number) =>
    figureOf(rounds.map((round) => quantileOf(of(round), q)))
  return {
    viewerP50Ms: over(({ viewerMs }) => viewerMs, 0.5),
    viewerP99Ms: over(({ viewerMs }) => viewerMs, 0.99),
    ackP50Ms: over(({ ackMs }) => ackMs, 0.5),
    ackP99Ms: over(({ ackMs }) => ackMs, 0.99),
    /** How late the frames left here; part of all the others. */
    sendLateP99Ms: over(({ sendLateMs }) => sendLateMs, 0.99),
    missing: rounds.reduce((sum, { missing }) => sum + missing, 0),
  }
}

function inWords(latenciesMs: number[]): string {
  return `p50 ${rounded(quantileOf(latenciesMs, 0.5))} ms, p99 ${rounded(quantileOf(latenciesMs, 0.99))} ms`
}
