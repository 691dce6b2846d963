/**
 * The limits: every bound that whoever runs the hub may move, with its default, its range, what it bounds and what
 * happens when it is met. `serve --help` prints them, and OPERATING.md shows them as tables. The environment that moves
 * them it does not know; config.ts reads it.
 */
import { availableParallelism } from 'node:os'

interface Limit {
  value: number
  min: number
  max: number
  /** One sentence: what is bounded, and what happens then. */
  meaning: string
  /** The default as people read it, where it is not the same on every machine. */
  said: string | null
}

/** A whole number of the unit that its name ends with. What it means follows, on as many lines as it takes. */
function limit(value: number, min: number, max: number, said: string | null = null) {
  return ([text]: TemplateStringsArray): Limit => {
    const meaning = text!.trim().replace(/\s+/g, ' ')
    return { value, min, max, said, meaning }
  }
}

/**
 * In the groups that people look for them in, with defaults for a small server. `helloTimeoutMs` is set by
 * `ALZY_HELLO_TIMEOUT_MS`, and so on.
 */
const GROUPS = {
  'Sockets and connections': {
    devicesMax: limit(5_000, 1, 1_000_000)`
      Device sockets at a time; one more is refused with 503 and Retry-After.`,
    viewersMax: limit(5_000, 1, 1_000_000)`
      Viewer sockets at a time; one more is refused with 503 and Retry-After.`,
    adminsMax: limit(100, 1, 10_000)`
      Stats sockets, those of admins, at a time; one more is refused with 503 and Retry-After.`,
    socketsPerUserMax: limit(100, 1, 1_000_000)`
      Sockets of one user, as viewer and as admin together, at a time; one more is closed with 4429 in place of its
      WELCOME.`,
    socketsPerShareMax: limit(1_000, 1, 1_000_000)`
      Sockets that watch by one share at a time; one more is closed with 4429 in place of its WELCOME.`,
    waitingSocketsMax: limit(2_000, 1, 1_000_000)`
      Sockets without a WELCOME at a time; one more is refused with 503 and Retry-After.`,
    httpConnectionsMax: limit(5_000, 10, 1_000_000)`
      Connections that are no WebSocket, or not yet, at a time; one more is closed at once, without a word.`,
    helloTimeoutMs: limit(5_000, 100, 60_000)`
      How long a socket may be open without HELLO; then it is closed with 4408.`,
    heartbeatS: limit(60, 8, 240)`
      How long nothing may come from a socket, not even the answer to the ping that the hub sends 4 to 16 s before;
      then the connection is ended, and the client sees 1006.`,
    closeTimeoutMs: limit(5_000, 100, 60_000)`
      How long after BYE a device may wait for its last ACK; then the socket is closed with 1000 without it, and the
      device keeps what was not acknowledged.`,
  },

  // A carrier puts many phones behind one address, and all of them come back at once when the hub restarts.
  "Of one address (the /64 of an IPv6 address; the hub's own machine is not counted)": {
    socketsPerAddressMax: limit(1_000, 1, 1_000_000)`
      Sockets of an address at a time; one more is refused with 429 and Retry-After.`,
    socketsPerAddressPerS: limit(20, 1, 100_000)`
      Sockets that an address may open in a second, in the long run; one more is refused with 429 and Retry-After.`,
    socketsPerAddressBurst: limit(1_000, 1, 1_000_000)`
      Sockets that an address may open at once, before ALZY_SOCKETS_PER_ADDRESS_PER_S holds it back.`,
    waitingPerAddressMax: limit(200, 1, 1_000_000)`
      Sockets of an address without a WELCOME at a time; one more is refused with 429 and Retry-After.`,
    connectionsPerAddressPerS: limit(100, 1, 100_000)`
      Connections of any kind that an address may open in a second, in the long run; one more is closed at once,
      without a word, but those of a trusted proxy are not counted.`,
    connectionsPerAddressBurst: limit(2_000, 1, 1_000_000)`
      Connections that an address may open at once, before ALZY_CONNECTIONS_PER_ADDRESS_PER_S holds it back.`,
    requestsPerAddressPerS: limit(50, 1, 100_000)`
      HTTP requests of an address in a second, in the long run; one more is answered with 429 and Retry-After, but
      /healthz and /readyz always answer.`,
    requestsPerAddressBurst: limit(1_000, 1, 1_000_000)`
      HTTP requests of an address at once, before ALZY_REQUESTS_PER_ADDRESS_PER_S holds it back.`,
    addressesMax: limit(10_000, 1, 10_000_000)`
      Addresses without a socket whose connections and requests are counted; beyond it the one that has been quiet
      longest is forgotten, and has its bursts anew when it comes again.`,
  },

  'Device keys and pairing': {
    keyTrustMs: limit(30_000, 0, 35_000)`
      How long after an answer of the database about rights a device that is in memory is let in again without
      asking; beyond it HELLO asks first, and is closed with 1013 while the database is away (0: it always asks).`,
    pairingTtlMs: limit(10 * 60_000, 1_000, 24 * 3_600_000)`
      How long a pairing token may be redeemed; then it is refused with 403.`,
    pairingTriesPerMin: limit(30, 1, 1_000_000)`
      Tries to redeem a pairing token from one address in a minute, whatever becomes of them, in the long run; one
      more is refused with 429 and Retry-After, also on the hub's own machine.`,
    pairingTriesBurst: limit(100, 1, 1_000_000)`
      Tries from one address at once, before ALZY_PAIRING_TRIES_PER_MIN holds it back.`,
    pairingTriesPerMinInAll: limit(600, 1, 1_000_000)`
      Tries to redeem a pairing token from all addresses in a minute, in the long run; one more is refused with 429
      and Retry-After.`,
    pairingTriesBurstInAll: limit(1_000, 1, 1_000_000)`
      Tries from all addresses at once, before ALZY_PAIRING_TRIES_PER_MIN_IN_ALL holds them back.`,
    pairingNetworksMax: limit(10_000, 1, 1_000_000)`
      Addresses whose tries are counted; beyond it the one that has not tried for longest is forgotten, and has its
      burst anew when it comes again.`,
  },

  'Frames of devices, viewers and admins': {
    deviceFrameBytesMax: limit(32 * 1024, 1024, 1024 * 1024)`
      Bytes of a frame from a device, which WELCOME tells it; a larger one ends the connection, and the device sees
      1009 or 1006.`,
    viewerFrameBytesMax: limit(8 * 1024, 1024, 1024 * 1024)`
      Bytes of a frame from a viewer or an admin; a larger one ends the connection, and the client sees 1009 or
      1006.`,
    batchPointsMax: limit(200, 1, 10_000)`
      Points of a POINTS frame, which WELCOME tells the device; one with more is closed with 4500, and no window is
      ever smaller than this.`,
    deviceFramesPerS: limit(500, 1, 100_000)`
      Frames of a device in a second, in the long run; one more closes its socket with 4429.`,
    deviceFramesBurst: limit(20_000, 1, 10_000_000)`
      Frames of a device at once, as after an outage, before ALZY_DEVICE_FRAMES_PER_S holds it back.`,
    devicePointsPerS: limit(10_000, 1, 1_000_000)`
      Points of a device in a second, in the long run; a frame that comes after more closes its socket with 4429.`,
    devicePointsBurst: limit(500_000, 1, 100_000_000)`
      Points of a device at once, as after an outage, before ALZY_DEVICE_POINTS_PER_S holds it back.`,
    deviceSessionsPerHour: limit(600, 1, 100_000)`
      Sessions that a device may begin in an hour, in the long run, those that the hub makes for it too; after more
      the next POINTS or SESSION frame, even one that begins none, closes its socket with 4429.`,
    deviceSessionsBurst: limit(2_000, 1, 1_000_000)`
      Sessions that a device may begin at once, before ALZY_DEVICE_SESSIONS_PER_HOUR holds it back.`,
    viewerFramesPerS: limit(20, 1, 10_000)`
      Frames of a viewer or an admin in a second, in the long run; one more closes its socket with 4429.`,
    viewerFramesBurst: limit(100, 1, 100_000)`
      Frames of a viewer or an admin at once, before ALZY_VIEWER_FRAMES_PER_S holds it back.`,
  },

  'Points on their way into the database': {
    windowPointsMax: limit(4_000, 1, 1_000_000)`
      The largest window (at least ALZY_BATCH_POINTS_MAX), which is what a device may have unacknowledged; one that
      exceeds its window is closed with 4429, and one that has left more than this to be stored in earlier
      connections with 1013.`,
    backlogPointsMax: limit(1_500_000, 1_000, 1_000_000_000)`
      Points that all devices together may have unacknowledged, the sum of their windows (at least ALZY_DEVICES_MAX
      × ALZY_BATCH_POINTS_MAX); near it windows shrink down to ALZY_BATCH_POINTS_MAX, and a device for which not
      even that is left is closed with 1013.`,
    writeRowsMax: limit(2_000, 1, 30_000)`
      Rows of a batch, unless one frame alone has more; what else waits is written with the next one.`,
    // With two processors a second statement would take the one that is left for what is live.
    writerLanes: limit(availableParallelism() > 2 ? 2 : 1, 1, 8, '1 or 2')`
      Batches that PostgreSQL may write at a time, each on a connection of its own (by default 1 with up to two
      processors, else 2); more of them store more points a second, and delay what is live where hub and database
      share two processors.`,
    writeTimeoutMs: limit(15_000, 500, 120_000)`
      How long the writer waits for an answer of the database; then the batch is written again, and after three such
      waits in halves.`,
    pauseAfterMs: limit(10_000, 500, 60_000)`
      How long a frame of a device may wait to be stored; then the device is sent PAUSE.`,
    pauseRetryMs: limit(5_000, 100, 60_000)`
      How long PAUSE tells a device to send no points, and how often it is sent at most.`,
    refusedRowsPerHourMax: limit(1_000, 1, 1_000_000)`
      Points of a device that the database may refuse in an hour, each of which is rejected; more of them close its
      socket with 4429.`,
    rejectedPointsPerDevice: limit(1_000, 0, 1_000_000)`
      Dead letters of a device, which are points rejected for their time or by the database; beyond it the oldest
      are deleted (0: none are kept).`,
    lastSeenFlushMs: limit(5_000, 100, 600_000)`
      How often the database is told when devices were last seen and users last logged in; a hub that is killed
      loses what it has noted since.`,
  },

  Sessions: {
    sessionGapMs: limit(30 * 60_000, 1_000, 24 * 3_600_000)`
      The longest silence in a session that the hub makes for points that name none; after it the session ends at
      its last point and the next point begins another, and in tracks of any session a new stretch begins.`,
    sessionIdleMs: limit(24 * 3_600_000, 1_000, 30 * 24 * 3_600_000)`
      How long a session that a device has named may be without points and ops; then the hub ends it at its last
      point.`,
    sessionSweepMs: limit(30_000, 100, 3_600_000)`
      How often the hub looks for sessions that have been idle for so long, which stay open until then.`,
  },

  'Live and viewers': {
    liveAgeMs: limit(60_000, 0, Number.MAX_SAFE_INTEGER)`
      How old a point may be to be shown live; older ones are left out, except a device's newest at the end of a
      frame, and viewers are told BACKFILLED once they are stored.`,
    tickMs: limit(2_000, 100, 60_000)`
      How often a viewer or an admin is sent TICK, unless it has not answered the last one.`,
    seenLateMs: limit(5_000, 200, 60_000)`
      How long SEEN may take; a viewer that is later leaves the live stream and is served snapshots at its own pace,
      and an admin skips seconds.`,
    seenTimeoutMs: limit(30_000, 1_000, 600_000)`
      How long there may be no SEEN (more than ALZY_SEEN_LATE_MS); then the socket is closed with 4402.`,
    snapBytesMax: limit(32 * 1024, 2_048, 1024 * 1024)`
      Bytes of a SNAP part, unless one device alone takes more; what does not fit comes with the next part.`,
    viewerBufferBytesMax: limit(1024 * 1024, 64 * 1024, 64 * 1024 * 1024)`
      Bytes that may wait in the hub for a viewer that does not read; frames beyond it are dropped, and the viewer
      leaves the live stream and is sent the whole snapshot again.`,
    rateWatchedMs: limit(1_000, 100, 3_600_000)`
      How often RATE tells a device that a point is enough while somebody watches it; a device may ignore it.`,
    rateUnwatchedMs: limit(15_000, 100, 3_600_000)`
      How often RATE tells a device that a point is enough while nobody watches it; a device may ignore it.`,
    rateEveryMs: limit(10_000, 10_000, 600_000)`
      How often a device is sent RATE at most; what changes meanwhile it is told later.`,
  },

  'Memory, reads and HTTP': {
    idleDevicesMax: limit(20_000, 0, 10_000_000)`
      Devices that stay in memory with no socket and nothing to store; beyond it the one that left first is
      forgotten, and read from the database when it comes again (0 is taken for 1).`,
    lastErrorsMax: limit(1_000, 1, 1_000_000)`
      Devices whose last error admins are shown; beyond it the oldest error is forgotten.`,
    readTimeoutMs: limit(10_000, 500, 120_000)`
      How long all but the writer waits for an answer of PostgreSQL; then a request is answered with 503 and a HELLO
      closed with 1013 (with the embedded database it is ALZY_WRITE_TIMEOUT_MS for all).`,
    readConnections: limit(4, 1, 64)`
      Statements of all but the writer that PostgreSQL may run at a time, each on a connection of its own; one more
      waits for its turn (the embedded database has one connection for all).`,
    bodyBytesMax: limit(64 * 1024, 1_024, 16 * 1024 * 1024)`
      Bytes of the body of an HTTP request; a larger one is answered with 413.`,
    bodyTimeoutMs: limit(30_000, 100, 600_000)`
      How long the body of an HTTP request may take to arrive; then it is answered with 408, and the connection
      ends.`,
  },

  'Users, tokens and shares': {
    tokenTtlSMax: limit(90 * 24 * 3_600, 60, 90 * 24 * 3_600)`
      How long a token of the hub, or of a share, may be good; one that is asked for longer is refused with 400, and
      one that was made for longer with 401 or 4503.`,
    rightsCheckMs: limit(1_000, 100, 30_000)`
      How often the database is asked whether whoever has a socket or an export may still have it; what it has taken
      back is closed with 4503, or broken off.`,
    devicesPerUserMax: limit(1_000, 1, 1_000_000)`
      Devices of a user, without the deleted ones; one more is refused with 409.`,
    sharesPerUserMax: limit(1_000, 1, 1_000_000)`
      Shares of a user that go on; one more is refused with 409.`,
    shareDevicesMax: limit(100, 1, 1_024)`
      Devices of a share; more are refused with 400.`,
    oidcTokenTtlSMax: limit(24 * 3_600, 60, 90 * 24 * 3_600)`
      How long a token of the OpenID issuer may be good, from when it was made; one for longer is refused with 401
      or 4503.`,
    oidcKeysFreshMs: limit(10 * 60_000, 100, 24 * 3_600_000)`
      How old the issuer's keys may be before the next token makes the hub fetch them anew.`,
    oidcKeysStaleMs: limit(24 * 3_600_000, 0, 30 * 24 * 3_600_000)`
      How old the issuer's keys may be while they cannot be fetched anew (at least ALZY_OIDC_KEYS_FRESH_MS); then
      its tokens are answered with 503 or 1013 until the issuer is back.`,
    oidcCooldownMs: limit(10_000, 100, 3_600_000)`
      How long after a fetch of the issuer's keys the next one may be; a token with an unknown key is answered with
      503 or 1013 until then.`,
    oidcTimeoutMs: limit(5_000, 100, 15_000)`
      How long the issuer may take for an answer; then it is away, and its keys stay as they were.`,
  },

  'History and exports': {
    exportsMax: limit(100, 1, 10_000)`
      Tracks and lists of points under way, in all; one more is refused with 503 and Retry-After.`,
    exportsPerAddressMax: limit(20, 1, 10_000)`
      Tracks and lists of points under way to one address (the hub's own machine is not counted); one more is
      refused with 429 and Retry-After.`,
    exportStallMs: limit(60_000, 500, 3_600_000)`
      How long whoever reads a track or a list may take nothing of it; then it is broken off.`,
    pagePointsMax: limit(1_000, 10, 10_000)`
      Points of a track or a list that one statement reads; how long it may be is not bounded by this.`,
    scanPointsMax: limit(5_000, 10, 100_000)`
      Points that one statement may look at in search of those of a session or a place, or to simplify them; the
      next one goes on behind them, and a place that holds more is looked for in the order of time.`,
    measurePointsMax: limit(50_000, 10, 1_000_000)`
      Points that one statement may look at to measure a session; the next one goes on behind them.`,
  },

  'Audit and retention': {
    auditRefusedEveryMs: limit(60_000, 100, 3_600_000)`
      How often the log has a line with the count of what was refused to an address after the first time, which has
      one at once.`,
    auditRefusedMax: limit(1_000, 1, 100_000)`
      Addresses, each counted once for a kind of credential, that have lines of their own within
      ALZY_AUDIT_REFUSED_EVERY_MS; what is refused to others is counted in one line for all.`,
    retentionRowsMax: limit(500, 1, 100_000)`
      Rows that one statement of retention may delete; the next one follows after a rest three times as long as it
      took.`,
    retentionSweepMs: limit(3_600_000, 100, 7 * 24 * 3_600_000)`
      How often retention looks at all devices anew, unless it is not through with them yet.`,
  },

  'When the hub stops': {
    shutdownMs: limit(5_000, 500, 60_000)`
      How long a hub that stops waits for the database to store what it took (and as long for one that is just being
      opened); then everyone is closed with 1012, and devices keep what was not acknowledged.`,
    reconnectSpreadMs: limit(5_000, 0, 600_000)`
      How long GOAWAY lets clients wait at most before they come back, each as long as chance says, so that they do
      not come all at once.`,
  },
}

type Groups = typeof GROUPS
type Name = { [Title in keyof Groups]: keyof Groups[Title] }[keyof Groups]

export type Limits = Readonly<Record<Name, number>>

export const LIMITS: Readonly<Record<Name, Limit>> = Object.assign({}, ...Object.values(GROUPS))

/** A setting as people are shown it. */
export interface Row {
  variable: string
  /** Its default, in words as well where the number alone says little. */
  value: string
  /** Empty where anything goes. */
  range: string
  meaning: string
}

/** Every limit, by group. */
export function limitTable(): { title: string; rows: Row[] }[] {
  return Object.entries(GROUPS).map(([title, group]) => ({
    title,
    rows: Object.entries<Limit>(group).map(([name, one]) => ({
      variable: variableOf(name),
      value: one.said ?? inWords(name, one.value),
      range: rangeOf(one),
      meaning: one.meaning,
    })),
  }))
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

/** `helloTimeoutMs` → `ALZY_HELLO_TIMEOUT_MS`. */
export function variableOf(name: string): string {
  return `ALZY_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
}

function rangeOf({ min, max }: Limit): string {
  return max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `${min} to ${max}`
}

/** From the largest on. */
const SPANS = { days: 24 * 3_600_000, h: 3_600_000, min: 60_000, s: 1_000 }
const BYTES = { MiB: 1024 * 1024, KiB: 1024 }

/** `30000` → `30000 (30 s)`: as it is set, and in the largest unit that it is a whole number of. */
function inWords(name: string, value: number): string {
  const isSeconds = /(?<!Per)S(Max)?$/.test(name)
  const units = name.endsWith('BytesMax') ? BYTES : isSeconds || name.endsWith('Ms') ? SPANS : {}
  const amount = isSeconds ? value * 1_000 : value
  for (const [unit, size] of Object.entries<number>(units)) {
    // A day is rather called 24 h.
    const least = unit === 'days' ? 2 : 1
    if (Number.isInteger(amount / size) && amount / size >= least)
      return `${value} (${amount / size} ${unit})`
  }
  return String(value)
}
