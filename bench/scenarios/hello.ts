/**
 * `npm run bench:hello`: a reconnect storm. Every device loses its line at the same moment and comes back, so many
 * connecting at a time: HELLOs per second, how long each waits from its connect to its WELCOME (how long it waited for its
 * turn to connect is not in it), and what it costs hub and database, against uWebSockets.js alone, which lets everybody in.
 * All devices are in one process, and that is busy all the time, so the ratio is that of the processor time that a HELLO
 * costs the server. `cold` is the first time after a start of the hub, which has to read every device;
 * `warm` the times after that.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { openChild } from '../children.ts'
import { openDatabases, versionOf } from '../databases.ts'
import { endWithin } from '../deadline.ts'
import { readFlags } from '../flags.ts'
import { growth, type Hub, startHub } from '../hubProcess.ts'
import type { ReconnectTasks, Storm } from '../load/reconnect.ts'
import type { BareServerTasks } from '../peers/bareServer.ts'
import { figureOf, quantileOf, report, rounded, tell } from '../report/report.ts'

const flags = readFlags('HELLOs per second when every device comes back at once.', {
  devices: { value: 10_000, says: 'devices; each takes a descriptor in the hub and one here' },
  atOnce: { value: 500, says: 'devices that are connecting at a time' },
  rounds: { value: 5, says: 'warm rounds, and rounds of the reference' },
  embedded: { value: false, says: 'use the embedded database' },
  profile: { value: '', says: 'folder for a CPU profile of the hub' },
  secondsMax: { value: 300, says: 'give up after so long' },
})
endWithin(flags.secondsMax)

interface Round extends Storm {
  /** Statements of the hub besides those of the writer, and its processor time; null for the reference. */
  reads: number | null
  cpuMicrosPerHello: number
}

const GONE_CHECK_MS = 20
const WINDOW_POINTS = 4_000
const BATCH_POINTS_MAX = 200

const databases = await openDatabases(flags.embedded)
const bareServer = openChild<BareServerTasks>('peers/bareServer')
const devices = openChild<ReconnectTasks>('load/reconnect')
let hub: Hub | null = null
try {
  hub = await startHub({ ...databases.hubEnv, ...room(flags.devices) }, flags.profile)
  await compare(hub)
} finally {
  await hub?.stop()
  await Promise.all([bareServer.end(), devices.end()])
  await databases.close()
}
process.exit()

/** A place for every device, with as much backlog as the hub wants for so many. */
function room(count: number): Record<string, string> {
  return {
    ALZY_DEVICES_MAX: String(count),
    ALZY_IDLE_DEVICES_MAX: String(count),
    ALZY_BACKLOG_POINTS_MAX: String(Math.max(1_500_000, count * BATCH_POINTS_MAX)),
  }
}

async function compare(running: Hub): Promise<void> {
  const connection = await databases.openReference()
  const postgres = await versionOf(connection)
  await connection.close()
  const { port: barePort } = await bareServer.ask('listen', { windowPoints: WINDOW_POINTS })
  tell(`adding ${flags.devices} devices`)
  const { deviceKeys } = await running.addUser(flags.devices)
  const cold = await roundOfHub(running, deviceKeys)
  tell(`cold: ${inWords(cold)}`)
  const warm: Round[] = []
  const bare: Round[] = []
  for (let round = 1; round <= flags.rounds; round++) {
    bare.push(await roundOfBareServer(barePort, deviceKeys))
    tell(`round ${round}: uWebSockets.js alone: ${inWords(bare.at(-1)!)}`)
    warm.push(await roundOfHub(running, deviceKeys))
    tell(`round ${round}: hub: ${inWords(warm.at(-1)!)}`)
  }
  const [reference, result] = [summaryOf(bare), summaryOf(warm)]
  report({
    scenario: flags.embedded ? 'hello-embedded' : 'hello',
    postgres,
    parameters: { ...flags, profile: flags.profile !== '' },
    results: [
      { storm: 'warm', ...result },
      { storm: 'cold', ...summaryOf([cold]) },
    ],
    reference,
    ratio: result.cpuMicrosPerHello.median / reference.cpuMicrosPerHello.median,
  })
}

async function roundOfHub({ port, metrics }: Hub, deviceKeys: string[]): Promise<Round> {
  const before = await metrics()
  const storm = await devices.ask('storm', { port, deviceKeys, atOnce: flags.atOnce })
  const after = await metrics()
  await devices.ask('drop', undefined)
  while ((await metrics()).get('alzy_devices') !== 0) await sleep(GONE_CHECK_MS)
  // What is asked afterwards, within a second, is a part of the price.
  await sleep(1_500)
  const settled = await metrics()
  const cpuS = growth(before, after, 'process_cpu_seconds_total')
  return {
    ...storm,
    reads: growth(before, settled, 'alzy_reads_total'),
    cpuMicrosPerHello: (cpuS * 1e6) / deviceKeys.length,
  }
}

async function roundOfBareServer(port: number, deviceKeys: string[]): Promise<Round> {
  const before = await bareServer.ask('cpu', undefined)
  const storm = await devices.ask('storm', { port, deviceKeys, atOnce: flags.atOnce })
  const after = await bareServer.ask('cpu', undefined)
  await devices.ask('drop', undefined)
  return {
    ...storm,
    reads: null,
    cpuMicrosPerHello: ((after.usedMs - before.usedMs) * 1_000) / deviceKeys.length,
  }
}

function summaryOf(rounds: readonly Round[]) {
  const over = (of: (round: Round) => number) => figureOf(rounds.map(of))
  const reads = rounds.map((round) => round.reads).filter((count) => count !== null)
  return {
    hellosPerSecond: over(rateOf),
    welcomeP50Ms: over(({ welcomeMs }) => quantileOf(welcomeMs, 0.5)),
    welcomeP99Ms: over(({ welcomeMs }) => quantileOf(welcomeMs, 0.99)),
    cpuMicrosPerHello: over(({ cpuMicrosPerHello }) => cpuMicrosPerHello),
    /** Of the process that all devices are in. */
    devicesCpuMs: over(({ cpuMs }) => cpuMs),
    ...(reads.length > 0 && { readsPerHello: figureOf(reads.map((count) => count / flags.devices)) }),
  }
}

function rateOf({ tookMs, welcomeMs }: Round): number {
  return (welcomeMs.length / tookMs) * 1_000
}

function inWords(round: Round): string {
  const { welcomeMs, reads } = round
  const asked = reads === null ? '' : `, ${reads} statements`
  return `${rounded(rateOf(round))} HELLO/s, WELCOME p99 ${rounded(quantileOf(welcomeMs, 0.99))} ms${asked}`
}
