/**
 * `npm run bench:cost`: microseconds of processor time that the hub takes for a point, from the socket to the ACK, and
 * for a delivery to a viewer, by its own accounting, the database's time left out. It is the figure that a busy machine
 * disturbs least. Beside it, in the same run: decoding the same frames in a loop, uWebSockets.js that receives, decodes
 * and acknowledges them and does nothing else, the bare loop that writes and sends the same INSERT, and uWebSockets.js
 * that publishes. Goals: at 10 points a frame 4 µs for a point and 2.5 times of what decoding takes.
 */

import { openChild } from '../children.ts'
import { openDatabases, versionOf } from '../databases.ts'
import { endWithin } from '../deadline.ts'
import { readFlags } from '../flags.ts'
import { type Hub, startHub } from '../hubProcess.ts'
import {
  bareContender,
  type Contender,
  deliver,
  HUB_ENV,
  hubContender,
  STEADY_WINDOW_POINTS,
} from '../load/deliveries.ts'
import type { GeneratorTasks } from '../load/generator.ts'
import type { ViewersTasks } from '../load/viewers.ts'
import type { BareServerTasks } from '../peers/bareServer.ts'
import type { DecoderTasks } from '../peers/decoder.ts'
import { createInsertLoop, type InsertLoop } from '../peers/insertLoop.ts'
import { figureOf, medianOf, report, rounded, tell } from '../report/report.ts'

const flags = readFlags('Microseconds of processor time of the hub for a point and for a delivery.', {
  pointsPerFrame: { value: [1, 10], says: 'points in a frame; several are measured in turn' },
  viewers: { value: [50, 1000], says: 'viewers; several are measured in turn' },
  devices: { value: 20, says: 'devices that send' },
  points: { value: 100_000, says: 'points of a round without viewers' },
  seconds: { value: 2, says: 'about how long a round with viewers takes' },
  underway: { value: 100_000, says: 'deliveries that may be under way' },
  rounds: { value: 5, says: 'rounds of each' },
  profile: { value: '', says: 'folder for a CPU profile of the hub' },
  secondsMax: { value: 400, says: 'give up after so long' },
})
endWithin(flags.secondsMax)

/** Points in a frame that the goals are about. */
const GOAL_POINTS = 10
/** Rounds that are not reported: until then the code is being compiled. */
const COLD_ROUNDS = 3
/** As many as a hub writes in one statement. */
const BATCH_ROWS = 2_000

const databases = await openDatabases(false)
const generator = openChild<GeneratorTasks>('load/generator')
const viewersChild = openChild<ViewersTasks>('load/viewers')
const decoder = openChild<DecoderTasks>('peers/decoder')
const publishing = openChild<BareServerTasks>('peers/bareServer')
const decoding = openChild<BareServerTasks>('peers/bareServer')
let hub: Hub | null = null
try {
  hub = await startHub({ ...databases.hubEnv, ...HUB_ENV }, flags.profile)
  await compare(hub)
} finally {
  await hub?.stop()
  await Promise.all([generator, viewersChild, decoder, publishing, decoding].map((child) => child.end()))
  await databases.close()
}
process.exit()

async function compare(hub: Hub): Promise<void> {
  const connection = await databases.openReference()
  const postgres = await versionOf(connection)
  const insertLoop = await createInsertLoop(connection.run, flags.devices)
  const mine = await hubContender(hub, flags.devices)
  const received = await bareContender(decoding, flags.devices, { decodes: true })
  const published = await bareContender(publishing, flags.devices)
  const points = []
  for (const pointsPerFrame of flags.pointsPerFrame) {
    points.push(await costOfPoints(mine, received, insertLoop, pointsPerFrame))
  }
  await connection.close()
  const deliveries = []
  for (const viewers of flags.viewers) deliveries.push(await costOfDeliveries(mine, published, viewers))
  report({
    scenario: 'cost',
    postgres,
    parameters: { ...flags, profile: flags.profile !== '' },
    results: [...points, ...deliveries].map(({ result }) => result),
    reference: [...points, ...deliveries].map(({ reference }) => reference),
    ratio: (points.find(({ result }) => result.pointsPerFrame === GOAL_POINTS) ?? points.at(-1)!).result
      .timesReceiving,
  })
}

async function costOfPoints(
  mine: Contender,
  bare: Contender,
  insertLoop: InsertLoop,
  pointsPerFrame: number,
) {
  const [hubMicros, bareMicros, loopMicros, storeMicros]: number[][] = [[], [], [], []]
  for (let round = 1 - COLD_ROUNDS; round <= flags.rounds; round++) {
    const frames = Math.round(flags.points / pointsPerFrame)
    const loop = (await decoder.ask('decode', { frames, pointsPerFrame })).cpuMicrosPerPoint
    const received = await send(bare, pointsPerFrame)
    const kept = await send(mine, pointsPerFrame)
    const written = await insertLoop.insert(flags.points, BATCH_ROWS)
    const storing = written.cpuMicrosPerRow + written.buildCpuMicrosPerRow
    if (round < 1) continue
    loopMicros!.push(loop)
    bareMicros!.push(received)
    hubMicros!.push(kept)
    storeMicros!.push(storing)
    tell(
      `round ${round}: ${pointsPerFrame} points a frame: hub ${rounded(kept)} µs a point, ` +
        `receiving and decoding ${rounded(received)}, decoding alone ${rounded(loop)}, storing ${rounded(storing)}`,
    )
  }
  const times = (others: number[]) => rounded(medianOf(hubMicros!) / medianOf(others))
  return {
    result: {
      pointsPerFrame,
      cpuMicrosPerPoint: figureOf(hubMicros!),
      timesReceiving: times(bareMicros!),
      timesDecoding: times(loopMicros!),
      /** Of what its parts take when nothing is between them: receiving with decoding, and storing. */
      timesParts: rounded(medianOf(hubMicros!) / (medianOf(bareMicros!) + medianOf(storeMicros!))),
    },
    reference: {
      pointsPerFrame,
      receivingMicrosPerPoint: figureOf(bareMicros!),
      decodingMicrosPerPoint: figureOf(loopMicros!),
      storingMicrosPerPoint: figureOf(storeMicros!),
    },
  }
}

/** One round without viewers: microseconds of the server for a point, until the last one is acknowledged. */
async function send({ port, users, cpuMs }: Contender, pointsPerFrame: number): Promise<number> {
  const framesPerDevice = Math.max(1, Math.round(flags.points / flags.devices / pointsPerFrame))
  await databases.empty()
  await generator.ask('connect', { port, deviceKeys: users[0].deviceKeys, firstPlace: 0 })
  await generator.ask('prepare', { framesPerDevice, pointsPerFrame, as: 'points' })
  const beforeMs = await cpuMs()
  await generator.ask('send', { pointsPerFrame, windowPoints: STEADY_WINDOW_POINTS })
  const usedMs = (await cpuMs()) - beforeMs
  await generator.ask('disconnect', undefined)
  return (usedMs / (framesPerDevice * flags.devices * pointsPerFrame)) * 1000
}

async function costOfDeliveries(mine: Contender, bare: Contender, viewers: number) {
  const options = { ...flags, generator, viewersChild, databases }
  const [hubMicros, bareMicros]: number[][] = [[], []]
  for (let round = 1 - COLD_ROUNDS; round <= flags.rounds; round++) {
    const published = (await deliver(bare, viewers, options)).cpuMicrosPerDelivery
    const kept = (await deliver(mine, viewers, options)).cpuMicrosPerDelivery
    if (round < 1) continue
    bareMicros!.push(published)
    hubMicros!.push(kept)
    tell(`round ${round}: ${viewers} viewers: hub ${rounded(kept)} µs a delivery, bare ${rounded(published)}`)
  }
  const [kept, published] = [medianOf(hubMicros!), medianOf(bareMicros!)]
  return {
    result: {
      viewers,
      cpuMicrosPerDelivery: figureOf(hubMicros!),
      timesPublishing: rounded(kept / published),
      /** What the hub does with a frame besides publishing it. */
      moreMicrosPerFrame: rounded((kept - published) * viewers),
    },
    reference: { viewers, publishingMicrosPerDelivery: figureOf(bareMicros!) },
  }
}
