/**
 * `npm run bench:connections`: bytes and processor time that an idle authenticated device and an idle viewer cost the
 * hub, over what the process takes without them, against idle sockets of uWebSockets.js alone. The time is short: ticks of
 * viewers are in it, pings of devices, one a minute, mostly not. Goal: 4 KB each.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Child, openChild } from '../children.ts'
import { openDatabases, versionOf } from '../databases.ts'
import { endWithin } from '../deadline.ts'
import { readFlags } from '../flags.ts'
import { type Hub, type HubUser, startHub } from '../hubProcess.ts'
import type { ReconnectTasks } from '../load/reconnect.ts'
import type { ViewersTasks } from '../load/viewers.ts'
import type { BareServerTasks } from '../peers/bareServer.ts'
import { COLLECT_SIGNAL, COLLECTING, processMemoryKb } from '../processes.ts'
import { figureOf, report, rounded, tell } from '../report/report.ts'

const flags = readFlags('Bytes and processor time of an idle device and of an idle viewer.', {
  sockets: {
    value: 10_000,
    says: 'devices, and then viewers; each takes a descriptor in the hub and one here',
  },
  seconds: { value: 3, says: 'how long they idle while their processor time is taken' },
  rounds: { value: 5, says: 'rounds of each, in processes of their own' },
  profile: { value: '', says: 'folder for a CPU profile of the hub' },
  secondsMax: { value: 400, says: 'give up after so long' },
})
endWithin(flags.secondsMax)

type Kind = 'device' | 'viewer'

interface Idle {
  bytesPerSocket: number
  cpuMicrosPerSocketSecond: number
}

/** Whose memory and time is looked at, and whom the sockets belong to. */
interface Subject {
  pid: number
  port: number
  user: HubUser
  cpuMs: () => Promise<number>
}

const AT_ONCE = 200
/** Before and after garbage is collected. */
const SETTLE_MS = 2_000
const WARM_SOCKETS = 200
const WINDOW_POINTS = 4_000
const GOAL_BYTES = 4_096

const databases = await openDatabases(false)
try {
  await compare()
} finally {
  await databases.close()
}
process.exit()

async function compare(): Promise<void> {
  const connection = await databases.openReference()
  const postgres = await versionOf(connection)
  await connection.close()
  const [hub, bare]: Record<Kind, Idle[]>[] = [
    { device: [], viewer: [] },
    { device: [], viewer: [] },
  ]
  for (let round = 1; round <= flags.rounds; round++) {
    for (const kind of ['device', 'viewer'] as const) {
      bare![kind].push(await withBareServer((subject) => idle(subject, kind)))
      hub![kind].push(await withHub(kind, (subject) => idle(subject, kind)))
      const [mine, others] = [hub![kind].at(-1)!, bare![kind].at(-1)!]
      tell(`round ${round}: ${kind}: hub ${inWords(mine)}; uWebSockets.js alone ${inWords(others)}`)
    }
  }
  const results = (['device', 'viewer'] as const).map((kind) => ({ kind, ...summaryOf(hub![kind]) }))
  report({
    scenario: 'connections',
    postgres,
    parameters: { ...flags, profile: flags.profile !== '', goalBytes: GOAL_BYTES },
    results,
    reference: (['device', 'viewer'] as const).map((kind) => ({ kind, ...summaryOf(bare![kind]) })),
    ratio: Math.max(...results.map(({ bytesPerSocket }) => bytesPerSocket.median)) / GOAL_BYTES,
  })
}

/** A hub of its own for each round: memory that was once taken is not given back. */
async function withHub(kind: Kind, act: (subject: Subject) => Promise<Idle>): Promise<Idle> {
  const count = flags.sockets + WARM_SOCKETS
  const hub: Hub = await startHub(
    {
      ...databases.hubEnv,
      ALZY_DEVICES_MAX: String(count),
      ALZY_IDLE_DEVICES_MAX: String(count),
      ALZY_VIEWERS_MAX: String(count),
      ALZY_SOCKETS_PER_USER_MAX: String(count),
      ALZY_BACKLOG_POINTS_MAX: String(Math.max(1_500_000, count * 200)),
    },
    flags.profile,
    COLLECTING,
  )
  try {
    // A viewer is shown every device of its user.
    const user = await hub.addUser(kind === 'device' ? count : 1)
    return await act({ pid: hub.pid, port: hub.port, user, cpuMs: hub.cpuMs })
  } finally {
    await hub.stop()
  }
}

async function withBareServer(act: (subject: Subject) => Promise<Idle>): Promise<Idle> {
  const server = openChild<BareServerTasks>('peers/bareServer', COLLECTING)
  const deviceKeys = Array.from({ length: flags.sockets + WARM_SOCKETS }, (_, i) => `sender ${i + 1}`)
  try {
    const { port } = await server.ask('listen', { windowPoints: WINDOW_POINTS })
    const cpuMs = async () => (await server.ask('cpu', undefined)).usedMs
    return await act({ pid: server.pid, port, user: { token: 'anyone', deviceKeys }, cpuMs })
  } finally {
    await server.end()
  }
}

/** A few sockets first, so that code and pools are there; then all of them, and what they add. */
async function idle(subject: Subject, kind: Kind): Promise<Idle> {
  const devices = openChild<ReconnectTasks>('load/reconnect')
  const viewers = openChild<ViewersTasks>('load/viewers')
  try {
    await connect(subject, kind, 0, WARM_SOCKETS, devices, viewers)
    const beforeKb = await settledMemoryKb(subject.pid)
    const aloneMs = await usedMs(subject)
    await connect(subject, kind, WARM_SOCKETS, flags.sockets, devices, viewers)
    const afterKb = await settledMemoryKb(subject.pid)
    const addedMs = (await usedMs(subject)) - aloneMs
    return {
      bytesPerSocket: ((afterKb - beforeKb) * 1024) / flags.sockets,
      cpuMicrosPerSocketSecond: (addedMs * 1_000) / flags.seconds / flags.sockets,
    }
  } finally {
    await Promise.all([devices.end(), viewers.end()])
  }
}

/** Processor time of the server while nothing happens. */
async function usedMs({ cpuMs }: Subject): Promise<number> {
  const startedMs = await cpuMs()
  await sleep(flags.seconds * 1_000)
  return (await cpuMs()) - startedMs
}

/** Connecting leaves garbage, which is not what an idle socket costs. */
async function settledMemoryKb(pid: number): Promise<number> {
  await sleep(SETTLE_MS)
  process.kill(pid, COLLECT_SIGNAL)
  await sleep(SETTLE_MS)
  return processMemoryKb(pid)
}

async function connect(
  { port, user }: Subject,
  kind: Kind,
  first: number,
  count: number,
  devices: Child<ReconnectTasks>,
  viewers: Child<ViewersTasks>,
): Promise<void> {
  if (kind === 'viewer') return viewers.ask('connect', { port, tokens: [user.token], viewers: count })
  const deviceKeys = user.deviceKeys.slice(first, first + count)
  await devices.ask('storm', { port, deviceKeys, atOnce: AT_ONCE })
}

function summaryOf(rounds: readonly Idle[]) {
  return {
    bytesPerSocket: figureOf(rounds.map((round) => round.bytesPerSocket)),
    cpuMicrosPerSocketSecond: figureOf(rounds.map((round) => round.cpuMicrosPerSocketSecond)),
  }
}

function inWords({ bytesPerSocket, cpuMicrosPerSocketSecond }: Idle): string {
  return `${rounded(bytesPerSocket)} bytes, ${rounded(cpuMicrosPerSocketSecond)} µs a second`
}
