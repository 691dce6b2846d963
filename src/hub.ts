/** Opens everything in order, hands functions from one part to the other, and closes in reverse. A list. */
import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { createTrust, isPrivate } from './access/addresses.ts'
import { createAdmission } from './access/admission.ts'
import { createDoor } from './access/door.ts'
import { createHelloDeadlines } from './access/helloDeadline.ts'
import { createIdentity } from './access/identity.ts'
import { createLogin } from './access/login.ts'
import { createOidc } from './access/oidc.ts'
import { createOrigins } from './access/origins.ts'
import { createRights } from './access/rights.ts'
import { createTokens, ensureSecret } from './access/tokens.ts'
import { createApi } from './api/api.ts'
import type { Config } from './config.ts'
import { createBacklog } from './core/backlog.ts'
import { blame, codeOf, describeError } from './core/blame.ts'
import { createCredit, openWindow } from './core/credit.ts'
import type { Device } from './core/device.ts'
import { createFleet } from './core/fleet.ts'
import { createTally } from './core/tally.ts'
import { createDelivery } from './ingest/delivery.ts'
import { createAudience } from './live/audience.ts'
import { createChanges } from './live/changes.ts'
import { createRoster } from './live/roster.ts'
import { createAudit } from './ops/audit.ts'
import { createLastErrors } from './ops/lastErrors.ts'
import type { Log } from './ops/log.ts'
import { createMetrics, REFUSAL_COUNTS } from './ops/metrics.ts'
import { CLOSE } from './protocol/closes.ts'
import { createDeviceSocket } from './sockets/device.ts'
import { createHttp } from './sockets/http.ts'
import type { DeviceLink } from './sockets/link.ts'
import { readPages } from './sockets/pageFiles.ts'
import { createPageServer } from './sockets/pages.ts'
import { createServer } from './sockets/server.ts'
import { createStatsSocket } from './sockets/stats.ts'
import { createStreams } from './sockets/stream.ts'
import { localUrl, tlsExpiresMs } from './sockets/tls.ts'
import { createViewerSocket } from './sockets/viewer.ts'
import { createVisitors } from './sockets/visitor.ts'
import { createGather } from './store/line/gather.ts'
import type { Run } from './store/line/run.ts'
import { readAccess, readCredentials } from './store/live/credentials.ts'
import { readDeviceIds, readRecords } from './store/live/records.ts'
import { openStore, type Store } from './store/open/store.ts'
import { createHistory } from './store/past/history.ts'
import { createDirectory } from './store/people/directory.ts'
import { readWithdrawn } from './store/people/rights.ts'
import { writeLastLogin } from './store/people/users.ts'
import { readIdleDevices, readLastPoints } from './store/points/lastPoints.ts'
import { readNewestReceivedMs } from './store/points/newest.ts'
import { deletePoints, deleteRejected, deleteSessions, findOld } from './store/points/retention.ts'
import { createWriter, type Writer } from './store/points/writer.ts'
import { createLastSeen } from './upkeep/coalesced.ts'
import { createRetention } from './upkeep/retention.ts'
import { createSweep } from './upkeep/sweep.ts'

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
const ACCESS_BATCH_MAX = 2_000
const CREDENTIALS_BATCH_MAX = 500
/** A frame that has waited so long for the writer has something in front of it. */
const WRITER_BEHIND_MS = 500
/** How long sockets get to answer the close frame. */
const LINGER_MS = 500

/** Listens at once and answers what it can; devices and viewers are admitted once the database is there. */
export async function openHub(config: Config, log: Log): Promise<Hub> {
  const { tls, retentionMs } = config
  const limits = { ...config.limits, retentionMs }
  const now = Date.now
  const elapsed = () => performance.now()
  const random = Math.random
  const tokens = createTokens(config.secret ?? (await ensureSecret(config.dataDir)), limits)
  let store: Store | null = null
  let isRateDue = false
  let wasForwarded = false
  const certificateExpiresMs = tls === null ? 0 : tlsExpiresMs(tls)
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
    exportsOpen: streams.count,
    lanesAway: writer?.awayLanes ?? backlog.laneCount,
    httpConnections: server.httpConnections,
    waitingSockets: door.waiting,
    addressesHeld: door.addresses,
    retentionDevices: retention?.devicesSeen ?? 0,
    retentionFinishedMs: retention?.finishedMs ?? 0,
    certificateExpiresMs,
  }))
  const { counts } = metrics

  // Store, as the rest sees it: away until it is open
  const read: Run = async (text, parameters) => {
    if (store === null) throw Object.assign(new Error('the database is not there yet'), { code: 'NOT_OPEN' })
    counts.reads += 1
    return store.read(text, parameters)
  }
  const readDevice = createGather((ids) => readCredentials(read, ids), CREDENTIALS_BATCH_MAX)
  const lastSeen = createLastSeen(read)
  const lastLogin = createLastSeen(read, writeLastLogin)
  const directory = createDirectory(read, limits)
  const roster = createRoster({
    fleet,
    readIds: (userIds, after, countMax) => readDeviceIds(read, userIds, after, countMax),
    readRecords: (ids) => readRecords(read, ids),
  })

  // Sockets
  const audit = createAudit({ log, limits, now })
  const door = createDoor(limits)
  const userSockets = createTally(limits.socketsPerUserMax)
  const shareSockets = createTally(limits.socketsPerShareMax)
  const visitors = createVisitors({
    trust: createTrust(config.trustedProxies),
    isTls: tls !== null,
    onForwarded,
  })
  const origins = createOrigins({
    allowed: config.origins,
    fallback: () => localUrl(config.host, port, tls),
  })
  const server = createServer({
    heartbeatS: limits.heartbeatS,
    httpConnectionsMax: limits.httpConnectionsMax,
    tls,
    door,
    origins,
    visitors,
    onRefused,
    onDropped: (reason) => {
      counts[reason === 'all' ? 'connectionsDropped' : 'connectionsDroppedAddress'] += 1
    },
    onFault,
    now: elapsed,
  })
  const audience = createAudience(server, counts)
  const lastErrors = createLastErrors(limits, now)
  const deadlines = createHelloDeadlines(limits.helloTimeoutMs, metrics.counts, elapsed)
  const oidc = config.oidc && createOidc({ ...config.oidc, limits, fetch, onAway: onIssuerAway, elapsed })
  const identify = createIdentity({ tokens, oidc, directory, now })
  const onLogin = (userId: number) => lastLogin.note(userId, now())
  const login = createLogin({ identify, directory, onLogin, now })
  const rights = createRights({
    readWithdrawn: (grants) => readWithdrawn(read, grants, now()),
    onAnswer: () => admission.noteAnswer(),
  })
  const admission = createAdmission({
    fleet,
    limits,
    readAccess: createGather((ids) => readAccess(read, ids), ACCESS_BATCH_MAX),
    readDevice,
    onTrusted: () => {
      counts.keysTrusted += 1
    },
    builtMs: builtMs(),
    onAway,
    now,
  })
  const devices = createDeviceSocket({
    limits,
    openWindow: () => openWindow(credit),
    backlog,
    deadlines,
    counts,
    admit: admission.admit,
    hold,
    pin: fleet.pin,
    release: fleet.release,
    publish,
    isWatched: (device) => audience.isWatched(device.userId, device.id),
    onSeen: (device) => lastSeen.note(device.id, device.lastSeenMs ?? now()),
    onAck: metrics.ackMs.record,
    latestMs: admission.newestReceivedMs,
    lastErrors,
    onRefused: (address) => audit.refused('deviceKey', address),
    onFault,
    now,
  })
  const viewers = createViewerSocket({
    limits,
    audience,
    deadlines,
    counts,
    login,
    hold: rights.hold,
    userSockets,
    shareSockets,
    onRefused: (address) => audit.refused('token', address),
    findDevices: roster.find,
    describe: roster.describe,
    onWatch: () => {
      isRateDue = true
    },
    onFault: onAway,
    now,
  })
  const admins = createStatsSocket({
    limits,
    deadlines,
    counts,
    login,
    hold: rights.hold,
    userSockets,
    onRefused: (address) => audit.refused('token', address),
    onLogin: (by, address) => audit.adminLogin({ by, address }, 'stats'),
    stats: metrics.stats,
    onFault,
    now,
  })
  const changes = createChanges({ fleet, roster, admission, audience, devices, viewers, rights, onAway })
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
    watchChanges: admission.watchChanges,
    now,
  })
  const history = createHistory(read, limits, () => {
    counts.pointPages += 1
  })
  const retention =
    retentionMs === null
      ? null
      : createRetention({
          retentionMs,
          limits,
          fleet,
          counts,
          find: (...asked) => findOld(read, ...asked),
          deletePoints: (...asked) => deletePoints(read, ...asked),
          deleteSessions: (...asked) => deleteSessions(read, ...asked),
          deleteRejected: (...asked) => deleteRejected(read, ...asked),
          isWriterBehind: () => backlogAgeMs() > WRITER_BEHIND_MS,
          pause,
          now,
        })
  const streams = createStreams({
    limits,
    addressExports: createTally(limits.exportsPerAddressMax),
    counts,
    onFault: answerFault,
  })
  const api = createApi({
    directory,
    history,
    tokens,
    identify,
    hold: rights.hold,
    onLogin,
    ...limits,
    isReady,
    metrics: async () => ({ text: await metrics.text(), contentType: metrics.contentType }),
    lastErrors: lastErrors.list,
    setup: {
      mapStyle: config.mapStyle,
      oidc: config.oidc && { issuer: config.oidc.issuer, clientId: config.oidc.audience },
    },
    limits,
    counts,
    ...changes,
    audit,
    now,
  })
  const pages = createPageServer({
    pages: readPages({ mapStyle: config.mapStyle, issuer: config.oidc?.issuer ?? null }),
    onRequest: countRequest,
    visitors,
    mayRequest: ({ block }) => {
      const mayRequest = door.mayRequest(block, elapsed())
      if (!mayRequest) onRefused('requestRate')
      return mayRequest
    },
  })
  const http = createHttp({
    handlers: api,
    streams,
    bodyBytesMax: limits.bodyBytesMax,
    bodyTimeoutMs: limits.bodyTimeoutMs,
    door,
    origins,
    visitors,
    onRefused,
    now: elapsed,
    onRequest: countRequest,
    onFault: answerFault,
  })
  server.addRoute(devices.route())
  server.addRoute(viewers.route())
  server.addRoute(admins.route())
  server.addHttp((res, req) => void (pages.handle(res, req) || http.handle(res, req)))

  const port = await server.listen(config.host, config.port)
  log.info({ host: config.host, port, tls: tls !== null }, 'listening')
  if (tls !== null && certificateExpiresMs <= now()) log.warn(tls, 'the certificate has expired')
  const opening = new AbortController()
  const ready = open()
  ready.catch(() => {})
  void oidc?.warm()
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
      devices.tellRates()
      admins.send()
      audit.flush()
    }),
    every(limits.rightsCheckMs, () => void (store && rights.check().catch(onAway))),
    every(limits.lastSeenFlushMs, () => void flushNoted()),
    every(limits.sessionSweepMs, () => void (store && sweep().catch(onAway))),
    every(limits.retentionSweepMs, () => void (store && retention?.run().catch(onAway))),
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
    retention?.run().catch(onAway)
    log.info({}, 'ready')
  }

  async function close(): Promise<void> {
    server.stopListening()
    opening.abort()
    await Promise.race([ready.catch(() => {}), pause(limits.shutdownMs)])
    for (const timer of timers) clearInterval(timer)
    retention?.stop()
    for (const socket of [devices, viewers, admins]) socket.goaway()
    const isFlushed = (await writer?.stop(limits.shutdownMs)) ?? true
    if (!isFlushed)
      log.warn({ frames: backlog.frames }, 'not stored in time, and not acknowledged; devices keep it')
    server.flush()
    for (const socket of [devices, viewers, admins]) socket.closeAll(CLOSE.restart)
    await Promise.race([gone(), pause(LINGER_MS)])
    server.close()
    if (isFlushed) await Promise.race([flushNoted(), pause(LINGER_MS)])
    metrics.close()
    audit.flush(true)
    await store?.close()
    log.info({}, 'closed')
  }

  async function gone(): Promise<void> {
    while (devices.count + viewers.count + admins.count > 0) await pause(10)
  }

  // What connects the parts

  /** The database's word on a device that is connected is for viewers as well. */
  function hold(device: Device, keyHash: string): () => void {
    const grant = { role: 'device' as const, userId: device.userId, deviceId: device.id, keyHash }
    return rights.hold(grant, (why) => {
      if (why === 'gone') return changes.onDeviceGone(device)
      admission.noteChange(device.id)
      devices.closeDevice(device.id, CLOSE.refused, (shown) => shown === keyHash)
    })
  }

  async function flushNoted(): Promise<void> {
    await Promise.all([lastSeen.flush().catch(onAway), lastLogin.flush().catch(onAway)])
  }

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

  function onRefused(reason: keyof typeof REFUSAL_COUNTS): void {
    counts[REFUSAL_COUNTS[reason]] += 1
  }

  function countRequest(): void {
    counts.httpRequests += 1
  }

  /** Once: anybody can send the field. */
  function onForwarded(peer: string): void {
    if (wasForwarded || !isPrivate(peer)) return
    wasForwarded = true
    log.warn(
      { peer },
      'X-Forwarded-For from a peer that is not trusted: if it is a proxy of yours, name it in ALZY_TRUSTED_PROXIES',
    )
  }

  /** The environment's fault: it is waited out, and worth a line. */
  function onAway(error: unknown): void {
    log.warn(describeError(error), 'the database did not answer')
  }

  function onIssuerAway(error: unknown): void {
    const { name, message, cause } = error as Error & { cause?: { code?: string } }
    log.warn(
      { fault: name, message, code: cause?.code },
      'the keys of the OpenID issuer could not be fetched',
    )
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
