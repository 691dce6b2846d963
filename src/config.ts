/**
 * The environment → a frozen config. Every setting and every limit has its name, unit and default here and
 * nowhere else.
 */
import { availableParallelism } from 'node:os'
import { z } from 'zod'
import { type Network, readNetwork } from './access/addresses.ts'
import { readOrigin } from './access/origins.ts'

/** A limit: a whole number of the unit that its name ends with, set by `ALZY_<NAME>`. */
const limit = (value: number, min: number, max: number) => ({ value, min, max })

/**
 * Limits of the protocol and of memory, with defaults for a small server.
 * `frameBytesMax` becomes `ALZY_FRAME_BYTES_MAX`, and so on.
 */
const LIMITS = {
  // Connections
  devicesMax: limit(5_000, 1, 1_000_000),
  viewersMax: limit(5_000, 1, 1_000_000),
  adminsMax: limit(100, 1, 10_000),
  helloTimeoutMs: limit(5_000, 100, 60_000),
  heartbeatS: limit(60, 8, 240),
  closeTimeoutMs: limit(5_000, 100, 60_000),
  httpConnectionsMax: limit(5_000, 10, 1_000_000),
  waitingSocketsMax: limit(2_000, 1, 1_000_000),
  socketsPerUserMax: limit(100, 1, 1_000_000),
  socketsPerShareMax: limit(1_000, 1, 1_000_000),

  // By address, an IPv6 address by its /64; the hub's own machine is not counted. A carrier puts many phones behind
  // one address, and all of them come back at once when the hub restarts.
  socketsPerAddressMax: limit(1_000, 1, 1_000_000),
  socketsPerAddressPerS: limit(20, 1, 100_000),
  socketsPerAddressBurst: limit(1_000, 1, 1_000_000),
  waitingPerAddressMax: limit(200, 1, 1_000_000),
  connectionsPerAddressPerS: limit(100, 1, 100_000),
  connectionsPerAddressBurst: limit(2_000, 1, 1_000_000),
  requestsPerAddressPerS: limit(50, 1, 100_000),
  requestsPerAddressBurst: limit(1_000, 1, 1_000_000),
  addressesMax: limit(10_000, 1, 10_000_000),

  // Device keys, and how devices get one. A try is a request to redeem a pairing token, whatever becomes of it.
  keyTrustMs: limit(30_000, 0, 35_000),
  pairingTtlMs: limit(10 * 60_000, 1_000, 24 * 3_600_000),
  pairingTriesPerMin: limit(30, 1, 1_000_000),
  pairingTriesBurst: limit(100, 1, 1_000_000),
  pairingTriesPerMinInAll: limit(600, 1, 1_000_000),
  pairingTriesBurstInAll: limit(1_000, 1, 1_000_000),
  pairingNetworksMax: limit(10_000, 1, 1_000_000),

  // Frames from outside
  deviceFrameBytesMax: limit(32 * 1024, 1024, 1024 * 1024),
  viewerFrameBytesMax: limit(8 * 1024, 1024, 1024 * 1024),
  batchPointsMax: limit(200, 1, 10_000),
  viewerFramesPerS: limit(20, 1, 10_000),
  viewerFramesBurst: limit(100, 1, 100_000),

  // What one device may do. A burst is what it may do at once, after an outage for example.
  deviceFramesPerS: limit(500, 1, 100_000),
  deviceFramesBurst: limit(20_000, 1, 10_000_000),
  devicePointsPerS: limit(10_000, 1, 1_000_000),
  devicePointsBurst: limit(500_000, 1, 100_000_000),
  deviceSessionsPerHour: limit(600, 1, 100_000),
  deviceSessionsBurst: limit(2_000, 1, 1_000_000),

  // Points on their way into the database
  windowPointsMax: limit(4_000, 1, 1_000_000),
  backlogPointsMax: limit(1_500_000, 1_000, 1_000_000_000),
  writeRowsMax: limit(2_000, 1, 30_000),
  writeTimeoutMs: limit(15_000, 500, 120_000),
  // With two processors a second statement would take the one that is left for what is live.
  writerLanes: limit(availableParallelism() > 2 ? 2 : 1, 1, 8),
  refusedRowsPerHourMax: limit(1_000, 1, 1_000_000),
  pauseAfterMs: limit(10_000, 500, 60_000),
  pauseRetryMs: limit(5_000, 100, 60_000),
  rejectedPointsPerDevice: limit(1_000, 0, 1_000_000),
  lastSeenFlushMs: limit(5_000, 100, 600_000),

  // Sessions
  sessionGapMs: limit(30 * 60_000, 1_000, 24 * 3_600_000),
  sessionIdleMs: limit(24 * 3_600_000, 1_000, 30 * 24 * 3_600_000),
  sessionSweepMs: limit(30_000, 100, 3_600_000),

  // Live
  liveAgeMs: limit(60_000, 0, Number.MAX_SAFE_INTEGER),
  tickMs: limit(2_000, 100, 60_000),
  seenLateMs: limit(5_000, 200, 60_000),
  seenTimeoutMs: limit(30_000, 1_000, 600_000),
  snapBytesMax: limit(32 * 1024, 2_048, 1024 * 1024),
  viewerBufferBytesMax: limit(1024 * 1024, 64 * 1024, 64 * 1024 * 1024),
  rateWatchedMs: limit(1_000, 100, 3_600_000),
  rateUnwatchedMs: limit(15_000, 100, 3_600_000),
  rateEveryMs: limit(10_000, 10_000, 600_000),

  // Memory, reads and HTTP
  idleDevicesMax: limit(20_000, 0, 10_000_000),
  lastErrorsMax: limit(1_000, 1, 1_000_000),
  readTimeoutMs: limit(10_000, 500, 120_000),
  readConnections: limit(4, 1, 64),
  bodyBytesMax: limit(64 * 1024, 1_024, 16 * 1024 * 1024),
  bodyTimeoutMs: limit(30_000, 100, 600_000),

  // Credentials
  tokenTtlSMax: limit(90 * 24 * 3_600, 60, 90 * 24 * 3_600),
  rightsCheckMs: limit(1_000, 100, 30_000),
  devicesPerUserMax: limit(1_000, 1, 1_000_000),
  shareDevicesMax: limit(100, 1, 1_024),
  sharesPerUserMax: limit(1_000, 1, 1_000_000),
  oidcTokenTtlSMax: limit(24 * 3_600, 60, 90 * 24 * 3_600),
  oidcKeysFreshMs: limit(10 * 60_000, 100, 24 * 3_600_000),
  oidcKeysStaleMs: limit(24 * 3_600_000, 0, 30 * 24 * 3_600_000),
  oidcCooldownMs: limit(10_000, 100, 3_600_000),
  oidcTimeoutMs: limit(5_000, 100, 15_000),

  // History and exports
  exportsMax: limit(100, 1, 10_000),
  exportsPerAddressMax: limit(20, 1, 10_000),
  exportStallMs: limit(60_000, 500, 3_600_000),
  pagePointsMax: limit(1_000, 10, 10_000),
  scanPointsMax: limit(5_000, 10, 100_000),
  measurePointsMax: limit(50_000, 10, 1_000_000),

  // Audit and retention: rows of a statement, and how often it begins anew
  auditRefusedEveryMs: limit(60_000, 100, 3_600_000),
  auditRefusedMax: limit(1_000, 1, 100_000),
  retentionRowsMax: limit(500, 1, 100_000),
  retentionSweepMs: limit(3_600_000, 100, 7 * 24 * 3_600_000),

  // Shutdown
  shutdownMs: limit(5_000, 500, 60_000),
  reconnectSpreadMs: limit(5_000, 0, 600_000),
} as const

export type Limits = Readonly<Record<keyof typeof LIMITS, number>>

export interface Config {
  readonly host: string
  readonly port: number
  /** null: the embedded database in `dataDir`. */
  readonly databaseUrl: string | null
  readonly dataDir: string
  /** null: generated and kept in `dataDir`. */
  readonly secret: string | null
  /** The OpenID issuer whose tokens are accepted, when they are made for this audience. */
  readonly oidc: { readonly issuer: string; readonly audience: string } | null
  /** Origins of browsers allowed besides the hub's own. */
  readonly origins: readonly string[]
  /** A MapLibre style for the live map; null: outlines of land, without any request elsewhere. */
  readonly mapStyle: string | null
  readonly trustedProxies: readonly Network[]
  /** Files in PEM; null: no TLS. */
  readonly tls: { readonly certPath: string; readonly keyPath: string } | null
  /** Points older than this are deleted and refused; null: none is. */
  readonly retentionMs: number | null
  readonly logLevel: string
  readonly limits: Limits
}

/** One line per problem; the command line prints them and exits with 1. */
export class ConfigError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const

/** Read by the client commands and ignored by the hub. */
const CLIENT_SETTINGS = ['ALZY_URL', 'ALZY_TOKEN']

const DAY_MS = 24 * 3_600_000
/** To the beginning of all times that a point may have. */
const RETENTION_DAYS_MAX = 36_500

const DATABASE_URL_EXAMPLE = 'postgres://user:password@host:5432/database'

const SETTINGS = {
  ALZY_HOST: z.string().min(1).default('127.0.0.1'),
  ALZY_PORT: whole(0, 65_535).default(9001),
  DATABASE_URL: z
    .string()
    .refine(
      isDatabaseUrl,
      `must look like ${DATABASE_URL_EXAMPLE}, with # ? / and @ in a password written as %23 %3F %2F %40`,
    )
    .optional(),
  ALZY_DATA_DIR: z.string().min(1).default('./.alzy'),
  ALZY_SECRET: z
    .string()
    .refine((text) => Buffer.byteLength(text) >= 32, 'must be at least 32 bytes; try: openssl rand -hex 32')
    .optional(),
  ALZY_OIDC_ISSUER: z
    .string()
    .max(255)
    .refine(isIssuer, 'must be the address of an OpenID issuer, with https: and without ? and #')
    .optional(),
  ALZY_OIDC_AUDIENCE: z.string().max(255).optional(),
  ALZY_ORIGINS: z
    .string()
    .transform(listOf(readOrigin, 'is not an origin such as https://maps.example.org (no path, no pattern)'))
    .optional(),
  ALZY_MAP_STYLE: z
    .url({ protocol: /^https?$/, error: 'must be the http(s) address of a MapLibre style' })
    .optional(),
  ALZY_TRUSTED_PROXIES: z
    .string()
    .transform(listOf(readNetwork, 'is not an address, nor a network such as 10.0.0.0/8 or 2001:db8::/32'))
    .optional(),
  ALZY_TLS_CERT: z.string().optional(),
  ALZY_TLS_KEY: z.string().optional(),
  ALZY_RETENTION_DAYS: whole(1, RETENTION_DAYS_MAX).optional(),
  ALZY_LOG_LEVEL: z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`).default('info'),
}

const SCHEMA = z.object({ ...SETTINGS, ...limitSettings() })

/** Throws ConfigError with every problem of `env`: unknown `ALZY_…` names, bad values, settings at odds. */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const problems: string[] = []
  for (const name of Object.keys(env)) {
    if (name.startsWith('ALZY_') && !(name in SCHEMA.shape) && !CLIENT_SETTINGS.includes(name)) {
      problems.push(`${name}: no such setting`)
    }
  }
  // An empty variable is how shells and compose files say "not set".
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  const parsed = SCHEMA.safeParse(given)
  if (!parsed.success) {
    for (const issue of parsed.error.issues) problems.push(`${issue.path[0]?.toString()}: ${issue.message}`)
    throw new ConfigError(problems)
  }
  const settings = parsed.data
  const limits = limitsOf(settings)
  if (settings.DATABASE_URL !== undefined && settings.ALZY_SECRET === undefined) {
    problems.push('ALZY_SECRET: required with DATABASE_URL, the same on every hub; try: openssl rand -hex 32')
  }
  const { ALZY_OIDC_ISSUER: issuer, ALZY_OIDC_AUDIENCE: audience } = settings
  if (issuer === undefined && audience !== undefined) {
    problems.push('ALZY_OIDC_ISSUER: required with ALZY_OIDC_AUDIENCE')
  }
  if (issuer !== undefined && audience === undefined) {
    problems.push('ALZY_OIDC_AUDIENCE: required with ALZY_OIDC_ISSUER, what `aud` of its tokens says')
  }
  const { ALZY_TLS_CERT: certPath, ALZY_TLS_KEY: keyPath } = settings
  if (certPath !== undefined && keyPath === undefined)
    problems.push('ALZY_TLS_KEY: required with ALZY_TLS_CERT')
  if (keyPath !== undefined && certPath === undefined)
    problems.push('ALZY_TLS_CERT: required with ALZY_TLS_KEY')
  problems.push(...conflicts(limits))
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.freeze({
    host: settings.ALZY_HOST,
    port: settings.ALZY_PORT,
    databaseUrl: settings.DATABASE_URL ?? null,
    dataDir: settings.ALZY_DATA_DIR,
    secret: settings.ALZY_SECRET ?? null,
    oidc: issuer !== undefined && audience !== undefined ? Object.freeze({ issuer, audience }) : null,
    origins: settings.ALZY_ORIGINS ?? [],
    mapStyle: settings.ALZY_MAP_STYLE ?? null,
    trustedProxies: settings.ALZY_TRUSTED_PROXIES ?? [],
    tls: certPath !== undefined && keyPath !== undefined ? { certPath, keyPath } : null,
    retentionMs: settings.ALZY_RETENTION_DAYS === undefined ? null : settings.ALZY_RETENTION_DAYS * DAY_MS,
    logLevel: settings.ALZY_LOG_LEVEL,
    limits,
  })
}

/** Every limit with its variable, default and range, for the README and `serve --help`. */
export function limitTable(): { name: string; value: number; min: number; max: number }[] {
  return Object.entries(LIMITS).map(([name, range]) => ({ name: variableOf(name), ...range }))
}

function conflicts(limits: Limits): string[] {
  const found: string[] = []
  if (limits.windowPointsMax < limits.batchPointsMax) {
    found.push('ALZY_WINDOW_POINTS_MAX: must be at least ALZY_BATCH_POINTS_MAX')
  }
  if (limits.backlogPointsMax < limits.devicesMax * limits.batchPointsMax) {
    found.push('ALZY_BACKLOG_POINTS_MAX: must be at least ALZY_DEVICES_MAX × ALZY_BATCH_POINTS_MAX')
  }
  if (limits.seenTimeoutMs <= limits.seenLateMs) {
    found.push('ALZY_SEEN_TIMEOUT_MS: must be more than ALZY_SEEN_LATE_MS')
  }
  if (limits.oidcKeysStaleMs < limits.oidcKeysFreshMs) {
    found.push('ALZY_OIDC_KEYS_STALE_MS: must be at least ALZY_OIDC_KEYS_FRESH_MS')
  }
  return found
}

function limitsOf(settings: Record<string, unknown>): Limits {
  const entries = Object.keys(LIMITS).map((name) => [name, settings[variableOf(name)]])
  return Object.freeze(Object.fromEntries(entries)) as Limits
}

function limitSettings(): Record<string, z.ZodDefault<ReturnType<typeof whole>>> {
  return Object.fromEntries(
    Object.entries(LIMITS).map(([name, { value, min, max }]) => [
      variableOf(name),
      whole(min, max).default(value),
    ]),
  )
}

function whole(min: number, max: number) {
  const range = `must be a whole number from ${min} to ${max}`
  return z
    .string()
    .regex(/^\d+$/, range)
    .transform(Number)
    .pipe(z.number(range).min(min, range).max(max, range))
}

/** Keys that came over plain HTTP could be anybody's, except from this very machine. */
function isIssuer(text: string): boolean {
  if (!URL.canParse(text) || /[?#]/.test(text)) return false
  const { protocol, hostname, username } = new URL(text)
  const isHere = ['localhost', '127.0.0.1', '[::1]'].includes(hostname)
  return username === '' && (protocol === 'https:' || (protocol === 'http:' && isHere))
}

/** A list separated by commas; a problem for each entry that `read` does not know. */
function listOf<Item>(read: (text: string) => Item | null, problem: string) {
  return (text: string, context: z.RefinementCtx<string>): Item[] =>
    text.split(',').flatMap((entry) => {
      const item = read(entry.trim())
      if (item !== null) return [item]
      context.addIssue({ code: 'custom', message: `"${entry.trim()}" ${problem}` })
      return []
    })
}

/** Several hosts, separated by commas, are checked by the first, as the driver does. */
function isDatabaseUrl(text: string): boolean {
  return /^postgres(ql)?:\/\//.test(text) && URL.canParse(text.replace(/,[^/@?]*/, ''))
}

/** `frameBytesMax` → `ALZY_FRAME_BYTES_MAX`. */
function variableOf(name: string): string {
  return `ALZY_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
}
