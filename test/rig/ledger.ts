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
  isGeomRight: boolean
}

const EXAMPLES_MAX = 10
const ENDED = 3

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
    compareNotes(
      deviceId,
      own.flatMap(({ notes }) => notes),
      await readRows(query, deviceId),
      findings,
    )
    compareOps(
      deviceId,
      own.flatMap(({ ops }) => ops),
      await readEnded(query, deviceId),
      findings,
    )
  }
  return findings
}

function compareNotes(deviceId: number, notes: Note[], rows: Row[], findings: Findings): void {
  const unclaimed = new Map<number, Row[]>()
  for (const row of rows) unclaimed.set(row.recordedMs, [...(unclaimed.get(row.recordedMs) ?? []), row])
  findings.stored += rows.length
  for (const note of notes) {
    const found = unclaimed.get(note.recordedMs) ?? []
    unclaimed.delete(note.recordedMs)
    const wrong = judge(note, found)
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

function judge(note: Note, found: readonly Row[]): 'lost' | 'altered' | 'missing' | null {
  if (note.sent.length === 0) return found.length === 0 ? null : 'altered'
  if (note.rejection !== note.poison && note.acknowledgedMs !== null) return 'lost'
  if (note.poison !== null) return found.length === 0 ? null : 'altered'
  if (found.length === 0) return note.acknowledgedMs === null ? 'missing' : 'lost'
  return found.every((row) => isSame(note, row)) ? null : 'altered'
}

function isSame(note: Note, row: Row): boolean {
  // Without a session a point belongs to an explicit one that was open then, or to one that the hub made (D3).
  const isInSession =
    note.sessionMs === null
      ? row.isAutomatic || row.sessionMs <= note.recordedMs
      : row.sessionMs === note.sessionMs
  return isInSession && row.isGeomRight && row.values.every((value, i) => value === (note.values[i] ?? null))
}

/** Ended is final (D2), so an acknowledged end has to be there whatever came afterwards. */
function compareOps(deviceId: number, ops: Op[], ended: ReadonlySet<number>, findings: Findings): void {
  for (const op of ops) {
    if (op.acknowledgedMs === null) continue
    const isStored = op.op !== ENDED || ended.has(op.sessionMs)
    if (op.rejection === op.poison && (isStored || op.poison !== null)) continue
    findings.lost += 1
    example(findings, `lost: device ${deviceId} ${JSON.stringify(op)}`)
  }
}

function example(findings: Findings, text: string): void {
  if (findings.examples.length < EXAMPLES_MAX) findings.examples.push(text)
}

async function readRows(query: Query, deviceId: number): Promise<Row[]> {
  const rows = await query(
    `select (extract(epoch from p.recorded_at) * 1000)::float8 as "recordedMs",
       (p.lat * 1e7)::float8 as lat, (p.lng * 1e7)::float8 as lng, round(p.accuracy * 100) as accuracy,
       round(p.speed * 100) as speed, round(p.heading * 100) as heading, round(p.altitude * 100) as altitude,
       array_position(enum_range(null::point_source), p.source) - 1 as source,
       (extract(epoch from s.started_at) * 1000)::float8 as "sessionMs",
       exists (select 1 from automatic_sessions a where a.session_id = s.id) as "isAutomatic",
       st_x(p.geom) = p.lng::float8 and st_y(p.geom) = p.lat::float8 and s.device_id = p.device_id as "isRight"
     from points p join sessions s on s.id = p.session_id where p.device_id = $1`,
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
    isGeomRight: row.isRight === true,
  }))
}

async function readEnded(query: Query, deviceId: number): Promise<Set<number>> {
  const rows = await query(
    `select (extract(epoch from started_at) * 1000)::float8 as "startedMs"
     from sessions where device_id = $1 and status = 'ended'`,
    [deviceId],
  )
  return new Set(rows.map((row) => Number(row.startedMs)))
}

function numberOrNull(value: unknown): number | null {
  return value === null ? null : Number(value)
}
