/**
 * `npm run bench:growth`: what a point costs the hub as things grow: as many points a second from more and more devices,
 * on top of more and more stored points, and old points by the hundred after an outage. The frames of the growing crowd
 * come one by one, since many at once from a few sockets would spare the kernel what many sockets cost it. Beside it, in
 * the same run: uWebSockets.js that receives, decodes and acknowledges the same frames and does nothing else. Goal: from
 * 100 to 10 000 devices the processor time for a point grows by at most a fifth.
 */

import { openChild } from '../children.ts'
import { openDatabases, versionOf } from '../databases.ts'
import { endWithin } from '../deadline.ts'
import { readFlags } from '../flags.ts'
import { type Hub, startHub } from '../hubProcess.ts'
import { STEADY_WINDOW_POINTS } from '../load/deliveries.ts'
import type { GeneratorTasks } from '../load/generator.ts'
import type { BareServerTasks } from '../peers/bareServer.ts'
import { figureOf, report, rounded, tell } from '../report/report.ts'

const flags = readFlags('Cost of a point with more devices, more stored points, and after an outage.', {
  devices: { value: [100, 1_000, 10_000], says: 'devices; from the fewest to the most' },
  stored: {
    value: [1_000_000, 10_000_000],
    says: 'points that are stored already; from the fewest to the most',
  },
  points: { value: 100_000, says: 'points of a round; at least a frame from each device' },
  framesPerSecond: { value: 4_000, says: 'frames per second of all devices of a crowd together' },
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
  /** Null: as fast as the window allows. */
  framesPerSecond: number | null
}

interface Round {
  cpuMicrosPerPoint: number
  /** Of the database; null beside a receiver that stores nothing. */
  databaseCpuMicrosPerPoint: number | null
  /** One of them is a good part of the processor time of a short round. */
  majorCollections: number | null
  pointsPerSecond: number
}

/** Whom a case is sent to. */
interface Receiver {
  name: string
  port: number
  cpuMs: () => Promise<number>
  stores: boolean
  /** How often it has collected all of its garbage; null where nobody counts. */
  majorCollections: () => Promise<number | null>
  /** Rejects when it has not done what it should with so many points. */
  confirm: (points: number) => Promise<void>
}

/** How long the devices were away. */
const OUTAGE_MS = 6 * 3_600_000
/** Rounds that are not reported: until then code is being compiled and devices are being read. */
const COLD_ROUNDS = 3

const databases = await openDatabases(false)
const generator = openChild<GeneratorTasks>('load/generator')
const bareServer = openChild<BareServerTasks>('peers/bareServer')
let hub: Hub | null = null
try {
  hub = await startHub({ ...databases.hubEnv, ...room(Math.max(...flags.devices)) }, flags.profile)
  await compare(hub)
} finally {
  await hub?.stop()
  await Promise.all([generator.end(), bareServer.end()])
  await databases.close()
}
process.exit()

function room(devices: number): Record<string, string> {
  const count = devices + Math.min(...flags.devices)
  return {
    ALZY_DEVICES_MAX: String(count),
    ALZY_IDLE_DEVICES_MAX: String(count),
    ALZY_BACKLOG_POINTS_MAX: String(count * STEADY_WINDOW_POINTS * 2),
    ALZY_WINDOW_POINTS_MAX: String(STEADY_WINDOW_POINTS),
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
      framesPerSecond: flags.framesPerSecond,
    }),
  )
  const outage: Case = {
    axis: 'after an outage',
    size: fewest,
    deviceKeys: away,
    pointsPerFrame: replayFrame,
    ageMs: OUTAGE_MS,
    framesPerSecond: null,
  }
  const whole = await hubReceiver(running)
  const bare = await bareReceiver()
  const pairs = crowds.flatMap((one): [Receiver, Case][] => [
    [bare, one],
    [whole, one],
  ])
  const measured = await alternate([...pairs, [whole, outage]], databases.empty)
  const rowsOf = (receiver: Receiver) =>
    measured.filter((one) => one.receiver === receiver).map(({ row }) => row)
  const results = rowsOf(whole)
  for (const size of flags.stored) {
    tell(`storing ${size} points`)
    await databases.fill(size)
    const one: Case = { ...crowds[0]!, axis: 'stored points', size, framesPerSecond: null }
    for (const { row } of await alternate([[whole, one]], async () => {})) results.push(row)
  }
  const ofDevices = results.filter(({ axis }) => axis === 'devices')
  report({
    scenario: 'growth',
    postgres,
    parameters: { ...flags, profile: flags.profile !== '' },
    results,
    reference: rowsOf(bare),
    ratio: ofDevices.at(-1)!.cpuMicrosPerPoint.median / ofDevices[0]!.cpuMicrosPerPoint.median,
  })
}

async function hubReceiver({ port, metrics, cpuMs, collections }: Hub): Promise<Receiver> {
  const storedNow = async () => (await metrics()).get('alzy_points_stored_total')!
  let stored = await storedNow()
  return {
    name: 'hub',
    port,
    cpuMs,
    stores: true,
    majorCollections: async () => (await collections()).major,
    confirm: async (points) => {
      const before = stored
      stored = await storedNow()
      if (stored - before !== points) throw new Error(`the hub stored ${stored - before} of ${points} points`)
    },
  }
}

async function bareReceiver(): Promise<Receiver> {
  const { port } = await bareServer.ask('listen', { windowPoints: STEADY_WINDOW_POINTS, decodes: true })
  return {
    name: 'uWebSockets.js alone',
    port,
    cpuMs: async () => (await bareServer.ask('cpu', undefined)).usedMs,
    stores: false,
    majorCollections: async () => null,
    confirm: async () => {},
  }
}

async function alternate(pairs: readonly [Receiver, Case][], prepare: () => Promise<void>) {
  const rounds: Round[][] = pairs.map(() => [])
  for (let round = 1 - COLD_ROUNDS; round <= flags.rounds; round++) {
    for (const [i, [receiver, one]] of pairs.entries()) {
      await prepare()
      const measured = await measure(receiver, one)
      if (round < 1) continue
      rounds[i]!.push(measured)
      const { cpuMicrosPerPoint, pointsPerSecond } = measured
      tell(
        `round ${round}: ${one.axis} ${one.size}: ${receiver.name}: ${rounded(cpuMicrosPerPoint)} µs a point, ` +
          `${rounded(pointsPerSecond)} points/s`,
      )
    }
  }
  return pairs.map(([receiver, { axis, size, pointsPerFrame }], i) => {
    const measured = rounds[i]!
    const row = {
      axis,
      size,
      pointsPerFrame,
      cpuMicrosPerPoint: figureOf(measured.map((round) => round.cpuMicrosPerPoint)),
      ...(receiver.stores && {
        databaseCpuMicrosPerPoint: figureOf(measured.map((round) => round.databaseCpuMicrosPerPoint!)),
      }),
      pointsPerSecond: figureOf(measured.map((round) => round.pointsPerSecond)),
      ...(measured.every(({ majorCollections }) => majorCollections !== null) && {
        majorCollections: figureOf(measured.map((round) => round.majorCollections!)),
      }),
    }
    return { receiver, row }
  })
}

/** From the first frame to the last ACK. Connecting and encoding are not counted. */
async function measure(receiver: Receiver, one: Case): Promise<Round> {
  const { port, cpuMs, stores, majorCollections, confirm } = receiver
  const { deviceKeys, pointsPerFrame, ageMs, framesPerSecond } = one
  const framesPerDevice = Math.max(1, Math.round(flags.points / deviceKeys.length / pointsPerFrame))
  const points = framesPerDevice * deviceKeys.length * pointsPerFrame
  await generator.ask('connect', { port, deviceKeys, firstPlace: 0, ageMs })
  await generator.ask('prepare', { framesPerDevice, pointsPerFrame, as: 'points' })
  const collectedBefore = await majorCollections()
  const databaseBeforeMs = databases.cpuMs()
  const beforeMs = await cpuMs()
  const sent = await generator.ask('send', {
    pointsPerFrame,
    windowPoints: STEADY_WINDOW_POINTS,
    ...(framesPerSecond !== null && { framesPerSecond }),
  })
  const usedMs = (await cpuMs()) - beforeMs
  const databaseMs = databases.cpuMs() - databaseBeforeMs
  const collected = await majorCollections()
  await generator.ask('disconnect', undefined)
  await confirm(points)
  return {
    cpuMicrosPerPoint: (usedMs * 1_000) / points,
    databaseCpuMicrosPerPoint: stores ? (databaseMs * 1_000) / points : null,
    pointsPerSecond: (points * 1_000) / (sent.lastAckMs - sent.firstSendMs),
    majorCollections: collected === null ? null : collected - collectedBefore!,
  }
}
