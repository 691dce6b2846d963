/**
 * `npm run bench:profile`: where the hub's processor time goes, by V8's own profile of the built hub under four loads:
 * frames of ten points from few devices as fast as they are acknowledged, the same one by one from many devices, frames
 * of one point that go to viewers, and such frames one by one to a single viewer. Each load has a hub of its own, and only what happens while frames are under
 * way is looked at, once the hub is warm. It explains what the other scenarios measure and has no goal of its own.
 */
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { openChild } from '../children.ts'
import { monotonicMs } from '../clock.ts'
import { openDatabases, versionOf } from '../databases.ts'
import { endWithin } from '../deadline.ts'
import { readFlags } from '../flags.ts'
import { startHub } from '../hubProcess.ts'
import { HUB_ENV, STEADY_WINDOW_POINTS, WINDOW_POINTS } from '../load/deliveries.ts'
import type { GeneratorTasks } from '../load/generator.ts'
import type { ViewersTasks } from '../load/viewers.ts'
import { mainThreadCpuMs, processCpuMs } from '../processes.ts'
import { PARTS, readProfile, type Span, STEADY } from '../report/profileParts.ts'
import { report, rounded, tell } from '../report/report.ts'

const flags = readFlags("Where the hub's processor time goes.", {
  few: { value: 20, says: 'devices that send as fast as they may' },
  many: { value: 10_000, says: 'devices that send one frame after the other, in turn' },
  framesPerSecond: { value: 2_000, says: 'frames per second of the many together' },
  steadyFramesPerSecond: { value: 25_000, says: 'frames per second of the few to a single viewer' },
  viewers: { value: 50, says: 'viewers of the few, whose frames then have one point' },
  rounds: { value: 10, says: 'rounds that are profiled' },
  points: { value: 100_000, says: 'points of a round; with viewers a third of them' },
  secondsMax: { value: 400, says: 'give up after so long' },
})
endWithin(flags.secondsMax)

interface Load {
  name: string
  devices: number
  viewers: number
  pointsPerFrame: number
  points: number
  /** Null: as fast as the window allows, or as the viewers see them. */
  framesPerSecond: number | null
}

const LOADS: readonly Load[] = [
  {
    name: `${flags.few} devices`,
    devices: flags.few,
    viewers: 0,
    pointsPerFrame: 10,
    points: flags.points,
    framesPerSecond: null,
  },
  {
    name: `${flags.many} devices`,
    devices: flags.many,
    viewers: 0,
    pointsPerFrame: 10,
    points: flags.points,
    framesPerSecond: flags.framesPerSecond,
  },
  {
    name: `${flags.viewers} viewers`,
    devices: flags.few,
    viewers: flags.viewers,
    pointsPerFrame: 1,
    points: flags.points / 3,
    framesPerSecond: null,
  },
  {
    name: STEADY,
    devices: flags.few,
    viewers: 1,
    pointsPerFrame: 1,
    points: flags.points / 3,
    framesPerSecond: flags.steadyFramesPerSecond,
  },
]
/** Rounds that are not looked at: until then the code is being compiled. */
const COLD_ROUNDS = 4
/** Deliveries that may be under way. */
const UNDERWAY = 100_000
const OTHER_THREADS = 'other threads, which collect garbage and compile'

const folder = await mkdtemp(path.join(os.tmpdir(), 'alzy-profile-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
const databases = await openDatabases(false)
const generator = openChild<GeneratorTasks>('load/generator')
const viewersChild = openChild<ViewersTasks>('load/viewers')
try {
  const connection = await databases.openReference()
  const postgres = await versionOf(connection)
  await connection.close()
  const columns: { name: string; micros: Map<string, number> }[] = []
  for (const load of LOADS) columns.push({ name: load.name, micros: await profile(load) })
  report({
    scenario: 'profile',
    postgres,
    parameters: { ...flags, unit: 'µs for a point' },
    results: [...PARTS, OTHER_THREADS].map((part) => ({
      part,
      ...Object.fromEntries(columns.map(({ name, micros }) => [name, rounded(micros.get(part)!)])),
    })),
    reference: [],
    ratio: null,
  })
} finally {
  await Promise.all([generator.end(), viewersChild.end()])
  await databases.close()
}
process.exit()

/** Microseconds of the hub for a point, by part. */
async function profile(load: Load): Promise<Map<string, number>> {
  const directory = path.join(folder, load.name)
  const hub = await startHub({ ...databases.hubEnv, ...HUB_ENV, ...room(load.devices) }, directory)
  const spans: Span[] = []
  let [points, mainMs, allMs] = [0, 0, 0]
  try {
    await connect()
    for (let round = 1 - COLD_ROUNDS; round <= flags.rounds; round++) {
      const [mainBeforeMs, allBeforeMs] = [mainThreadCpuMs(hub.pid), processCpuMs(hub.pid)]
      const span = await send(load)
      if (round < 1) continue
      mainMs += mainThreadCpuMs(hub.pid) - mainBeforeMs
      allMs += processCpuMs(hub.pid) - allBeforeMs
      points += span.points
      spans.push(span)
    }
  } finally {
    await generator.ask('disconnect', undefined)
    await viewersChild.ask('disconnect', undefined)
    await hub.stop()
  }
  const shares = readProfile(directory, spans)
  const micros = new Map<string, number>(
    PARTS.map((part) => [part, (shares[part] * mainMs * 1_000) / points]),
  )
  micros.set(OTHER_THREADS, ((allMs - mainMs) * 1_000) / points)
  tell(`${load.name}: ${rounded((allMs * 1_000) / points)} µs a point`)
  return micros

  async function connect(): Promise<void> {
    const { deviceKeys, token } = await hub.addUser(load.devices)
    const isWatched = load.viewers > 0
    // One of them sees in the generator how far the others may be.
    if (isWatched) {
      await viewersChild.ask('connect', { port: hub.port, tokens: [token], viewers: load.viewers - 1 })
    }
    const tokens = isWatched ? [token] : []
    await generator.ask('connect', { port: hub.port, deviceKeys, firstPlace: 0, tokens })
  }
}

/** One round, from the first frame to the last answer and the last delivery. */
async function send(load: Load): Promise<Span & { points: number }> {
  const { devices, viewers, pointsPerFrame, framesPerSecond } = load
  const framesPerDevice = Math.max(1, Math.round(load.points / devices / pointsPerFrame))
  const frames = framesPerDevice * devices
  await databases.empty()
  await generator.ask('prepare', { framesPerDevice, pointsPerFrame, as: 'points' })
  await viewersChild.ask('arm', { expected: frames * Math.max(0, viewers - 1) })
  const fromMs = monotonicMs()
  await generator.ask('send', {
    pointsPerFrame,
    windowPoints: viewers > 0 ? WINDOW_POINTS : STEADY_WINDOW_POINTS,
    ...(viewers > 0 && { unseenFramesMax: Math.round(UNDERWAY / viewers / devices) }),
    ...(framesPerSecond !== null && { framesPerSecond }),
  })
  await viewersChild.ask('counted', undefined)
  return { fromMs, toMs: monotonicMs(), points: frames * pointsPerFrame }
}

function room(devices: number): Record<string, string> {
  return {
    ALZY_DEVICES_MAX: String(devices),
    ALZY_IDLE_DEVICES_MAX: String(devices),
    ALZY_BACKLOG_POINTS_MAX: String(devices * WINDOW_POINTS * 2),
  }
}
