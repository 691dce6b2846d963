/** Opens the parts in order, hands one to the other, and closes them in reverse. A list. */
import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { createAccess } from './access/access.ts'
import { openCredentials } from './access/credentials.ts'
import type { Identify } from './access/identity.ts'
import { createApi } from './api/api.ts'
import { type Clock, systemClock, within } from './clock.ts'
import type { Config } from './config.ts'
import { createFleet } from './core/fleet.ts'
import { createIngest, type PointsStore } from './ingest/ingest.ts'
import type { Limits } from './limits.ts'
import type { Publisher } from './live/audience.ts'
import { createLive } from './live/live.ts'
import type { Log } from './ops/log.ts'
import { createOps, type Ops } from './ops/ops.ts'
import { createDeviceSocket } from './sockets/device.ts'
import { sayFarewell } from './sockets/farewell.ts'
import { readPages } from './sockets/pageFiles.ts'
import { createSockets } from './sockets/sockets.ts'
import { createStatsSocket } from './sockets/stats.ts'
import { createViewerSocket } from './sockets/viewer.ts'
import { createDatabase, type Database } from './store/open/database.ts'
import { createCoalesced } from './upkeep/coalesced.ts'
import { createUpkeep } from './upkeep/upkeep.ts'

export interface Hub {
  port: number
  /** Resolves when the database is open and up to date; rejects with StartError when only a person can help. */
  ready: Promise<void>
  /** Resolves with the reason when the hub cannot keep its promises any more. */
  failed: Promise<Error>
  /** Stops listening, flushes, acknowledges, closes everything; never rejects. */
  close: () => Promise<void>
}

const BUILT_MS = statSync(fileURLToPath(import.meta.url)).mtimeMs
/** How long the last notes may take. */
const LINGER_MS = 500

/** What the parts that decide are put between: whoever keeps things, and whoever talks. */
export interface Ends {
  limits: Limits & { retentionMs: number | null }
  ops: Ops
  clock: Clock
  database: Pick<Database, 'access' | 'roster' | 'upkeep' | 'writeLastSeen' | 'writeLastLogin'> & {
    points: PointsStore
  }
  identify: Identify
  publisher: Publisher
  /** When this copy of the hub was made: its clock cannot truthfully say an earlier time. */
  builtMs: number
}

/** The parts that decide, handed to each other. The simulation opens these, between ends of its own. */
export function connectParts({ limits, ops, clock, database, identify, publisher, builtMs }: Ends) {
  const seen = createCoalesced(database.writeLastSeen)
  const logins = createCoalesced(database.writeLastLogin)
  const fleet = createFleet(limits)
  const parts = { limits, ops, clock, fleet }
  const access = createAccess({ ...parts, identify, records: database.access, logins, builtMs })
  const live = createLive({ ...parts, access, publisher, records: database.roster })
  const ingest = createIngest({ ...parts, access, live, points: database.points, seen })
  live.attach(ingest)
  const coalesced = [seen, logins]
  const upkeep = createUpkeep({ ...parts, access, ingest, records: database.upkeep, coalesced })
  const devices = createDeviceSocket({ ...parts, access, ingest })
  const viewers = createViewerSocket({ ...parts, access, live })
  return { fleet, access, live, ingest, upkeep, devices, viewers, start, begin }

  /** Before the database is there. `rooms`: who else looks after open sockets; `send`: once a second. */
  function start(rooms: readonly { check: () => void }[], send: () => void): void {
    upkeep.start([viewers, live, ...rooms], send)
  }

  /** The database is open. */
  function begin(): void {
    ingest.begin()
    upkeep.begin()
  }
}

/** Listens at once and answers what it can; devices and viewers are admitted once the database is there. */
export async function openHub(config: Config, log: Log): Promise<Hub> {
  const clock = systemClock
  const limits = { ...config.limits, retentionMs: config.retentionMs }
  const ops = createOps({ limits, log, clock })
  const shared = { limits, ops, clock }
  const database = createDatabase({ ...shared, ...config, limits })
  const { people } = database
  const { tokens, identify, warm } = await openCredentials({ ...shared, ...config, limits, people })
  const sockets = createSockets({ ...shared, place: config })
  const { publisher } = sockets
  const parts = connectParts({ ...shared, database, identify, publisher, builtMs: BUILT_MS })
  const { access, live, ingest, upkeep, devices, viewers } = parts
  const admins = createStatsSocket({ ...shared, access, ticks: live.ticks, stats: ops.metrics.stats })
  ops.collect(sockets, live, ingest, upkeep, devices, viewers, admins)
  const { mapStyle, oidc } = config
  const api = createApi({
    ...shared,
    access,
    tokens,
    directory: people,
    history: database.past,
    changes: live.changes,
    metrics: ops.metrics,
    setup: { mapStyle, oidc: oidc && { issuer: oidc.issuer, clientId: oidc.audience } },
    isReady: async () => ingest.isWriting && (await database.answers()),
  })
  const pages = readPages({ mapStyle, issuer: oidc?.issuer ?? null })
  sockets.serve([devices.route(), viewers.route(), admins.route()], api, pages)
  const port = await sockets.listen()
  warm()
  parts.start([admins], admins.send)
  const opening = new AbortController()
  const ready = open()
  ready.catch(() => {})
  return { port, ready, failed: database.failed, close }

  async function open(): Promise<void> {
    // Before anybody is admitted, the clock is compared with what is stored.
    await database.open(opening.signal, access.admission.noteReceived)
    opening.signal.throwIfAborted()
    parts.begin()
    log.info({}, 'ready')
  }

  async function close(): Promise<void> {
    sockets.stopListening()
    opening.abort()
    await within(clock, limits.shutdownMs, ready)
    upkeep.stop()
    const crowds = [devices, viewers, admins]
    const isFlushed = await sayFarewell({ crowds, ingest, publisher, clock })
    sockets.close()
    if (isFlushed) await within(clock, LINGER_MS, upkeep.flush())
    ops.close()
    await database.close()
    log.info({}, 'closed')
  }
}
