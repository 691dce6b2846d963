/**
 * The way of entries from the queue through the window to the acknowledgement: cuts frames, keeps count of
 * what is in flight on this connection, and forgets only what an ACK covers (D4, D6, D8). It knows no
 * sockets and no time; the ids of the queue are all it remembers between connections.
 */
import { pack } from '../protocol/encode.ts'
import { AT, type Reason, type Rejected, TYPE, WHOLE_FRAME } from '../protocol/messages.ts'
import { type DeviceQueue, describeEntry, ENTRY_AT, ENTRY_POINT, ENTRY_STRIDE, type Entry } from './queue.ts'

export interface FlightLimits {
  windowPoints: number
  batchPointsMax: number
  frameBytesMax: number
}

/** A frame that was sent and not acknowledged. */
interface Flying {
  seq: number
  firstId: number
  /** Entries in it, which is also what it costs of the window. */
  count: number
  points: number
  rejected: number
  sentAtMs: number
}

export interface Settled {
  /** Points that the hub has committed. */
  points: number
  rejected: { reason: Reason; entry: Entry }[]
}

/** `[type, seq, session, baseMs, [` at its longest. */
const FRAME_HEAD_BYTES = 1 + 1 + 9 + 9 + 9 + 5

/**
 * One closure, for cutting a frame and settling one are two ends of the same count: what is in flight, what went early and
 * what of the window is left.
 */
export function createFlight(queue: DeviceQueue, newestFirst: boolean) {
  const entry = new Float64Array(ENTRY_STRIDE)
  /** Settled out of order: rejected before their frame was covered, sent early, or set aside. */
  const settledIds = new Set<number>()
  let flying: Flying[] = []
  let limits: FlightLimits = { windowPoints: 0, batchPointsMax: 1, frameBytesMax: 0 }
  let costInFlight = 0
  let seq = 0
  let nextSendId = queue.firstId
  /** The newest point, when it goes ahead of the others on this connection. */
  let earlyId: number | null = null
  let earlyWaits = false
  const sentEarlyIds = new Set<number>()
  let sentBelowId = queue.firstId
  let pointsSent = 0
  let pointsResent = 0

  return {
    begin,
    end,
    next,
    acknowledge,
    setAside,
    /** The oldest frame in flight. */
    get first(): Readonly<Flying> | undefined {
      return flying[0]
    },
    get sentBelowId() {
      return sentBelowId
    },
    get pointsSent() {
      return pointsSent
    },
    get pointsResent() {
      return pointsResent
    },
  }

  /** A new connection: everything not acknowledged is to be sent again (D5), in order unless it may reorder. */
  function begin(granted: FlightLimits, mayReorder: boolean): void {
    end()
    limits = { ...granted }
    seq = 0
    nextSendId = queue.firstId
    for (const id of sentEarlyIds) if (id < queue.firstId) sentEarlyIds.delete(id)
    earlyId = newestFirst && mayReorder ? newestToSendFirst() : null
    earlyWaits = earlyId !== null
  }

  function end(): void {
    flying = []
    costInFlight = 0
  }

  /**
   * The next frame that fits into the window, marked as sent; null when there is none. `pointsMax`
   * bounds its points beyond the limits of the hub.
   */
  function next(pointsMax: number, nowMs: number): Uint8Array | null {
    const room = limits.windowPoints - costInFlight
    if (room < 1) return null
    if (earlyWaits) {
      earlyWaits = false
      return pointsFrame(earlyId!, 1, nowMs)
    }
    while (isSettledOrEarly(nextSendId)) nextSendId += 1
    if (nextSendId >= queue.nextId) return null
    queue.read(nextSendId, entry)
    const bytes =
      entry[ENTRY_AT.kind] === ENTRY_POINT
        ? pointsFrame(nextSendId, Math.min(room, limits.batchPointsMax, pointsMax), nowMs)
        : sessionFrame(nextSendId, nowMs)
    const last = flying.at(-1)!
    nextSendId = last.firstId + last.count
    return bytes
  }

  function acknowledge(upToSeq: number, windowPoints: number, rejected: readonly Rejected[]): Settled {
    limits.windowPoints = windowPoints
    const settled: Settled = { points: 0, rejected: [] }
    for (const item of rejected) reject(item, settled.rejected)
    let covered = 0
    while (covered < flying.length && flying[covered]!.seq <= upToSeq) {
      const frame = flying[covered]!
      const endId = frame.firstId + frame.count
      for (let id = Math.max(frame.firstId, queue.firstId); id < endId; id++) settledIds.add(id)
      settled.points += Math.max(0, frame.points - frame.rejected)
      costInFlight -= frame.count
      covered += 1
    }
    flying.splice(0, covered)
    forgetSettled()
    return settled
  }

  /** Drops an entry that the hub cannot read (D14), and tells what it was. */
  function setAside(id: number): Entry {
    queue.read(id, entry)
    const what = describeEntry(entry)
    settledIds.add(id)
    forgetSettled()
    return what
  }

  function reject([frameSeq, index, reason]: Rejected, into: Settled['rejected']): void {
    const frame = flying.find((candidate) => candidate.seq === frameSeq)
    if (!frame) return
    const from = index === WHOLE_FRAME ? 0 : index
    const to = index === WHOLE_FRAME ? frame.count : index + 1
    for (let i = Math.max(0, from); i < Math.min(to, frame.count); i++) {
      const id = frame.firstId + i
      if (id < queue.firstId || settledIds.has(id)) continue
      queue.read(id, entry)
      into.push({ reason, entry: describeEntry(entry) })
      settledIds.add(id)
      frame.rejected += 1
    }
  }

  function forgetSettled(): void {
    let id = queue.firstId
    while (settledIds.delete(id)) id += 1
    if (id > queue.firstId) queue.dropBelow(id)
  }

  function isSettledOrEarly(id: number): boolean {
    return id === earlyId || (settledIds.size > 0 && settledIds.has(id))
  }

  /**
   * Viewers see the newest point at once when it goes first. Not so a point without a session: the hub
   * groups those by what it has already seen (D3), and would begin a session of its own for it.
   */
  function newestToSendFirst(): number | null {
    const id = queue.nextId - 1
    if (queue.nextId - queue.firstId <= limits.batchPointsMax || settledIds.has(id)) return null
    queue.read(id, entry)
    return entry[ENTRY_AT.kind] === ENTRY_POINT && !Number.isNaN(entry[ENTRY_AT.session]!) ? id : null
  }

  function sessionFrame(id: number, nowMs: number): Uint8Array {
    seq += 1
    takeOff(id, 1, 0, nowMs)
    return pack([TYPE.session, seq, entry[ENTRY_AT.session], entry[ENTRY_AT.kind], entry[ENTRY_AT.timeMs]])
  }

  /** A frame of the points from `firstId` on that share their session. */
  function pointsFrame(firstId: number, pointsMax: number, nowMs: number): Uint8Array {
    queue.read(firstId, entry)
    const session = entry[ENTRY_AT.session]!
    const baseMs = entry[ENTRY_AT.timeMs]!
    const rows: (number | null)[][] = []
    let frameBytes = FRAME_HEAD_BYTES
    for (let id = firstId; rows.length < pointsMax && id < queue.nextId; id++) {
      if (id > firstId) {
        if (isSettledOrEarly(id)) break
        queue.read(id, entry)
        if (entry[ENTRY_AT.kind] !== ENTRY_POINT || !Object.is(entry[ENTRY_AT.session], session)) break
      }
      const row = wireRow(entry, baseMs)
      frameBytes += rowBytes(row)
      if (rows.length > 0 && frameBytes > limits.frameBytesMax) break
      rows.push(row)
    }
    seq += 1
    takeOff(firstId, rows.length, rows.length, nowMs)
    return pack([TYPE.points, seq, Number.isNaN(session) ? null : session, baseMs, rows])
  }

  function takeOff(firstId: number, count: number, points: number, nowMs: number): void {
    flying.push({ seq, firstId, count, points, rejected: 0, sentAtMs: nowMs })
    costInFlight += count
    pointsSent += points
    if (points > 0) pointsResent += Math.max(0, Math.min(count, sentBelowId - firstId))
    for (const id of sentEarlyIds)
      if (id >= Math.max(firstId, sentBelowId) && id < firstId + count) pointsResent += 1
    // The early one leaves a gap below it that was never sent.
    if (firstId === earlyId) sentEarlyIds.add(firstId)
    else sentBelowId = Math.max(sentBelowId, firstId + count)
  }
}

/** One point as on the wire; trailing fields that say nothing are left out. */
function wireRow(entry: Float64Array, baseMs: number): (number | null)[] {
  const point = ENTRY_AT.point
  const source = entry[point + AT.source]!
  let length: number = AT.source + 1
  if (Number.isNaN(source) || source === 0) length = AT.source
  if (length === AT.source) while (length > 3 && Number.isNaN(entry[point + length - 1]!)) length -= 1
  const row = new Array<number | null>(length)
  row[0] = entry[ENTRY_AT.timeMs]! - baseMs
  for (let field = 1; field < length; field++) {
    const value = entry[point + field]!
    row[field] = Number.isNaN(value) ? null : value
  }
  return row
}

function rowBytes(row: readonly (number | null)[]): number {
  let bytes = 1
  for (const value of row) bytes += value === null ? 1 : intBytes(value)
  return bytes
}

/** What `pack` needs for an integer. */
function intBytes(value: number): number {
  if (value >= 0) return value < 0x80 ? 1 : value < 0x100 ? 2 : value < 0x10000 ? 3 : value < 2 ** 32 ? 5 : 9
  return value >= -0x20 ? 1 : value >= -0x80 ? 2 : value >= -0x8000 ? 3 : value >= -(2 ** 31) ? 5 : 9
}
