/**
 * One round of users whose devices send and whose viewers watch, the same for the hub, for uWebSockets.js alone and for a
 * peer: how fast LIVE frames arrived and what they cost the server. Which of them it is, the round does not know.
 */

import type { Child } from '../children.ts'
import { monotonicMs } from '../clock.ts'
import type { Databases } from '../databases.ts'
import type { Hub, HubUser } from '../hubProcess.ts'
import type { BareServerTasks } from '../peers/bareServer.ts'
import type { DialectName } from './dialects.ts'
import type { GeneratorTasks } from './generator.ts'
import type { ViewersTasks } from './viewers.ts'

/** Each has as many devices and as many viewers as the others. */
export type Users = readonly [HubUser, ...HubUser[]]

/** Hub, reference or peer, as a round uses it. */
export interface Contender {
  name: string
  port: number
  /** Whose main thread serves. */
  pid: number
  users: Users
  sends: 'points' | 'live'
  /** How a peer is spoken to. */
  dialect?: DialectName
  cpuMs: () => Promise<number>
  /** Work beside it, begun before the first frame leaves and ended after the last delivery. */
  beside?: {
    start: (viewers: number) => Promise<unknown>
    /** Resolves with how much of it was done. */
    stop: () => Promise<{ rows: number }>
    cpuMs: () => number
  }
  /** Of the last round with so many viewers of a user: deliveries fill the next, and rows are stored beside another. */
  rates: Map<number, Rates>
}

type Rates = Pick<Round, 'deliveriesPerSecond' | 'sustainedPerSecond'>

export interface Round {
  deliveriesPerSecond: number
  /** The same, over the time until everything was acknowledged besides: a hub has stored it by then. */
  sustainedPerSecond: number
  cpuMicrosPerDelivery: number
  viewersCpuMs: number
  generatorCpuMs: number
  databaseCpuMs: number
  /** Processors that all of it kept busy until the last ACK and the last delivery: server, database, viewers, senders. */
  processorsBusy: number
  /** By the work beside it; null where there was none. */
  rowsBesidePerSecond: number | null
  missing: number
}

export interface RoundsOptions {
  generator: Child<GeneratorTasks>
  viewersChild: Child<ViewersTasks>
  /** Devices of each user. */
  devices: number
  /** About how long a round takes. */
  seconds: number
  /** Deliveries that may be under way. */
  underway: number
  databases: Pick<Databases, 'empty' | 'cpuMs'>
}

/** A cold server manages about so many; the first round is not reported. */
const COLD_DELIVERIES_PER_S = 100_000
export const WINDOW_POINTS = 10_000
/** With the larger one devices send a whole round at once, and what a point costs while things flow is not seen. */
export const STEADY_WINDOW_POINTS = 400
/** In a round: what the database then has to store must not take much longer than the round. */
const FRAMES_MAX = 40_000

/** Settings of a hub for these rounds. */
export const HUB_ENV = {
  ALZY_WINDOW_POINTS_MAX: String(WINDOW_POINTS),
  // The senders mean to be ahead of the database.
  ALZY_PAUSE_AFTER_MS: '60000',
  // One device sends what a crowd would.
  ALZY_DEVICE_FRAMES_PER_S: '100000',
  ALZY_DEVICE_POINTS_PER_S: '1000000',
  // And one user watches as a crowd would.
  ALZY_SOCKETS_PER_USER_MAX: '1000000',
}

export async function hubContender(hub: Hub, devices: number, userCount = 1): Promise<Contender> {
  const users: [HubUser, ...HubUser[]] = [await hub.addUser(devices)]
  while (users.length < userCount) users.push(await hub.addUser(devices))
  const { port, pid } = hub
  return { name: 'hub', port, pid, users, sends: 'points', cpuMs: hub.cpuMs, rates: new Map() }
}

/** As many connections as the hub has, so that both read as many sockets for as many frames. */
export async function bareContender(
  server: Child<BareServerTasks>,
  devices: number,
  { decodes = false, userCount = 1 } = {},
): Promise<Contender> {
  const { port } = await server.ask('listen', { windowPoints: WINDOW_POINTS, decodes })
  const users: [HubUser, ...HubUser[]] = [bareUser(1, devices)]
  while (users.length < userCount) users.push(bareUser(users.length + 1, devices))
  return {
    name: 'uWebSockets.js alone',
    port,
    pid: server.pid,
    users,
    sends: 'live',
    cpuMs: async () => (await server.ask('cpu', undefined)).usedMs,
    rates: new Map(),
  }
}

/** The reference knows by what is behind the space who belongs together. */
function bareUser(number: number, devices: number): HubUser {
  const name = `of-${number}`
  return {
    token: `viewer ${name}`,
    deviceKeys: Array.from({ length: devices }, (_, i) => `sender${i} ${name}`),
  }
}

/**
 * One round with so many viewers of each user, from the first frame sent to the last one delivered. Connecting and
 * encoding are not counted.
 */
export async function deliver(contender: Contender, viewers: number, options: RoundsOptions): Promise<Round> {
  const { port, users, sends, dialect, rates } = contender
  const { generator, viewersChild, databases, seconds, underway } = options
  const devices = options.devices * users.length
  const frames = ((rates.get(viewers)?.deliveriesPerSecond ?? COLD_DELIVERIES_PER_S) * seconds) / viewers
  const framesPerDevice = Math.max(1, Math.round(Math.min(frames, FRAMES_MAX) / devices))
  const unseenFramesMax = Math.max(1, Math.round(underway / viewers / devices))
  const expected = framesPerDevice * devices * viewers
  await databases.empty()
  await viewersChild.ask('connect', {
    port,
    tokens: users.map(({ token }) => token),
    viewers: viewers - 1,
    ...(dialect && { dialect }),
  })
  await generator.ask('connect', {
    port,
    tokens: users.map(({ token }) => token),
    deviceKeys: users.flatMap(({ deviceKeys }) => deviceKeys),
    firstPlace: 0,
    ...(dialect && { dialect }),
  })
  await generator.ask('prepare', { framesPerDevice, pointsPerFrame: 1, as: sends })
  await viewersChild.ask('arm', { expected: framesPerDevice * devices * (viewers - 1) })
  await contender.beside?.start(viewers)
  const startedMs = monotonicMs()
  const databaseBeforeMs = databases.cpuMs()
  const besideBeforeMs = contender.beside?.cpuMs() ?? 0
  const cpuBeforeMs = await contender.cpuMs()
  const sent = await generator.ask('send', {
    pointsPerFrame: 1,
    windowPoints: WINDOW_POINTS,
    unseenFramesMax,
  })
  const counted = await viewersChild.ask('counted', undefined)
  const cpuMs = (await contender.cpuMs()) - cpuBeforeMs
  const databaseCpuMs = databases.cpuMs() - databaseBeforeMs
  const besideCpuMs = (contender.beside?.cpuMs() ?? 0) - besideBeforeMs
  // Until the hub has stored as well what it has shown: as long as processor time is counted here.
  const wholeMs = monotonicMs() - startedMs
  const beside = (await contender.beside?.stop()) ?? null
  await generator.ask('disconnect', undefined)
  await viewersChild.ask('disconnect', undefined)
  const received = counted.received + sent.seen
  const lastMs = Math.max(counted.lastMs, sent.lastSeenMs)
  const perSecondUntil = (endMs: number) => (received / (endMs - sent.firstSendMs)) * 1000
  const measured = {
    deliveriesPerSecond: perSecondUntil(lastMs),
    sustainedPerSecond: perSecondUntil(Math.max(lastMs, sent.lastAckMs)),
  }
  rates.set(viewers, measured)
  return {
    ...measured,
    cpuMicrosPerDelivery: (cpuMs / received) * 1000,
    viewersCpuMs: counted.cpuMs,
    generatorCpuMs: sent.cpuMs,
    databaseCpuMs,
    processorsBusy: (cpuMs + databaseCpuMs + besideCpuMs + counted.cpuMs + sent.cpuMs) / wholeMs,
    rowsBesidePerSecond: beside && (beside.rows * 1000) / wholeMs,
    missing: expected - received,
  }
}
