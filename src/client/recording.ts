/**
 * The near side of the queue: fixes times in recording order (D1), makes callers wait for room, and tells
 * them when what they recorded is settled. It knows nothing of connections but that one may be stopped.
 */
import { SESSION_OP } from '../protocol/messages.ts'
import { type RecordedPoint, toWire, wireInt } from './points.ts'
import { type DeviceQueue, ENTRY_AT, ENTRY_POINT, ENTRY_STRIDE, type SessionOpName } from './queue.ts'

/** The client will not send any more by itself: refused for good, or closed. `code` as in its state. */
export class ClientStopped extends Error {
  readonly code: number
  constructor(reason: string, code: number) {
    super(reason)
    this.name = 'ClientStopped'
    this.code = code
  }
}

interface Waiting {
  entry: Float64Array
  resolve: () => void
  reject: (why: unknown) => void
}

/** One promise for every point that found room, so that recording allocates nothing. */
const DONE = Promise.resolve()

export function createRecording(queue: DeviceQueue, ordered: boolean, pushed: () => void) {
  const scratch = new Float64Array(ENTRY_STRIDE)
  let waiting: Waiting[] = []
  let drains: { untilId: number; resolve: () => void; reject: (why: Error) => void }[] = []
  let lastMs = queue.lastRecordedMs ?? Number.NEGATIVE_INFINITY
  let pointsRecorded = 0
  let pointsMoved = 0
  let isClosed = false
  let stop: ClientStopped | null = null

  return {
    record,
    tryRecord,
    session,
    drained,
    settled,
    stopped,
    resumed,
    close,
    get pointsRecorded() {
      return pointsRecorded
    },
    get pointsMoved() {
      return pointsMoved
    },
  }

  function record(point: RecordedPoint): Promise<void> {
    if (isClosed) return Promise.reject(new ClientStopped('closed', 1000))
    writePoint(point)
    return enter()
  }

  function tryRecord(point: RecordedPoint): boolean {
    if (isClosed || waiting.length > 0 || !queue.hasRoom) return false
    writePoint(point)
    push(scratch)
    return true
  }

  function session(op: SessionOpName, at: { session: number; atMs: number }): Promise<void> {
    if (isClosed) return Promise.reject(new ClientStopped('closed', 1000))
    if (!(op in SESSION_OP) || !Number.isFinite(at.session) || !Number.isFinite(at.atMs)) {
      throw new RangeError('a session op is start, pause, resume or end, with session and atMs')
    }
    scratch.fill(Number.NaN)
    scratch[ENTRY_AT.kind] = SESSION_OP[op]
    scratch[ENTRY_AT.session] = wireInt(at.session, 1)
    scratch[ENTRY_AT.timeMs] = wireInt(at.atMs, 1)
    return enter()
  }

  function writePoint(point: RecordedPoint): void {
    toWire(point, scratch, ENTRY_AT.point)
    scratch[ENTRY_AT.kind] = ENTRY_POINT
    scratch[ENTRY_AT.session] = wireInt(point.session, 1)
    if (!ordered) return
    const timeMs = scratch[ENTRY_AT.timeMs]!
    if (timeMs > lastMs) {
      lastMs = timeMs
    } else {
      // Two points of one time would be one point to the hub, and the second would be lost (D1).
      lastMs += 1
      scratch[ENTRY_AT.timeMs] = lastMs
      pointsMoved += 1
    }
  }

  function enter(): Promise<void> {
    if (waiting.length === 0 && queue.hasRoom) {
      push(scratch)
      return DONE
    }
    if (stop) return Promise.reject(stop)
    const entry = scratch.slice()
    return new Promise((resolve, reject) => {
      waiting.push({ entry, resolve, reject })
    })
  }

  function push(entry: Float64Array): void {
    queue.push(entry)
    if (entry[ENTRY_AT.kind] === ENTRY_POINT) pointsRecorded += 1
    pushed()
  }

  /** Entries were forgotten: there may be room, and someone may have waited for that very entry. */
  function settled(): void {
    let admitted = 0
    while (admitted < waiting.length && queue.hasRoom) {
      const next = waiting[admitted]!
      admitted += 1
      try {
        push(next.entry)
        next.resolve()
      } catch (fault) {
        next.reject(fault)
      }
    }
    if (admitted > 0) waiting.splice(0, admitted)
    if (drains.length === 0) return
    for (const drain of drains) if (queue.firstId >= drain.untilId) drain.resolve()
    drains = drains.filter((drain) => queue.firstId < drain.untilId)
  }

  function drained(): Promise<void> {
    const untilId = queue.nextId + waiting.length
    if (queue.firstId >= untilId) return DONE
    if (stop) return Promise.reject(stop)
    return new Promise((resolve, reject) => {
      drains.push({ untilId, resolve, reject })
    })
  }

  /** Nothing more will be sent, so nobody need wait for it. */
  function stopped(why: ClientStopped): void {
    stop = why
    const left = [...waiting, ...drains]
    waiting = []
    drains = []
    for (const { reject } of left) reject(why)
  }

  function resumed(): void {
    stop = null
  }

  function close(): void {
    isClosed = true
  }
}
