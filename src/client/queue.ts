/**
 * What a device has recorded and the hub has not acknowledged: a bounded, ordered row of entries. It
 * knows neither sockets nor windows; the sender reads entries by id and says when they may be forgotten.
 */
import { AT, POINT_STRIDE, type SESSION_OP, type SessionOp } from '../protocol/messages.ts'
import { fromWire, type RecordedPoint } from './points.ts'

/**
 * An entry lies flat in ENTRY_STRIDE numbers: what it is (ENTRY_POINT, or the op of a SESSION frame),
 * its session (NaN: none), then a point as in messages.ts. An op has its `atMs` where a point has
 * `recordedMs`, and NaN in the rest.
 */
export const ENTRY_STRIDE = 2 + POINT_STRIDE
export const ENTRY_AT = { kind: 0, session: 1, point: 2, timeMs: 2 + AT.recordedMs } as const
export const ENTRY_POINT = -1

/** Where a device keeps what it recorded. Every method is synchronous; ids grow by one per entry. */
export interface DeviceQueue {
  /** Id of the oldest entry held; equal to `nextId` when empty. */
  readonly firstId: number
  /** Id that the next entry will get. */
  readonly nextId: number
  readonly hasRoom: boolean
  /** Greatest time of a point that was ever pushed, also before a restart; null if none (D1). */
  readonly lastRecordedMs: number | null
  /** Copies an entry to the end. Throws when there is no room, or when it cannot be kept. */
  push(entry: Float64Array): void
  /** Copies the entry `id` (held) to `into`. */
  read(id: number, into: Float64Array): void
  /** Forgets every entry below `id`. */
  dropBelow(id: number): void
}

/** An entry in human units, for reports. */
export type Entry =
  | { kind: 'point'; point: RecordedPoint }
  | { kind: 'session'; op: SessionOpName; session: number; atMs: number }

export type SessionOpName = keyof typeof SESSION_OP
const OP_NAMES: readonly SessionOpName[] = ['start', 'pause', 'resume', 'end']

export function describeEntry(entry: Float64Array): Entry {
  const kind = entry[ENTRY_AT.kind]!
  const session = entry[ENTRY_AT.session]!
  if (kind !== ENTRY_POINT) {
    return { kind: 'session', op: OP_NAMES[kind as SessionOp]!, session, atMs: entry[ENTRY_AT.timeMs]! }
  }
  const point: RecordedPoint = fromWire(entry, ENTRY_AT.point, session)
  if (Number.isNaN(session)) point.session = null
  return { kind: 'point', point }
}

const CAPACITY_MIN = 64

/** A queue in memory, at most `entriesMax` long. What it holds is lost with the process. */
export function createMemoryQueue(entriesMax: number): DeviceQueue {
  // A ring that grows, so that thousands of idle devices in one process cost next to nothing.
  let capacity = Math.min(entriesMax, CAPACITY_MIN)
  let ring = new Float64Array(capacity * ENTRY_STRIDE)
  let firstId = 0
  let nextId = 0
  let lastRecordedMs: number | null = null

  return {
    get firstId() {
      return firstId
    },
    get nextId() {
      return nextId
    },
    get hasRoom() {
      return nextId - firstId < entriesMax
    },
    get lastRecordedMs() {
      return lastRecordedMs
    },
    push,
    read,
    dropBelow,
  }

  function push(entry: Float64Array): void {
    if (nextId - firstId >= entriesMax) throw new RangeError('the queue is full')
    if (nextId - firstId === capacity) grow()
    const offset = (nextId % capacity) * ENTRY_STRIDE
    for (let i = 0; i < ENTRY_STRIDE; i++) ring[offset + i] = entry[i]!
    nextId += 1
    if (entry[ENTRY_AT.kind] !== ENTRY_POINT) return
    const timeMs = entry[ENTRY_AT.timeMs]!
    if (lastRecordedMs === null || timeMs > lastRecordedMs) lastRecordedMs = timeMs
  }

  function read(id: number, into: Float64Array): void {
    const offset = (id % capacity) * ENTRY_STRIDE
    for (let i = 0; i < ENTRY_STRIDE; i++) into[i] = ring[offset + i]!
  }

  function dropBelow(id: number): void {
    firstId = Math.max(firstId, Math.min(id, nextId))
  }

  function grow(): void {
    const larger = Math.min(entriesMax, capacity * 2)
    const to = new Float64Array(larger * ENTRY_STRIDE)
    const entry = new Float64Array(ENTRY_STRIDE)
    for (let id = firstId; id < nextId; id++) {
      read(id, entry)
      to.set(entry, (id % larger) * ENTRY_STRIDE)
    }
    ring = to
    capacity = larger
  }
}
