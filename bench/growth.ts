/**
 * `npm run bench:growth`: what a point costs the hub as things grow: the same points from more and more devices, on top
 * of more and more stored points, and old points by the hundred after an outage. Goal: from 100 to 10 000 devices the
 * processor time for a point grows by at most a fifth.
 */
import { openChild } from './children.ts'
import { openDatabases, versionOf } from './databases.ts'
import { endWithin } from './deadline.ts'
import { readFlags } from './flags.ts'
import type { GeneratorTasks } from './generator.ts'
import { growth, type Hub, startHub } from './hubProcess.ts'
import { figureOf, report, rounded, tell } from './report.ts'

const flags = readFlags('Cost of a point with more devices, more stored points, and after an outage.', {
  devices: { value: [100, 1_000, 10_000], says: 'devices; from the fewest to the most' },
  stored: {
    value: [1_000_000, 10_000_000],
    says: 'points that are stored already; from the fewest to the most',
  },
  points: { value: 100_000, says: 'points of a round; at least a frame from each device' },
  pointsPerFrame: { value: 10, says: 'points in a frame' },
  replayFrame: { value: 200, says: 'points in a frame after an outage' },
  rounds: { value: 5, says: 'rounds of each' },
  profile: { value: '', says: 'folder for a CPU profile of the hub' },
  secondsMax: { value: 600, says: 'give up after so long' },
})
endWithin(flags.secondsMax)

interface Case {
  axis: 'devices' | 'stored points' | 'after an outage'
  size: number
  deviceKeys: string[]
  pointsPerFrame: number
  ageMs: number
}

interface Round {
  cpuMicrosPerPoint: number
  pointsPerSecond: number
}

/** How long the devices were away. */
const OUTAGE_MS = 6 * 3_600_000
const WINDOW_POINTS = 400
/** Rounds that are not reported: until then code is being compiled and devices are being read. */
const COLD_ROUNDS = 3

const databases = await openDatabases(false)
const generator = openChild<GeneratorTasks>('generator')
let hub: Hub | null = null
try {
  hub = await startHub({ ...databases.hubEnv, ...room(Math.max(...flags.devices)) }, flags.profile)
  await compare(hub)
} finally {
  await hub?.stop()
  await generator.end()
  await databases.close()
}
process.exit()

function room(devices: number): Record<string, string> {
  const count = devices + Math.min(...flags.devices)
  return {
    ALZY_DEVICES_MAX: String(count),
    ALZY_IDLE_DEVICES_MAX: String(count),
    ALZY_BACKLOG_POINTS_MAX: String(count * WINDOW_POINTS * 2),
    ALZY_WINDOW_POINTS_MAX: String(WINDOW_POINTS),
    ALZY_DEVICE_FRAMES_PER_S: '100000',
    ALZY_DEVICE_POINTS_PER_S: '1000000',
  }
}

async function compare(running: Hub): Promise<void> {
  const connection = await databases.openReference()
  const postgres = await versionOf(connection)
  await connection.close()
  tell(`adding ${Math.max(...flags.devices)} devices`)
  const { deviceKeys } = await running.addUser(Math.max(...flags.devices))
  const fewest = Math.min(...flags.devices)
  const { deviceKeys: away } = await running.addUser(fewest)
  const { pointsPerFrame, replayFrame } = flags
  const crowds = flags.devices.map(
    (size): Case => ({
      axis: 'devices',
      size,
      deviceKeys: deviceKeys.slice(0, size),
      pointsPerFrame,
      ageMs: 0,
    }),
  )
  const outage: Case = {
    axis: 'after an outage',
    size: fewest,
    deviceKeys: away,
    pointsPerFrame: replayFrame,
    ageMs: OUTAGE_MS,
  }
  const results = await alternate(running, [...crowds, outage], databases.empty)
  for (const size of flags.stored) {
    tell(`storing ${size} points`)
    await databases.fill(size)
    const one: Case = { ...crowds[0]!, axis: 'stored points', size }
    results.push(...(await alternate(running, [one], async () => {})))
  }
  const ofDevices = results.filter(({ axis }) => axis === 'devices')
  report({
    scenario: 'growth',
    postgres,
    parameters: { ...flags, profile: flags.profile !== '' },
    results,
    reference: ofDevices[0],
    ratio: ofDevices.at(-1)!.cpuMicrosPerPoint.median / ofDevices[0]!.cpuMicrosPerPoint.median,
  })
}

async function alternate(running: Hub, cases: readonly Case[], prepare: () => Promise<void>) {
  const rounds = new Map<Case, Round[]>(cases.map((one) => [one, []]))
  for (let round = 1 - COLD_ROUNDS; round <= flags.rounds; round++) {
    for (const one of cases) {
      await prepare()
      const measured = await measure(running, one)
      if (round < 1) continue
      rounds.get(one)!.push(measured)
      const { cpuMicrosPerPoint, pointsPerSecond } = measured
      tell(
        `round ${round}: ${one.axis} ${one.size}: ${rounded(cpuMicrosPerPoint)} µs of the hub a point, ${rounded(pointsPerSecond)} points/s`,
      )
    }
  }
  return cases.map((one) => {
    const measured = rounds.get(one)!
    return {
      axis: one.axis,
      size: one.size,
      pointsPerFrame: one.pointsPerFrame,
      cpuMicrosPerPoint: figureOf(measured.map((round) => round.cpuMicrosPerPoint)),
      pointsPerSecond: figureOf(measured.map((round) => round.pointsPerSecond)),
    }
  })
}

/** From the first frame to the last ACK. Connecting and encoding are not counted. */
async function measure({ port, metrics }: Hub, one: Case): Promise<Round> {
  const { deviceKeys, pointsPerFrame, ageMs } = one
  const framesPerDevice = Math.max(1, Math.round(flags.points / deviceKeys.length / pointsPerFrame))
  const points = framesPerDevice * deviceKeys.length * pointsPerFrame
  await generator.ask('connect', { port, deviceKeys, firstPlace: 0, ageMs })
  await generator.ask('prepare', { framesPerDevice, pointsPerFrame, as: 'points' })
  const before = await metrics()
  const sent = await generator.ask('send', { pointsPerFrame, windowPoints: WINDOW_POINTS })
  const after = await metrics()
  await generator.ask('disconnect', undefined)
  const stored = growth(before, after, 'alzy_points_stored_total')
  if (stored !== points) throw new Error(`the hub stored ${stored} of ${points} points`)
  return {
    cpuMicrosPerPoint: (growth(before, after, 'process_cpu_seconds_total') * 1e6) / points,
    pointsPerSecond: (points * 1_000) / (sent.lastAckMs - sent.firstSendMs),
  }
}
