/**
 * The limits: every bound that whoever runs the hub may move, with default and range. The environment that moves them
 * it does not know; config.ts reads it.
 */
import { availableParallelism } from 'node:os'

/** A limit: a whole number of the unit that its name ends with, set by `ALZY_<NAME>`. */
const limit = (value: number, min: number, max: number) => ({ value, min, max })

/**
 * Limits of the protocol and of memory, with defaults for a small server.
 * `frameBytesMax` becomes `ALZY_FRAME_BYTES_MAX`, and so on.
 */
export const LIMITS = {
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

/** Every limit with its variable, default and range, for the README and `serve --help`. */
export function limitTable(): { name: string; value: number; min: number; max: number }[] {
  return Object.entries(LIMITS).map(([name, range]) => ({ name: variableOf(name), ...range }))
}

/** One line for each pair of limits at odds. */
export function conflicts(limits: Limits): string[] {
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

/** `frameBytesMax` → `ALZY_FRAME_BYTES_MAX`. */
export function variableOf(name: string): string {
  return `ALZY_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
}
