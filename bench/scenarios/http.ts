/**
 * `npm run bench:http`: requests a second for `/healthz`, a list of devices, and the export of a track in each format,
 * against uWebSockets.js alone answering the same bytes. What the hub adds is routes and shapes for the first, a token
 * and a database for the second, and reading, formatting and pacing for the exports.
 */

import { openChild } from '../children.ts'
import { openDatabases, versionOf } from '../databases.ts'
import { endWithin } from '../deadline.ts'
import { readFlags } from '../flags.ts'
import { growth, type Hub, type HubUser, startHub } from '../hubProcess.ts'
import type { CannonTasks, Fired } from '../load/cannon.ts'
import type { GeneratorTasks } from '../load/generator.ts'
import type { BareHttpTasks } from '../peers/bareHttp.ts'
import { figureOf, report, rounded, tell } from '../report/report.ts'

const flags = readFlags('HTTP requests per second.', {
  points: { value: 10_000, says: 'points of the track that is exported' },
  devices: { value: 20, says: 'devices in the list' },
  connections: { value: 10, says: 'connections; exports get half of them' },
  seconds: { value: 2, says: 'length of a round' },
  rounds: { value: 5, says: 'rounds of each' },
  embedded: { value: false, says: 'use the embedded database' },
  profile: { value: '', says: 'folder for a CPU profile of the hub' },
  secondsMax: { value: 300, says: 'give up after so long' },
})
endWithin(flags.secondsMax)

/** An address, as hub and reference are asked for it. */
interface Target {
  name: string
  /** At the hub; the reference has one path for each. */
  place: string
  accept: string
  connections: number
  answer: { path: string; contentType: string; body: string }
  hub: (Fired & { cpuMicros: number })[]
  reference: (Fired & { cpuMicros: number })[]
}

const POINTS_PER_FRAME = 100
const WINDOW_POINTS = 4_000

const databases = await openDatabases(flags.embedded)
const cannon = openChild<CannonTasks>('load/cannon')
const bareServer = openChild<BareHttpTasks>('peers/bareHttp')
const generator = openChild<GeneratorTasks>('load/generator')
let hub: Hub | null = null
try {
  hub = await startHub(databases.hubEnv, flags.profile)
  await compare(hub)
} finally {
  await hub?.stop()
  await Promise.all([cannon, bareServer, generator].map((child) => child.end()))
  await databases.close()
}
process.exit()

async function compare(server: Hub): Promise<void> {
  const connection = await databases.openReference()
  const postgres = await versionOf(connection)
  await connection.close()
  const user = await server.addUser(flags.devices)
  const deviceId = await record(server, user)
  const targets = await findTargets(server, user, deviceId)
  const bare = await bareServer.ask('listen', { answers: targets.map(({ answer }) => answer) })
  for (let round = 0; round <= flags.rounds; round++) {
    for (const target of targets) {
      const measured = await measure(target, user.token, server, bare.port)
      // The first round warms up.
      if (round === 0) continue
      target.reference.push(measured.reference)
      target.hub.push(measured.hub)
      tell(
        `round ${round}: ${target.name}: ${inWords(measured.hub)}; uWebSockets.js alone: ${inWords(measured.reference)}`,
      )
    }
  }
  const results = targets.map(resultOf)
  report({
    scenario: flags.embedded ? 'http-embedded' : 'http',
    postgres,
    parameters: { ...flags, profile: flags.profile !== '' },
    results,
    reference: targets.map(({ name, answer, reference }) => ({
      name,
      bytes: Buffer.byteLength(answer.body),
      ...summaryOf(reference),
    })),
    ratio: Math.min(...results.map(({ ratio }) => ratio)),
  })
}

/** The first device of the user records a track; resolves with its id. */
async function record({ port }: Hub, { token, deviceKeys }: HubUser): Promise<number> {
  await generator.ask('connect', { port, deviceKeys: deviceKeys.slice(0, 1), firstPlace: 0 })
  const framesPerDevice = Math.ceil(flags.points / POINTS_PER_FRAME)
  await generator.ask('prepare', { framesPerDevice, pointsPerFrame: POINTS_PER_FRAME, as: 'points' })
  await generator.ask('send', { pointsPerFrame: POINTS_PER_FRAME, windowPoints: WINDOW_POINTS })
  await generator.ask('disconnect', undefined)
  const { body } = await ask(port, '/v1/devices', 'application/json', token)
  return (JSON.parse(body) as { devices: { id: number }[] }).devices[0]!.id
}

async function findTargets({ port }: Hub, { token }: HubUser, deviceId: number): Promise<Target[]> {
  const json = 'application/json'
  const exported = `/v1/devices/${deviceId}/points`
  const half = Math.max(1, Math.floor(flags.connections / 2))
  const wanted: [name: string, place: string, accept: string, connections: number][] = [
    ['healthz', '/healthz', json, flags.connections],
    ['devices', '/v1/devices', json, flags.connections],
    // Of a list in JSON the limit has to be named.
    ['json', `${exported}?limit=${flags.points}`, json, half],
    ['geojson', exported, 'application/geo+json', half],
    ['gpx', exported, 'application/gpx+xml', half],
    ['csv', exported, 'text/csv', half],
  ]
  return Promise.all(
    wanted.map(async ([name, place, accept, connections]) => {
      const answer = { path: `/${name}`, ...(await ask(port, place, accept, token)) }
      return { name, place, accept, connections, answer, hub: [], reference: [] }
    }),
  )
}

async function ask(port: number, place: string, accept: string, token: string) {
  const response = await fetch(`http://127.0.0.1:${port}${place}`, {
    headers: { authorization: `Bearer ${token}`, accept },
  })
  if (response.status !== 200) throw new Error(`${place}: ${response.status} ${await response.text()}`)
  return { contentType: response.headers.get('content-type')!, body: await response.text() }
}

async function measure(
  { name, place, accept, connections, answer }: Target,
  token: string,
  server: Hub,
  barePort: number,
) {
  const common = { token, accept, connections, seconds: flags.seconds }
  const usedBefore = (await bareServer.ask('cpu', undefined)).usedMs
  const reference = sound(
    name,
    await cannon.ask('fire', { ...common, url: `http://127.0.0.1:${barePort}${answer.path}` }),
  )
  const usedMs = (await bareServer.ask('cpu', undefined)).usedMs - usedBefore
  const before = await server.metrics()
  const fired = sound(
    name,
    await cannon.ask('fire', { ...common, url: `http://127.0.0.1:${server.port}${place}` }),
  )
  const hubMs = growth(before, await server.metrics(), 'process_cpu_seconds_total') * 1000
  return {
    reference: { ...reference, cpuMicros: (usedMs / reference.answered) * 1000 },
    hub: { ...fired, cpuMicros: (hubMs / fired.answered) * 1000 },
  }
}

function sound(name: string, fired: Fired): Fired {
  if (fired.failed > 0 || fired.answered === 0)
    throw new Error(`${name}: ${fired.failed} failed, ${fired.answered} answered`)
  return fired
}

function resultOf({ name, connections, hub: rounds, reference }: Target) {
  const summary = summaryOf(rounds)
  return {
    name,
    connections,
    ...summary,
    ratio: rounded(summary.requestsPerSecond.median / summaryOf(reference).requestsPerSecond.median),
  }
}

function summaryOf(rounds: readonly (Fired & { cpuMicros: number })[]) {
  return {
    requestsPerSecond: figureOf(rounds.map((round) => round.requestsPerSecond)),
    p50Ms: figureOf(rounds.map((round) => round.p50Ms)),
    p99Ms: figureOf(rounds.map((round) => round.p99Ms)),
    megabytesPerSecond: figureOf(rounds.map((round) => round.megabytesPerSecond)),
    /** Processor time of the server for a request. */
    cpuMicros: figureOf(rounds.map((round) => round.cpuMicros)),
  }
}

function inWords({ requestsPerSecond, p99Ms }: Fired): string {
  return `${rounded(requestsPerSecond)}/s, p99 ${rounded(p99Ms)} ms`
}
