/**
 * What a virtual device recorded, sent and was told, and the comparison of all that with what the database holds. It
 * knows no socket and no hub: the rows come from the database itself.
 */

type Query = (text: string, parameters?: (string | number | null)[]) => Promise<Record<string, unknown>[]>

/** lat, lng (both degrees × 10⁷), accuracy, speed, heading, altitude, source: as they go on the wire. */
export type Values = readonly [number, number, ...(number | null)[]]

/** One point of a device. */
export interface Note {
  recordedMs: number
  values: Values
  /** The session that it was sent with; null: none. */
  sessionMs: number | null
  /** Why the hub has to reject it; null: it has to be stored. */
  poison: number | null
  /** Every frame that it went with. */
  sent: { connection: number; seq: number; atMs: number }[]
  acknowledgedMs: number | null
  /** The reason that an ACK gave. */
  rejection: number | null
}

/** One SESSION frame of a device. */
export interface Op {
  sessionMs: number
  op: number
  atMs: number
  /** As of a point. */
  poison: number | null
  acknowledgedMs: number | null
  rejection: number | null
}

export type Ledger = ReturnType<typeof createLedger>

export function createLedger(deviceId: number) {
  const notes: Note[] = []
  const ops: Op[] = []
  return { deviceId, notes, ops }
}

export interface Findings {
  acknowledged: number
  stored: number
  /** Acknowledged and not in the table, or not in the state that was acknowledged. */
  lost: number
  /** Rows beyond the first of a point. */
  doubled: number
  /** Rows with another content than was sent, that nobody sent, or that were to be rejected. */
  altered: number
  /** Sent, not acknowledged, and not in the table: none once everything has healed. */
  missing: number
  /** Some of what is wrong, for a person to read. */
  examples: string[]
}

interface Row {
  recordedMs: number
  values: Values
  sessionMs: number
  isAutomatic: boolean
  /** From the nearest other point of its session; null: it has no other. */
  gapMs: number | null
  receivedMs: number
  isGeomRight: boolean
}

/** What the protocol says of the device's sessions, and what the database has of them, by their start. */
interface Sessions {
  named: ReadonlySet<number>
  /** When the device was told that its end is stored, by the clock of this process. */
  endedMs: ReadonlyMap<number, number>
  /** Those whose first point was sent without a session: the hub may have made them, and their device claimed them later. */
  claimable: ReadonlySet<number>
}

const EXAMPLES_MAX = 10
const ENDED = 3
/** Of the protocol (D3): a point this close to an automatic session belongs to it, and an explicit one ends by itself. */
const SESSION_GAP_MS = 30 * 60_000
const SESSION_IDLE_MS = 24 * 3_600_000
/** So much after its first point an automatic session may start, because others start there already. */
const SHIFT_MS_MAX = 99

/** Ledgers of the same device, as of two machines with one key, are taken together. */
export async function compareWithDatabase(ledgers: readonly Ledger[], query: Query): Promise<Findings> {
  const findings: Findings = {
    acknowledged: 0,
    stored: 0,
    lost: 0,
    doubled: 0,
    altered: 0,
    missing: 0,
    examples: [],
  }
  for (const deviceId of new Set(ledgers.map((ledger) => ledger.deviceId))) {
    const own = ledgers.filter((ledger) => ledger.deviceId === deviceId)
    const [notes, ops] = [own.flatMap((ledger) => ledger.notes), own.flatMap((ledger) => ledger.ops)]
    const rows = await readRows(query, deviceId)
    compareNotes(deviceId, notes, rows, sessionsOf(notes, ops, rows), findings)
    compareOps(deviceId, ops, rows, await readStarts(query, deviceId), findings)
  }
  return findings
}

function sessionsOf(notes: readonly Note[], ops: readonly Op[], rows: readonly Row[]): Sessions {
  const stored = ops.filter(({ acknowledgedMs, rejection }) => acknowledgedMs !== null && rejection === null)
  const ends = stored.filter(({ op }) => op === ENDED)
  const lone = new Set(notes.flatMap((note) => (note.sessionMs === null ? note.recordedMs : [])))
  return {
    named: new Set([...notes, ...ops].flatMap(({ sessionMs }) => sessionMs ?? [])),
    endedMs: new Map(ends.map(({ sessionMs, acknowledgedMs }) => [sessionMs, acknowledgedMs!])),
    claimable: new Set(
      rows.flatMap(({ recordedMs, sessionMs }) =>
        lone.has(recordedMs) && isStartOf(sessionMs, recordedMs) ? sessionMs : [],
      ),
    ),
  }
}

function compareNotes(
  deviceId: number,
  notes: Note[],
  rows: Row[],
  sessions: Sessions,
  findings: Findings,
): void {
  const unclaimed = new Map<number, Row[]>()
  for (const row of rows) unclaimed.set(row.recordedMs, [...(unclaimed.get(row.recordedMs) ?? []), row])
  findings.stored += rows.length
  for (const note of notes) {
    const found = unclaimed.get(note.recordedMs) ?? []
    unclaimed.delete(note.recordedMs)
    const wrong = judge(note, found, sessions)
    if (note.acknowledgedMs !== null) findings.acknowledged += 1
    if (found.length > 1) {
      findings.doubled += found.length - 1
      example(findings, `doubled: device ${deviceId} ${JSON.stringify(found)}`)
    }
    if (wrong === null) continue
    findings[wrong] += 1
    example(findings, `${wrong}: device ${deviceId} ${JSON.stringify(note)} ${JSON.stringify(found)}`)
  }
  for (const strangers of unclaimed.values()) {
    findings.altered += strangers.length
    example(findings, `never recorded: device ${deviceId} ${JSON.stringify(strangers)}`)
  }
}

function judge(note: Note, found: readonly Row[], sessions: Sessions): 'lost' | 'altered' | 'missing' | null {
  if (note.sent.length === 0) return found.length === 0 ? null : 'altered'
  if (note.rejection !== note.poison && note.acknowledgedMs !== null) return 'lost'
  if (note.poison !== null) return found.length === 0 ? null : 'altered'
  if (found.length === 0) return note.acknowledgedMs === null ? 'missing' : 'lost'
  return found.every((row) => isSame(note, row, sessions)) ? null : 'altered'
}

function isSame(note: Note, row: Row, sessions: Sessions): boolean {
  const isInSession =
    note.sessionMs === null ? mayBelong(note, row, sessions) : row.sessionMs === note.sessionMs
  return isInSession && row.isGeomRight && row.values.every((value, i) => value === stored(note.values, i))
}

/** As the columns hold them: metres, metres per second and degrees as float8, from hundredths of each. */
function stored(values: Values, i: number): number | null {
  const value = values[i] ?? null
  return value === null || i < 2 || i > 5 ? value : value / 100
}

/** D3, of a point that was sent without a session. */
function mayBelong({ recordedMs, sent }: Note, row: Row, sessions: Sessions): boolean {
  const { sessionMs, gapMs, isAutomatic } = row
  const isNear = isStartOf(sessionMs, recordedMs) || (gapMs !== null && gapMs <= SESSION_GAP_MS)
  if (isAutomatic) return isNear && sessionMs <= recordedMs + SHIFT_MS_MAX
  if (!sessions.named.has(sessionMs)) return false
  const wasOpen = (sessions.endedMs.get(sessionMs) ?? Number.POSITIVE_INFINITY) >= sent[0]!.atMs
  return (wasOpen && sessionMs <= recordedMs) || (isNear && sessions.claimable.has(sessionMs))
}

/** Whether an automatic session with this start may begin with that point. */
function isStartOf(sessionMs: number, recordedMs: number): boolean {
  return sessionMs >= recordedMs && sessionMs <= recordedMs + SHIFT_MS_MAX
}

/** Ended is final (D2), so an acknowledged end has to be there whatever came afterwards, and only points move it. */
function compareOps(
  deviceId: number,
  ops: Op[],
  rows: readonly Row[],
  starts: ReadonlyMap<number, number | null>,
  findings: Findings,
): void {
  const lastMs = new Map<number, number>()
  let [fromMs, toMs] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const { sessionMs, recordedMs, receivedMs } of rows) {
    lastMs.set(sessionMs, Math.max(lastMs.get(sessionMs) ?? sessionMs, recordedMs))
    fromMs = Math.min(fromMs, receivedMs)
    toMs = Math.max(toMs, receivedMs)
  }
  // Such a hub may have ended a session for its idleness, at its last point, before it was told the end.
  const mayHaveBeenIdle = toMs - fromMs > SESSION_IDLE_MS
  for (const op of ops) {
    const wrong = op.acknowledgedMs === null ? null : judgeOp(op)
    if (wrong === null) continue
    findings[wrong] += 1
    example(
      findings,
      `${wrong}: device ${deviceId} ${JSON.stringify(op)} ended at ${starts.get(op.sessionMs)}`,
    )
  }

  function judgeOp({ sessionMs, op, atMs, rejection, poison }: Op): 'lost' | 'altered' | null {
    if (rejection !== poison) return 'lost'
    if (poison !== null) return null
    const endedMs = starts.get(sessionMs)
    if (endedMs === undefined || (op === ENDED && endedMs === null)) return 'lost'
    if (op !== ENDED) return null
    const last = lastMs.get(sessionMs) ?? sessionMs
    return endedMs === Math.max(atMs, last) || (mayHaveBeenIdle && endedMs === last) ? null : 'altered'
  }
}

function example(findings: Findings, text: string): void {
  if (findings.examples.length < EXAMPLES_MAX) findings.examples.push(text)
}

async function readRows(query: Query, deviceId: number): Promise<Row[]> {
  const rows = await query(
    `select (extract(epoch from p.recorded_at) * 1000)::float8 as "recordedMs",
       (p.lat * 1e7)::float8 as lat, (p.lng * 1e7)::float8 as lng, p.accuracy, p.speed, p.heading, p.altitude,
       array_position(enum_range(null::point_source), p.source) - 1 as source,
       (extract(epoch from s.started_at) * 1000)::float8 as "sessionMs",
       exists (select 1 from automatic_sessions a where a.session_id = s.id) as "isAutomatic",
       (extract(epoch from least(p.recorded_at - lag(p.recorded_at) over own, lead(p.recorded_at) over own - p.recorded_at))
        * 1000)::float8 as "gapMs", (extract(epoch from p.received_at) * 1000)::float8 as "receivedMs",
       st_x(p.geom) = p.lng::float8 and st_y(p.geom) = p.lat::float8 and s.device_id = p.device_id as "isRight"
     from points p join sessions s on s.id = p.session_id where p.device_id = $1
     window own as (partition by p.session_id order by p.recorded_at)`,
    [deviceId],
  )
  return rows.map((row) => ({
    recordedMs: Number(row.recordedMs),
    values: [
      Number(row.lat),
      Number(row.lng),
      ...[row.accuracy, row.speed, row.heading, row.altitude].map(numberOrNull),
      Number(row.source),
    ],
    sessionMs: Number(row.sessionMs),
    isAutomatic: row.isAutomatic === true,
    gapMs: numberOrNull(row.gapMs),
    receivedMs: Number(row.receivedMs),
    isGeomRight: row.isRight === true,
  }))
}

/** The end of each session by its start; null: it goes on. */
async function readStarts(query: Query, deviceId: number): Promise<Map<number, number | null>> {
  const rows = await query(
    `select (extract(epoch from started_at) * 1000)::float8 as "startedMs",
       (extract(epoch from ended_at) * 1000)::float8 as "endedMs"
     from sessions where device_id = $1`,
    [deviceId],
  )
  return new Map(rows.map((row) => [Number(row.startedMs), numberOrNull(row.endedMs)]))
}

function numberOrNull(value: unknown): number | null {
  return value === null ? null : Number(value)
}
