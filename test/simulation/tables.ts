/**
 * The tables of the database, and what the statements of the writer do to them, in memory: one statement is one step, all
 * of it or nothing. It knows the statements by their words, and nothing of when they run.
 */

import type { DeviceCredentials } from '../../src/core/device.ts'
import { type Session, SHIFT_MS_MAX } from '../../src/core/sessions.ts'
import type { UserRole } from '../../src/protocol/messages.ts'
import type { Parameter, Result } from '../../src/store/line/run.ts'

export interface PointRow {
  recordedMs: number
  receivedMs: number
  sessionId: number
  /** lat, lng, accuracy, speed, heading, altitude in wire units; NaN is NULL. */
  values: readonly number[]
  source: string
}

export interface SessionRow {
  id: number
  deviceId: number
  userId: number
  startedMs: number
  endedMs: number | null
  status: Session['status']
  /** The moment of the deciding op in microseconds, the op itself in the last three digits. */
  statusUs: number
  /** Every start that it has had. */
  starts: Set<number>
  /** Its status is of a statement whose hub was gone by then: the next one, and viewers, may have read it before. */
  isUnheard: boolean
}

export interface DeviceTable {
  id: number
  userId: number
  keyHash: string
  isActive: boolean
  points: Map<number, PointRow>
  rejected: Set<number>
  lastSeenMs: number | null
}

export interface UserTable {
  id: number
  role: UserRole
  isActive: boolean
}

export interface ShareTable {
  id: number
  userId: number
  deviceIds: number[]
  isEnded: boolean
}

/** An error as the driver throws it. */
export class StoreError extends Error {
  readonly code: string
  constructor(code: string) {
    super(`simulated ${code}`)
    this.code = code
  }
}

/** Points of this accuracy, and sessions that start in the last millisecond of a second, are refused. */
export const POISON_ACCURACY = 66_666
export const isPoisonStart = (startedMs: number) => startedMs % 1000 === 999

/** Instead of the 200 of the real statement, so that few points are enough to hide a last one. */
const LAST_POINT_ROWS_MAX = 5
export const AHEAD_MS = 60_000
const CHECK_VIOLATION = '23514'
const FOREIGN_KEY = '23503'
const UNIQUE = '23505'
const BAD_TIME = '22008'

export type Tables = ReturnType<typeof createTables>

export interface TablesOptions {
  onInsert: (device: DeviceTable, row: PointRow) => void
  /** What a hub had made up has been named by its device. */
  onClaim: () => void
}

export function createTables({ onInsert, onClaim }: TablesOptions) {
  const devices = new Map<number, DeviceTable>()
  const users = new Map<number, UserTable>()
  const shares = new Map<number, ShareTable>()
  const sessions = new Map<number, SessionRow>()
  const automatic = new Set<number>()
  let lastSessionId = 0
  let newestReceivedMs: number | null = null
  let isOrphan = false
  return {
    devices,
    users,
    shares,
    sessions,
    automatic,
    execute,
    newest,
    credentials,
    idleDevices,
    dropEmptySessions,
    get newestReceivedMs() {
      return newestReceivedMs
    },
  }

  /** `hasNobody`: whoever has sent it is gone. */
  function execute(text: string, parameters: readonly Parameter[], hasNobody: boolean): Result {
    isOrphan = hasNobody
    switch (kindOf(text)) {
      case 'insertPoints':
        return insertPoints(parameters as string[])
      case 'insertRejected':
        return insertRejected(parameters as string[])
      case 'trimRejected':
        return result([])
      case 'create':
        return create(givenRows(parameters as string[]))
      case 'change':
        return change(givenRows(parameters as string[]))
      case 'findAutomatic':
        return findAutomatic(parameters)
      case 'findNamed':
        return findNamed(parameters as string[])
      case 'lastPoints':
        return lastPoints(parameters)
    }
  }

  function insertPoints(parameters: string[]): Result {
    const [ids, sessionIds, lat, lng, accuracy, speed, heading, altitude] = parameters.map(numbersOf)
    const sources = wordsOf(parameters[8]!)
    const recorded = numbersOf(parameters[9]!)
    const received = numbersOf(parameters[10]!)
    for (let i = 0; i < ids!.length; i++) {
      if (accuracy![i] === POISON_ACCURACY) throw new StoreError(CHECK_VIOLATION)
      if (sessions.get(sessionIds![i]!)?.deviceId !== ids![i]) throw new StoreError(FOREIGN_KEY)
    }
    let count = 0
    for (let i = 0; i < ids!.length; i++) {
      const device = devices.get(ids![i]!)!
      const recordedMs = recorded[i]!
      if (device.points.has(recordedMs)) continue
      const values = [lat![i]!, lng![i]!, accuracy![i]!, speed![i]!, heading![i]!, altitude![i]!]
      const row = {
        recordedMs,
        receivedMs: received[i]!,
        sessionId: sessionIds![i]!,
        values,
        source: sources[i]!,
      }
      device.points.set(recordedMs, row)
      newestReceivedMs = Math.max(newestReceivedMs ?? 0, row.receivedMs)
      onInsert(device, row)
      count += 1
    }
    return Object.assign([], { count })
  }

  function insertRejected(parameters: string[]): Result {
    const ids = numbersOf(parameters[0]!)
    const recorded = numbersOf(parameters[3]!)
    for (const [i, id] of ids.entries()) devices.get(id)!.rejected.add(recorded[i]!)
    return result([])
  }

  function create(given: Given[]): Result {
    if (given.some(isPoisonous)) throw new StoreError(BAD_TIME)
    return result(
      given.map((g) => {
        let row = startedAt(g.deviceId, g.startedMs)
        const isNew = row === undefined
        if (row === undefined) {
          lastSessionId += 1
          const { deviceId, userId, startedMs, endedMs, status, statusUs } = g
          row = {
            id: lastSessionId,
            deviceId,
            userId,
            startedMs,
            endedMs,
            status,
            statusUs,
            starts: new Set([startedMs]),
            isUnheard: isOrphan,
          }
          sessions.set(row.id, row)
          if (g.automatic) automatic.add(row.id)
        } else {
          decide(row, g, Math.max(row.statusUs, g.statusUs))
        }
        const isAutomatic = g.automatic && automatic.has(row.id)
        claim(g, row)
        return { ...shown(row, g.i, isAutomatic), is_new: isNew }
      }),
    )
  }

  function change(given: Given[]): Result {
    const isMoving = (g: Given, row: SessionRow) =>
      g.startedMs < row.startedMs && automatic.has(row.id) && freeStart(g, row) < row.startedMs
    const found = given.flatMap((g) => {
      const row = sessions.get(g.id)
      if (row === undefined || row.deviceId !== g.deviceId) return []
      return g.automatic || row.startedMs === g.startedMs || isMoving(g, row) ? [{ g, row }] : []
    })
    const moving = found
      .filter(({ g, row }) => isMoving(g, row))
      .map(({ g, row }) => ({ g, row, toMs: freeStart(g, row) }))
    if (moving.some(({ g }) => isPoisonous(g))) throw new StoreError(BAD_TIME)
    const places = new Set(moving.map(({ row, toMs }) => `${row.deviceId} ${toMs}`))
    if (places.size < moving.length) throw new StoreError(UNIQUE)
    for (const { row, toMs } of moving) {
      row.startedMs = toMs
      row.starts.add(toMs)
      if (row.status !== 'ended') row.statusUs = toMs * 1000
    }
    for (const { g, row } of found) decide(row, g, Math.max(row.statusUs, g.statusUs))
    const isAutomatic = new Map(found.map(({ g, row }) => [g, g.automatic && automatic.has(row.id)]))
    for (const { g, row } of found) claim(g, row)
    return result(found.map(({ g, row }) => shown(row, g.i, isAutomatic.get(g)!)))
  }

  function claim(g: Given, row: SessionRow): void {
    if (!g.automatic && automatic.delete(row.id)) onClaim()
  }

  /** What the hub has made up may come to start there beside another session. */
  function isPoisonous(g: Given): boolean {
    return !g.automatic && isPoisonStart(g.startedMs)
  }

  /** From its earliest point on, the first moment that is no other session's start; what its device has named is exact. */
  function freeStart(g: Given, row: SessionRow): number {
    for (let ms = g.startedMs; ms <= g.startedMs + (g.automatic ? SHIFT_MS_MAX : 0); ms++) {
      const other = startedAt(row.deviceId, ms)
      if (other === undefined || other === row) return ms
    }
    return Number.POSITIVE_INFINITY
  }

  /** The later op wins, *ended* is final, and the end of what has ended is moved by points alone. */
  function decide(row: SessionRow, g: Given, statusUs: number): void {
    if (row.status === 'ended') {
      row.endedMs = Math.max(row.endedMs!, g.lastMs ?? Number.NEGATIVE_INFINITY)
      return
    }
    const isLater = g.statusUs > row.statusUs
    row.endedMs = g.status === 'ended' && isLater ? g.endedMs : null
    if (isLater) {
      row.status = g.status
      row.isUnheard = isOrphan
    }
    row.statusUs = statusUs
  }

  function findAutomatic(parameters: readonly Parameter[]): Result {
    const [is, ids, starts] = (parameters.slice(0, 3) as string[]).map(numbersOf)
    const gapMs = parameters[3] as number
    return result(
      is!.flatMap((i, at) => {
        let near: { row: PointRow; gapMs: number } | null = null
        for (const row of devices.get(ids![at]!)!.points.values()) {
          const distanceMs = Math.abs(row.recordedMs - starts![at]!)
          if (distanceMs > gapMs || !automatic.has(row.sessionId)) continue
          if (near === null || distanceMs < near.gapMs) near = { row, gapMs: distanceMs }
        }
        return near === null ? [] : [shown(sessions.get(near.row.sessionId)!, i, true)]
      }),
    )
  }

  function findNamed(parameters: string[]): Result {
    const [is, ids, starts] = parameters.map(numbersOf)
    return result(
      is!.flatMap((i, at) => {
        const row = startedAt(ids![at]!, starts![at]!)
        return row === undefined ? [] : [shown(row, i, automatic.has(row.id))]
      }),
    )
  }

  function lastPoints([deviceId, fromMs, beforeMs, ids]: readonly Parameter[]): Result {
    const before = (beforeMs as number | null) ?? Number.POSITIVE_INFINITY
    const page = pointsDown(deviceId as number).filter(
      ({ recordedMs }) => recordedMs >= (fromMs as number) && recordedMs < before,
    )
    const rows: Record<string, unknown>[] = [
      { id: null, recorded_ms: page.at(-1)?.recordedMs ?? null, received_ms: null, rows: page.length },
    ]
    for (const id of numbersOf(ids as string)) {
      const last = page.find((row) => row.sessionId === id)
      if (last) rows.push({ id, recorded_ms: last.recordedMs, received_ms: last.receivedMs, rows: 1 })
    }
    return result(rows)
  }

  function startedAt(deviceId: number, startedMs: number): SessionRow | undefined {
    for (const row of sessions.values())
      if (row.deviceId === deviceId && row.startedMs === startedMs) return row
    return undefined
  }

  function shown(row: SessionRow, i: number, isAutomatic: boolean): Record<string, unknown> {
    return { i, automatic: isAutomatic, ...storedOf(row) }
  }

  function pointsDown(deviceId: number): PointRow[] {
    return [...devices.get(deviceId)!.points.values()].sort((a, b) => b.recordedMs - a.recordedMs)
  }

  /** The newest point that counts (D9). */
  function newest(deviceId: number): PointRow | null {
    let best: PointRow | null = null
    for (const row of devices.get(deviceId)!.points.values()) {
      if (row.recordedMs > row.receivedMs + AHEAD_MS) continue
      if (best === null || row.recordedMs > best.recordedMs) best = row
    }
    return best
  }

  /** As readCredentials reads it. */
  function credentials(id: number): DeviceCredentials {
    const { userId, keyHash, isActive, lastSeenMs } = devices.get(id)!
    const down = pointsDown(id)
    const last = newest(id)
    const session = last && sessions.get(last.sessionId)!
    return {
      id,
      userId,
      keyHash,
      isActive: isActive && users.get(userId)!.isActive,
      isGone: !isActive,
      name: `device ${id}`,
      color: 'blue',
      platform: 'android',
      lastSeenMs,
      newest: last && {
        sessionId: session!.id,
        sessionMs: session!.startedMs,
        sessionStatus: session!.status,
        values: Float64Array.of(last.recordedMs, ...last.values, SOURCES.indexOf(last.source)),
      },
      sessions: [...sessions.values()]
        .filter(({ deviceId }) => deviceId === id)
        .map((row) => known(row, down)),
    }
  }

  /** As readRecentSessions reads it. */
  function known(row: SessionRow, down: readonly PointRow[]): Session {
    const newestOnes = lastOf(row, down)
    const last = newestOnes.find(({ sessionId }) => sessionId === row.id)
    const isAutomatic = automatic.has(row.id)
    const lastMs = last?.recordedMs ?? row.endedMs ?? (isAutomatic ? row.startedMs : Number.NEGATIVE_INFINITY)
    const statusMs = Math.floor(row.statusUs / 1000)
    return {
      id: row.id,
      deviceId: row.deviceId,
      userId: row.userId,
      startedMs: row.startedMs,
      automatic: isAutomatic,
      status: row.status,
      statusMs,
      statusOp: row.statusUs % 1000,
      endedMs: row.endedMs,
      firstMs: lastMs === Number.NEGATIVE_INFINITY ? Number.POSITIVE_INFINITY : row.startedMs,
      lastMs,
      isLastKnown: last !== undefined || newestOnes.length < LAST_POINT_ROWS_MAX,
      touchedMs: last?.receivedMs ?? statusMs,
      isCounted: true,
      revision: 1,
      storedRevision: 1,
      siblings: [],
    }
  }

  function lastOf(row: SessionRow, down: readonly PointRow[]): PointRow[] {
    if (row.status === 'ended') return []
    return down.filter(({ recordedMs }) => recordedMs >= row.startedMs).slice(0, LAST_POINT_ROWS_MAX)
  }

  /** As readIdleDevices finds them. */
  function idleDevices(
    nowMs: number,
    gapMs: number,
    idleMs: number,
    countMax: number,
    after: number,
  ): number[] {
    const found = new Set<number>()
    for (const row of sessions.values()) {
      if (row.status === 'ended' || row.deviceId <= after) continue
      const last = lastOf(row, pointsDown(row.deviceId)).find(({ sessionId }) => sessionId === row.id)
      const touchedMs = Math.max(last?.recordedMs ?? 0, last?.receivedMs ?? 0, row.statusUs / 1000)
      if (touchedMs < nowMs - (automatic.has(row.id) ? gapMs : idleMs)) found.add(row.deviceId)
    }
    return [...found].sort((a, b) => a - b).slice(0, countMax)
  }

  /** As retention deletes sessions that have no points left. Returns how many. */
  function dropEmptySessions(): number {
    const used = new Set(
      [...devices.values()].flatMap(({ points }) => [...points.values()].map((p) => p.sessionId)),
    )
    let count = 0
    for (const { id, status } of [...sessions.values()]) {
      // What a device has said of a session must stay, and *ended* is what it may have said.
      if (used.has(id) || !automatic.has(id) || status === 'ended') continue
      sessions.delete(id)
      automatic.delete(id)
      count += 1
    }
    return count
  }
}

const SOURCES = ['gps', 'network', 'fused', 'manual']

interface Given extends Omit<SessionRow, 'id' | 'starts' | 'isUnheard'> {
  i: number
  id: number
  automatic: boolean
  lastMs: number | null
}

function givenRows(parameters: string[]): Given[] {
  const [is, ids, deviceIds, userIds, automatic] = parameters.slice(0, 5).map(numbersOf)
  const statuses = wordsOf(parameters[5]!) as Session['status'][]
  const [starts, ends, statusUs, lasts] = parameters.slice(6).map(numbersOf)
  return is!.map((i, at) => ({
    i,
    id: ids![at]!,
    deviceId: deviceIds![at]!,
    userId: userIds![at]!,
    automatic: automatic![at] === 1,
    status: statuses[at]!,
    startedMs: starts![at]!,
    endedMs: orNull(ends![at]!),
    statusUs: statusUs![at]!,
    lastMs: orNull(lasts![at]!),
  }))
}

function storedOf(row: SessionRow): Record<string, unknown> {
  return {
    id: row.id,
    device_id: row.deviceId,
    status: row.status,
    started_ms: row.startedMs,
    status_ms: Math.floor(row.statusUs / 1000),
    status_op: row.statusUs % 1000,
    ended_ms: row.endedMs,
  }
}

type Kind =
  | 'insertPoints'
  | 'insertRejected'
  | 'trimRejected'
  | 'create'
  | 'change'
  | 'findAutomatic'
  | 'findNamed'
  | 'lastPoints'

const WORDS: [words: string, kind: Kind][] = [
  ['insert into points ', 'insertPoints'],
  ['insert into rejected_points ', 'insertRejected'],
  ['delete from rejected_points ', 'trimRejected'],
  ['insert into sessions ', 'create'],
  ['update sessions ', 'change'],
  ['cross join lateral', 'findAutomatic'],
  ['join sessions s on s.device_id = g.device_id', 'findNamed'],
  ['with page as materialized', 'lastPoints'],
]
const kinds = new Map<string, Kind>()

function kindOf(text: string): Kind {
  let kind = kinds.get(text)
  if (kind === undefined) {
    kind = WORDS.find(([words]) => text.includes(words))?.[1]
    if (kind === undefined) throw new TypeError(`a statement that the simulation does not know: ${text}`)
    kinds.set(text, kind)
  }
  return kind
}

function numbersOf(text: string): number[] {
  const inner = text.slice(1, -1)
  if (inner === '') return []
  return inner.split(',').map((word) => (word === 'NULL' ? Number.NaN : Number(word)))
}

function wordsOf(text: string): string[] {
  return text.slice(1, -1).split(',')
}

function orNull(value: number): number | null {
  return Number.isNaN(value) ? null : value
}

function result(rows: Record<string, unknown>[]): Result {
  return Object.assign(rows, { count: rows.length })
}
