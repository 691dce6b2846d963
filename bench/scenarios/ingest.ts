/**
 * `npm run bench:ingest`: how many points a second devices get acknowledged, against the same INSERT in a bare
 * loop, and against what people would use instead. Goal: 0.9 of the loop with one writer lane. The generator proves
 * itself in the same run: uWebSockets.js that receives, decodes and acknowledges the same frames has to get twice as
 * many points from it as the fastest hub.
 */

import { openChild } from '../children.ts'
import { openDatabases, versionOf } from '../databases.ts'
import { endWithin } from '../deadline.ts'
import { readFlags } from '../flags.ts'
import { growth, type Hub, startHub } from '../hubProcess.ts'
import { openDeviceLoad } from '../load/deviceLoad.ts'
import { frameBytes } from '../load/points.ts'
import type { BareServerTasks } from '../peers/bareServer.ts'
import { openIngestPeers } from '../peers/ingestPeers.ts'
import { createInsertLoop, type Inserted } from '../peers/insertLoop.ts'
import { figureOf, generatorCheck, medianOf, report, rounded, tell } from '../report/report.ts'

const flags = readFlags('Points per second from devices to the database.', {
  devices: { value: 50, says: 'devices' },
  pointsPerFrame: { value: [10, 100], says: 'points in a frame; several are measured in turn' },
  lanes: { value: [1, 2], says: 'writer lanes; several are measured in turn; embedded always 1' },
  seconds: { value: 2, says: 'how long the bare loop is to take for a round; the hub gets as many points' },
  rounds: { value: 9, says: 'rounds of each' },
  // With the default of a hub the devices would send a whole round at once, and nothing would be steady.
  window: { value: 400, says: 'points that a device may have in flight' },
  generators: { value: 1, says: 'processes that make the load' },
  embedded: { value: false, says: 'use the embedded database' },
  profile: { value: '', says: 'folder for CPU profiles of the hubs' },
  trackerConnections: { value: 10, says: 'connections of the tracker that stores positions one by one' },
  secondsMax: { value: 400, says: 'give up after so long' },
})
endWithin(flags.secondsMax)

interface Case {
  writerLanes: number
  pointsPerFrame: number
  hub: Hub
  deviceKeys: string[]
  rounds: Round[]
}

interface Round {
  pointsPerSecond: number
  hubCpuMicrosPerPoint: number
  hubCpuMs: number
  databaseCpuMicrosPerPoint: number
  generatorCpuMs: number
}

/** The hub's own largest is 2 000; a loop on its own may do better with more. */
const BATCH_ROWS = [500, 1_000, 2_000, 4_000, 8_000, 16_000]
/** Rows of a trial, some statements of the largest batch, and trials of each size. */
const BATCH_TRIAL_ROWS = 48_000
const BATCH_TRIALS = 3
/** Rounds that are not reported: until then the code is being compiled. */
const COLD_ROUNDS = 3
const TRIAL_POINTS = flags.embedded ? 5_000 : 20_000
const lanes = flags.embedded ? [1] : flags.lanes

const databases = await openDatabases(flags.embedded)
const hubs: Hub[] = []
const load = openDeviceLoad({ ...flags, windowPoints: flags.window })
const bareServer = openChild<BareServerTasks>('peers/bareServer')
try {
  await compare()
} finally {
  await Promise.all([...hubs.map((hub) => hub.stop()), load.close(), bareServer.end()])
  await databases.close()
}
process.exit()

async function compare(): Promise<void> {
  const connection = await databases.openReference()
  const postgres = await versionOf(connection)
  const loop = await createInsertLoop(connection.run, flags.devices)
  const { batchRows, tried } = await findBatchRows(loop.insert)
  const points = pointsOfRound(tried[batchRows]!)
  tell(`${postgres}, ${databases.kind}; ${flags.devices} devices, ${points} points a round`)
  const cases = await openCases()
  const check = await openCheck()
  const connections = flags.embedded ? 1 : flags.trackerConnections
  const pool = flags.embedded ? connection : await databases.openReference(connections)
  const instead = await openIngestPeers({
    databases,
    load,
    devices: flags.devices,
    pointsPerFrame: flags.pointsPerFrame[0]!,
    batchRows,
    tracker: { run: pool.run, connections },
  })
  const reference: Inserted[] = []
  const referenceDatabaseCpu: number[] = []
  for (let round = 1; round <= flags.rounds; round++) {
    await databases.empty()
    const beforeMs = databases.cpuMs()
    reference.push(await loop.insert(points, batchRows))
    referenceDatabaseCpu.push(((databases.cpuMs() - beforeMs) / points) * 1000)
    tell(`round ${round}: bare loop ${Math.round(reference.at(-1)!.rowsPerSecond)} rows/s`)
    await instead.measure(points, round)
    check.rates.push((await load.drive(check.target, points)).pointsPerSecond)
    tell(`round ${round}: the generator alone ${Math.round(check.rates.at(-1)!)} points/s`)
    for (const one of cases) {
      await databases.empty()
      one.rounds.push(await measure(one, points))
      const { pointsPerSecond, hubCpuMicrosPerPoint } = one.rounds.at(-1)!
      const cost = `${hubCpuMicrosPerPoint.toFixed(2)} µs of the hub each`
      tell(`round ${round}: ${titleOf(one)}: ${Math.round(pointsPerSecond)} points/s, ${cost}`)
    }
  }
  await instead.close()
  if (pool !== connection) await pool.close()
  await connection.close()
  const rowsPerSecond = figureOf(reference.map((round) => round.rowsPerSecond))
  const results = cases.map((one) => resultOf(one, rowsPerSecond.median))
  const fastest = Math.max(...results.map((result) => result.pointsPerSecond.median))
  report({
    scenario: flags.embedded ? 'ingest-embedded' : 'ingest',
    postgres,
    parameters: { ...flags, profile: flags.profile !== '', lanes, pointsPerRound: points },
    results,
    reference: {
      batchRows,
      tried,
      rowsPerSecond,
      cpuMicrosPerRow: figureOf(reference.map((round) => round.cpuMicrosPerRow)),
      buildCpuMicrosPerRow: figureOf(reference.map((round) => round.buildCpuMicrosPerRow)),
      ...(!flags.embedded && { databaseCpuMicrosPerRow: figureOf(referenceDatabaseCpu) }),
    },
    generatorCheck: generatorCheck('pointsPerSecond', figureOf(check.rates), fastest),
    peers: instead.rowsOf(results[0]!.pointsPerSecond.median),
    notMeasured: instead.missing,
    ratio: Math.min(...results.filter((result) => result.writerLanes === lanes[0]).map(({ ratio }) => ratio)),
  })
}

/** The loop gets the batch size at which it is fastest; this warms it up as well. */
async function findBatchRows(insert: (rows: number, batchRows: number) => Promise<Inserted>) {
  const rates = new Map<number, number[]>(BATCH_ROWS.map((batchRows) => [batchRows, []]))
  await insert(BATCH_TRIAL_ROWS, BATCH_ROWS[0]!)
  for (let trial = 1; trial <= BATCH_TRIALS; trial++) {
    for (const [batchRows, found] of rates) {
      await databases.empty()
      found.push((await insert(BATCH_TRIAL_ROWS, batchRows)).rowsPerSecond)
    }
  }
  const tried: Record<string, number> = {}
  for (const [batchRows, found] of rates) {
    tried[batchRows] = Math.round(medianOf(found))
    tell(`bare loop, batches of ${batchRows}: ${tried[batchRows]} rows/s`)
  }
  const batchRows = BATCH_ROWS.reduce((best, size) => (tried[size]! > tried[best]! ? size : best))
  return { batchRows, tried }
}

/** The same whole frames from every device, whatever their size, so that loop and hub write as many rows. */
function pointsOfRound(rowsPerSecond: number): number {
  const unit = flags.devices * Math.max(...flags.pointsPerFrame)
  return Math.max(1, Math.round((rowsPerSecond * flags.seconds) / unit)) * unit
}

/** A hub for each number of lanes, with devices of its own, warmed up. While one is measured the others idle. */
async function openCases(): Promise<Case[]> {
  const cases: Case[] = []
  for (const writerLanes of lanes) {
    const hub = await startHub(
      {
        ...databases.hubEnv,
        ALZY_WRITER_LANES: String(writerLanes),
        ALZY_WINDOW_POINTS_MAX: String(flags.window),
        // No device sends so much outside a benchmark.
        ALZY_DEVICE_FRAMES_PER_S: '100000',
        ALZY_DEVICE_POINTS_PER_S: '1000000',
      },
      flags.profile,
    )
    hubs.push(hub)
    const { deviceKeys } = await hub.addUser(flags.devices)
    for (const pointsPerFrame of flags.pointsPerFrame) {
      const one = { writerLanes, pointsPerFrame, hub, deviceKeys, rounds: [] }
      for (let round = 0; round < COLD_ROUNDS; round++) await measure(one, TRIAL_POINTS)
      cases.push(one)
    }
  }
  return cases
}

/** uWebSockets.js that decodes and acknowledges at once, for frames as large as the first case's. */
async function openCheck() {
  const { port } = await bareServer.ask('listen', { windowPoints: flags.window, decodes: true })
  const deviceKeys = Array.from({ length: flags.devices }, (_, i) => `sender ${i + 1}`)
  const target = { port, deviceKeys, pointsPerFrame: flags.pointsPerFrame[0]! }
  await load.drive(target, TRIAL_POINTS)
  return { target, rates: [] as number[] }
}

async function measure({ hub, deviceKeys, pointsPerFrame }: Case, pointsWanted: number): Promise<Round> {
  const before = await hub.metrics()
  const databaseBeforeMs = databases.cpuMs()
  const { pointsSent, pointsPerSecond, generatorCpuMs, usedCpuMs } = await load.drive(
    { port: hub.port, deviceKeys, pointsPerFrame },
    pointsWanted,
    hub.cpuMs,
  )
  const databaseCpuMicrosPerPoint = ((databases.cpuMs() - databaseBeforeMs) / pointsSent) * 1000
  const stored = growth(before, await hub.metrics(), 'alzy_points_stored_total')
  if (stored !== pointsSent) throw new Error(`the hub stored ${stored} of ${pointsSent} points`)
  const hubCpuMicrosPerPoint = (usedCpuMs / pointsSent) * 1000
  return {
    pointsPerSecond,
    hubCpuMicrosPerPoint,
    hubCpuMs: usedCpuMs,
    databaseCpuMicrosPerPoint,
    generatorCpuMs,
  }
}

function resultOf({ writerLanes, pointsPerFrame, rounds }: Case, rowsPerSecond: number) {
  const pointsPerSecond = figureOf(rounds.map((round) => round.pointsPerSecond))
  return {
    writerLanes,
    pointsPerFrame,
    frameBytes: frameBytes(pointsPerFrame).points,
    pointsPerSecond,
    hubCpuMicrosPerPoint: figureOf(rounds.map((round) => round.hubCpuMicrosPerPoint)),
    ...(!flags.embedded && {
      databaseCpuMicrosPerPoint: figureOf(rounds.map((round) => round.databaseCpuMicrosPerPoint)),
    }),
    hubCpuSeconds: rounded(medianOf(rounds.map((round) => round.hubCpuMs)) / 1000),
    generatorCpuSeconds: rounded(medianOf(rounds.map((round) => round.generatorCpuMs)) / 1000),
    ratio: rounded(pointsPerSecond.median / rowsPerSecond),
  }
}

function titleOf({ writerLanes, pointsPerFrame }: Case): string {
  return `hub, ${writerLanes} ${writerLanes === 1 ? 'lane' : 'lanes'}, ${pointsPerFrame} points a frame`
}
