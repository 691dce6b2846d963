/** Opens everything in order, hands functions from one part to the other, and closes in reverse. A list. */
import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { createAdmission } from './admission.ts'
import { createChanges } from './changes.ts'
import type { Config } from './config.ts'
import { createBacklog } from './core/backlog.ts'
import { blame } from './core/blame.ts'
import { createCredit } from './core/credit.ts'
import type { Device } from './core/device.ts'
import { createFleet } from './core/fleet.ts'
import { createDelivery } from './delivery.ts'
import type { Log } from './log.ts'
import { createMetrics } from './metrics.ts'
import { CLOSE } from './protocol/closes.ts'
import { createRights } from './rights.ts'
import { createRoster } from './roster.ts'
import { createApi } from './sockets/api.ts'
import { createAudience } from './sockets/audience.ts'
import { createDeviceSocket } from './sockets/device.ts'
import { createHelloDeadlines } from './sockets/hello.ts'
import { createHttp } from './sockets/http.ts'
import type { DeviceLink } from './sockets/link.ts'
import { createLogin } from './sockets/login.ts'
import { createServer } from './sockets/server.ts'
import { createStatsSocket } from './sockets/stats.ts'
import { createViewerSocket } from './sockets/viewer.ts'
import { codeOf, describeError, type Run } from './store/connection.ts'
import { readCredentials, readDeviceIds, readNewestReceivedMs, readRecords } from './store/devices.ts'
import { createDirectory } from './store/directory.ts'
import { createGather } from './store/gather.ts'
import { readIdleDevices, readLastPoints } from './store/lastPoints.ts'
import { createLastSeen } from './store/lastSeen.ts'
import { openStore, type Store } from './store/store.ts'
import { readRights } from './store/users.ts'
import { createWriter, type Writer } from './store/writer.ts'
import { createSweep } from './sweep.ts'
import { createTokens, ensureSecret } from './tokens.ts'

export interface Hub {
  port: number
  /** Resolves when the database is open and up to date; rejects with StartError when only a person can help. */
  ready: Promise<void>
  /** Resolves with the reason when the hub cannot keep its promises any more. */
  failed: Promise<Error>
  /** Stops listening, flushes, acknowledges, closes everything; never rejects. */
  close: () => Promise<void>
}

const CHECK_MS = 250
const SECOND_MS = 1_000
const CREDENTIALS_BATCH_MAX = 500
/** How long sockets get to answer the close frame. */
const LINGER_MS = 500

/** Listens at once and answers what it can; devices and viewers are admitted once the database is there. */
export async function openHub(config: Config, log: Log): Promise<Hub> {
  const { limits } = config
  const now = Date.now
  const random = Math.random
  const tokens = createTokens(config.secret ?? (await ensureSecret(config.dataDir)), limits)
  let store: Store | null = null
  let isRateDue = false
  let asking: Promise<boolean> | null = null
  let writer: Writer | null = null
  let fail: (error: Error) => void = () => {}
  const failed = new Promise<Error>((resolve) => {
    fail = resolve
  })

  // Core
  const fleet = createFleet(limits)
  const credit = createCredit(limits)
  const backlog = createBacklog<DeviceLink>(config.databaseUrl === null ? 1 : limits.writerLanes)
  const metrics = createMetrics(() => ({
    devices: devices.count,
    viewers: viewers.count,
    admins: admins.count,
    viewersLive: viewers.liveCount,
    viewersOnSnapshots: viewers.count - viewers.liveCount,
    backlogPoints: backlog.points,
    backlogFrames: backlog.frames,
    backlogAgeMs: backlogAgeMs(),
    windowPointsHeld: credit.heldPoints,
    devicesHeld: fleet.count,
    lanesAway: writer?.awayLanes ?? backlog.laneCount,
  }))
  const { counts } = metrics

  // Store, as the rest sees it: away until it is open
  const read: Run = async (text, parameters) => {
    if (store === null) throw Object.assign(new Error('the database is not there yet'), { code: 'NOT_OPEN' })
    return store.read(text, parameters)
  }
  const readDevice = createGather((ids) => readCredentials(read, ids), CREDENTIALS_BATCH_MAX)
  const lastSeen = createLastSeen(read)
  const directory = createDirectory(read)
  const roster = createRoster({
    fleet,
    readIds: (userIds, after, countMax) => readDeviceIds(read, userIds, after, countMax),
    readRecords: (ids) => readRecords(read, ids),
  })

  // Sockets
  const server = createServer({ heartbeatS: limits.heartbeatS, isOriginAllowed, onRefused, onFault })
  const audience = createAudience(server, counts)
  const deadlines = createHelloDeadlines(limits.helloTimeoutMs, () => performance.now())
  const login = createLogin(tokens, directory, now)
  const admission = createAdmission({ fleet, readDevice, builtMs: builtMs(), onAway, now })
  const devices = createDeviceSocket({
    limits,
    credit,
    backlog,
    deadlines,
    counts,
    admit: admission.admit,
    release: fleet.release,
    publish,
    isWatched: (device) => audience.isWatched(device.userId, device.id),
    onSeen: (device) => lastSeen.note(device.id, device.lastSeenMs ?? now()),
    onAck: metrics.ackMs.record,
    onFault,
    now,
  })
  const viewers = createViewerSocket({
    limits,
    audience,
    deadlines,
    counts,
    login,
    findDevices: roster.find,
    describe: roster.describe,
    onWatch: () => {
      isRateDue = true
    },
    onFault: onAway,
    now,
  })
  const admins = createStatsSocket({ limits, deadlines, counts, login, stats: metrics.stats, onFault, now })
  const changes = createChanges({ fleet, roster, admission, audience, devices, viewers, onAway })
  const delivery = createDelivery({
    limits,
    backlog,
    fleet,
    devices,
    metrics,
    publish,
    noteReceived: admission.noteReceived,
    now,
  })
  const sweep = createSweep({
    fleet,
    backlog,
    findIdle: (nowMs, countMax, after) => readIdleDevices(read, nowMs, limits, countMax, after),
    findLastPoints: (sessions) => readLastPoints(read, sessions),
    readDevice,
    now,
  })
  const rights = createRights({
    holders: [devices, viewers, admins],
    readRights: (ids) => readRights(read, ids),
  })
  const api = createApi({
    directory,
    tokens,
    tokenTtlSMax: limits.tokenTtlSMax,
    isReady,
    metrics: async () => ({ text: await metrics.text(), contentType: metrics.contentType }),
    ...changes,
    now,
  })
  const http = createHttp({
    routes: api,
    bodyBytesMax: limits.bodyBytesMax,
    isOriginAllowed,
    onRequest: () => {
      counts.httpRequests += 1
    },
    onFault: answerFault,
  })
  server.addRoute(devices.route())
  server.addRoute(viewers.route())
  server.addRoute(admins.route())
  server.addHttp(http.handle)

  const port = await server.listen(config.host, config.port)
  log.info({ host: config.host, port }, 'listening')
  const opening = new AbortController()
  const ready = open()
  ready.catch(() => {})
  const timers = [
    every(CHECK_MS, () => {
      deadlines.check()
      viewers.check()
      admins.check()
      // Once for however many viewers came or went.
      if (isRateDue) devices.tellRates()
      isRateDue = false
    }),
    every(SECOND_MS, () => {
      devices.pauseLate()
      if (store !== null) rights.check().catch(onAway)
      devices.tellRates()
      admins.send()
    }),
    every(limits.lastSeenFlushMs, () => void lastSeen.flush().catch(onAway)),
    every(limits.sessionSweepMs, () => void (store && sweep().catch(onAway))),
  ]
  return { port, ready, failed, close }

  async function open(): Promise<void> {
    const opened = await openStore({ ...config, log, random }, opening.signal)
    // Before anybody is admitted, the clock is compared with what is stored.
    admission.noteReceived((await patiently(() => readNewestReceivedMs(opened.read))) ?? 0)
    store = opened
    opened.failed.then((error) => fail(error))
    writer = createWriter({
      backlog,
      runs: opened.writes,
      limits,
      onStored: delivery.stored,
      onAway: (lane, reason) => {
        log.warn({ lane, ...reason }, 'the database is away: nothing is acknowledged until it is back')
        devices.pauseAll()
      },
      onBack: (lane) => log.info({ lane }, 'the database is back'),
      onBroken: (error) => fail(error),
      onRetry: () => {
        counts.writeRetries += 1
      },
      now,
      random,
    })
    log.info({}, 'ready')
  }

  async function close(): Promise<void> {
    server.stopListening()
    opening.abort()
    await Promise.race([ready.catch(() => {}), pause(limits.shutdownMs)])
    for (const timer of timers) clearInterval(timer)
    for (const socket of [devices, viewers, admins]) socket.goaway()
    const isFlushed = (await writer?.stop(limits.shutdownMs)) ?? true
    if (!isFlushed)
      log.warn({ frames: backlog.frames }, 'not stored in time, and not acknowledged; devices keep it')
    server.flush()
    for (const socket of [devices, viewers, admins]) socket.closeAll(CLOSE.restart)
    await Promise.race([gone(), pause(LINGER_MS)])
    server.close()
    if (isFlushed) await Promise.race([lastSeen.flush().catch(onAway), pause(LINGER_MS)])
    metrics.close()
    await store?.close()
    log.info({}, 'closed')
  }

  async function gone(): Promise<void> {
    while (devices.count + viewers.count + admins.count > 0) await pause(10)
  }

  // What connects the parts

  function publish(device: Device, frame: Uint8Array): void {
    if (!device.isGone) audience.publish(device.userId, device.id, frame)
  }

  function backlogAgeMs(): number {
    const nowMs = now()
    return Math.max(
      ...Array.from({ length: backlog.laneCount }, (_, lane) => nowMs - (backlog.oldestMs(lane) ?? nowMs)),
    )
  }

  /** One question at a time, however many ask. */
  function isReady(): Promise<boolean> {
    if (writer === null || writer.awayLanes > 0) return Promise.resolve(false)
    asking ??= read('select 1')
      .then(
        () => true,
        () => false,
      )
      .finally(() => {
        asking = null
      })
    return asking
  }

  async function patiently<T>(step: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await step()
      } catch (error) {
        if (blame(codeOf(error)) !== 'database' || opening.signal.aborted) throw error
        onAway(error)
        await pause(SECOND_MS)
      }
    }
  }

  function isOriginAllowed(origin: string, host: string): boolean {
    return config.origins.includes(origin) || origin === `http://${host}` || origin === `https://${host}`
  }

  function onRefused(): void {
    counts.connectionsRefused += 1
  }

  /** The environment's fault: it is waited out, and worth a line. */
  function onAway(error: unknown): void {
    log.warn(describeError(error), 'the database did not answer')
  }

  /** Our fault. */
  function onFault(error: unknown): void {
    counts.handlerFaults += 1
    log.error({ ...describeError(error), stack: (error as Error).stack }, 'fault in a handler')
  }

  function answerFault(error: unknown): { status: 500 | 503; detail: string } {
    if (blame(codeOf(error)) === 'database' && codeOf(error) !== undefined) {
      onAway(error)
      return { status: 503, detail: 'the database is away; try again' }
    }
    onFault(error)
    return { status: 500, detail: 'something went wrong; it is in the log of the hub' }
  }
}

/** When this copy of the hub was made: its clock cannot truthfully say an earlier time. */
function builtMs(): number {
  return statSync(fileURLToPath(import.meta.url)).mtimeMs
}

function every(ms: number, act: () => void): NodeJS.Timeout {
  return setInterval(act, ms)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
