/**
 * The device client: takes points and session ops, keeps them in a queue, and sends them until the hub has
 * acknowledged every one (PROTOCOL.md section 2). It knows no platform; node.ts and browser.ts give it one.
 */

import { type Clock, systemClock } from '../clock.ts'
import { type Verdict, verdictOf } from '../protocol/closes.ts'
import { pack } from '../protocol/encode.ts'
import { CLIENT_CHARS_MAX, REASON, ROUTE, SUBPROTOCOL, TYPE } from '../protocol/messages.ts'
import { createAckWatch } from './ackWatch.ts'
import { type ConnectionState, type Loss, openConnection } from './connection.ts'
import { createFlight, type Settled } from './flight.ts'
import { readToDevice, type ToDevice } from './frames.ts'
import type { Platform } from './platform.ts'
import type { RecordedPoint } from './points.ts'
import { createMemoryQueue, type DeviceQueue, type Entry, type SessionOpName } from './queue.ts'
import { ClientStopped, createRecording } from './recording.ts'
import { createSuspicion, isRefusal } from './suspicion.ts'

export interface DeviceOptions {
  /** The hub's address: `http:`, `https:`, `ws:` or `wss:`. */
  url: string
  deviceKey: string
  /** Name and version of the program, at most 64 characters. */
  name?: string
  /** Where unacknowledged points are kept; default: 10 000 of them, in memory. */
  queue?: DeviceQueue
  /** Default true: times are kept strictly increasing (D1). False: sent exactly as given, and distinct. */
  ordered?: boolean
  /** Default false. True: after a reconnect with more than one frame to send, the newest point goes first. */
  newestFirst?: boolean
  /** Default false: stop when refused for good. True: try again, at most once an hour. */
  unattended?: boolean
  onEvent?: (event: DeviceEvent) => void
  clock?: Partial<Clock>
}

export type ReasonName = keyof typeof REASON | 'other'

export type DeviceEvent =
  | { type: 'state'; state: ConnectionState }
  | { type: 'welcome'; deviceId: number; windowPoints: number; serverNowMs: number; heartbeatS: number }
  /** So many points were just committed by the hub. */
  | { type: 'acknowledged'; points: number }
  /** The hub will never store this; it is dropped here too (D8). */
  | { type: 'rejected'; reason: ReasonName; entry: Entry }
  /** The hub refused every frame with this entry in it; it is not sent again (D14). */
  | { type: 'setAside'; code: number; entry: Entry }
  | { type: 'paused'; retryAfterMs: number; reason: string }
  /** How often to record is enough for now. */
  | { type: 'rate'; intervalMs: number; watched: boolean }
  | { type: 'goaway'; minDelayMs: number; maxDelayMs: number }
  | { type: 'error'; code: number | null; message: string; ref: number | null }

/** All but `held` are about points, since this client was made. */
export interface DeviceCounts {
  recorded: number
  /** Points in frames that were sent, `resent` among them. */
  sent: number
  resent: number
  acknowledged: number
  rejected: number
  rejectedByReason: Partial<Record<ReasonName, number>>
  setAside: number
  /** Points whose time was moved to keep it increasing. */
  moved: number
  /** Entries (points and session ops) recorded and not yet settled. */
  held: number
  reconnects: number
}

export interface DeviceClient {
  /**
   * Keeps the point; resolves as soon as there was room for it. Rejects with ClientStopped; throws a
   * RangeError for a point without time or place, and what the queue throws when it cannot keep one.
   */
  record(point: RecordedPoint): Promise<void>
  /** Keeps the point if there is room for it now. */
  tryRecord(point: RecordedPoint): boolean
  /** Queues a change of a session, in order with the points. */
  session(op: SessionOpName, at: { session: number; atMs: number }): Promise<void>
  /** Resolves when everything recorded so far is committed, rejected or set aside. Rejects with ClientStopped. */
  drained(): Promise<void>
  /** A user's action: connect at once instead of waiting, also after a stop. */
  retryNow(): void
  /** Says BYE, waits at most 5 s for the last ACK, closes. What is not acknowledged stays in the queue. */
  close(): Promise<void>
  readonly state: ConnectionState
  readonly counts: DeviceCounts
}

const QUEUE_ENTRIES_MAX = 10_000
const BYE_TIMEOUT_MS = 5_000

/**
 * One closure, for the timers and the flags of leaving and closing decide together whether anything may be sent: every
 * frame that comes, every point that is recorded and every loss of the connection looks at all of them.
 */
export function createDevice(options: DeviceOptions, platform: Platform): DeviceClient {
  const name = options.name ?? 'alzy'
  if (name.length > CLIENT_CHARS_MAX)
    throw new RangeError(`name has more than ${CLIENT_CHARS_MAX} characters`)
  const clock: Clock = { ...systemClock, ...options.clock }
  const queue = options.queue ?? createMemoryQueue(QUEUE_ENTRIES_MAX)
  const recording = createRecording(queue, options.ordered ?? true, flushSoon)
  const flight = createFlight(queue, (options.newestFirst ?? false) && (options.ordered ?? true))
  const suspicion = createSuspicion()
  const ackWatch = createAckWatch(
    clock,
    () => flight.first !== undefined,
    () => connection.lose('no ACK for 30 s'),
  )
  const tally = { acknowledged: 0, rejected: 0, setAside: 0 }
  const rejectedByReason: Partial<Record<ReasonName, number>> = {}
  let callOffFlush: (() => void) | null = null
  let callOffPause: (() => void) | null = null
  let callOffBye: (() => void) | null = null
  let isLeaving = false
  let closing: { promise: Promise<void>; resolve: () => void } | null = null

  const connection = openConnection<ToDevice>({
    url: options.url,
    route: ROUTE.device,
    subprotocol: SUBPROTOCOL.device,
    platform,
    clock,
    unattended: options.unattended ?? false,
    hello: () => [TYPE.hello, options.deviceKey, name, clock.now()],
    read: readToDevice,
    received,
    lost,
    changed,
  })
  // Not at once, so that the first event finds the caller holding the client.
  queueMicrotask(() => {
    if (!closing) connection.start()
  })

  return {
    record: recording.record,
    tryRecord: recording.tryRecord,
    session: recording.session,
    drained: recording.drained,
    retryNow: () => {
      if (!closing) connection.retryNow()
    },
    close,
    get state() {
      return connection.state
    },
    get counts() {
      return {
        ...tally,
        recorded: recording.pointsRecorded,
        moved: recording.pointsMoved,
        sent: flight.pointsSent,
        resent: flight.pointsResent,
        rejectedByReason: { ...rejectedByReason },
        held: queue.nextId - queue.firstId,
        reconnects: Math.max(0, connection.connections - 1),
      }
    },
  }

  function received(frame: ToDevice): void {
    switch (frame.type) {
      case TYPE.welcome:
        flight.begin(frame, !suspicion.isSuspecting)
        emit({ ...frame, type: 'welcome' })
        flush()
        break
      case TYPE.ack:
        acknowledged(flight.acknowledge(frame.seq, frame.windowPoints, frame.rejected))
        break
      case TYPE.pause:
        pause(frame.retryAfterMs, frame.reason)
        break
      case TYPE.goaway:
        isLeaving = true
        emit({ ...frame, type: 'goaway' })
        leaveIfDone()
        break
      case TYPE.rate:
        emit({ ...frame, type: 'rate' })
        break
      case TYPE.error:
        emit({ ...frame, type: 'error' })
        break
      case 'malformed':
        emit({ type: 'error', code: null, message: frame.message, ref: null })
    }
  }

  /** Sends while the window, the hub (PAUSE, GOAWAY) and a suspicion allow. */
  function flush(): void {
    callOffFlush?.()
    callOffFlush = null
    if (connection.state.name !== 'open' || closing || isLeaving || callOffPause !== null) return
    while (!(suspicion.isSuspecting && flight.first)) {
      const isFirst = !flight.first
      const frame = flight.next(suspicion.framePointsMax, clock.elapsed())
      if (!frame) return
      if (isFirst) ackWatch.owed()
      connection.send(frame)
    }
  }

  /** Points recorded in one go travel together. */
  function flushSoon(): void {
    if (callOffFlush === null && connection.state.name === 'open') callOffFlush = clock.after(0, flush)
  }

  function acknowledged(settled: Settled): void {
    ackWatch.sign()
    callOffPause?.()
    callOffPause = null
    tally.acknowledged += settled.points
    suspicion.settled(queue.firstId)
    recording.settled()
    flush()
    if (settled.points > 0) emit({ type: 'acknowledged', points: settled.points })
    for (const { reason, entry } of settled.rejected) {
      const reasonName = reasonNameOf(reason)
      if (entry.kind === 'point') {
        tally.rejected += 1
        rejectedByReason[reasonName] = (rejectedByReason[reasonName] ?? 0) + 1
      }
      emit({ type: 'rejected', reason: reasonName, entry })
    }
    leaveIfDone()
  }

  function pause(retryAfterMs: number, reason: string): void {
    ackWatch.sign()
    callOffPause?.()
    callOffPause = clock.after(retryAfterMs, () => {
      callOffPause = null
      flush()
    })
    emit({ type: 'paused', retryAfterMs, reason })
  }

  /** After GOAWAY there is nothing left to stay for once all is acknowledged (D12). */
  function leaveIfDone(): void {
    if (isLeaving && !closing && !flight.first && connection.state.name === 'open') {
      connection.leave('the hub goes away')
    }
  }

  function lost(loss: Loss): Verdict {
    const mayBeOurFault = blame(loss)
    flight.end()
    ackWatch.stop()
    callOffFlush?.()
    callOffPause?.()
    callOffFlush = callOffPause = null
    isLeaving = false
    if (closing) return { do: 'finish' }
    const verdict = verdictOf(loss.code)
    if (verdict.do === 'inspect') return mayBeOurFault ? { do: 'reconnect', delayMsMin: 0 } : { do: 'stop' }
    return verdict.do === 'finish' ? { do: 'reconnect', delayMsMin: 0 } : verdict
  }

  /** Whether the connection may have ended because of a frame that was in flight (D14). */
  function blame(loss: Loss): boolean {
    const first = flight.first
    if (!first || !isRefusal(loss, clock.elapsed() - first.sentAtMs)) return false
    const firstId = Math.max(first.firstId, queue.firstId)
    const endId = first.firstId + first.count
    if (firstId === queue.firstId) {
      const guilty = suspicion.refused(loss.code, firstId, endId - firstId, flight.sentBelowId)
      if (guilty !== null) setAside(guilty, loss.code)
    } else {
      // The newest point, sent ahead of the others: in order, it will show whose fault it was.
      suspicion.suspect(endId)
    }
    return true
  }

  function setAside(id: number, code: number): void {
    const entry = flight.setAside(id)
    if (entry.kind === 'point') tally.setAside += 1
    suspicion.settled(queue.firstId)
    recording.settled()
    emit({ type: 'setAside', code, entry })
  }

  function changed(state: ConnectionState): void {
    if (state.name === 'stopped') {
      recording.stopped(new ClientStopped(state.reason, state.code))
      callOffBye?.()
      closing?.resolve()
    } else {
      recording.resumed()
    }
    emit({ type: 'state', state })
  }

  function close(): Promise<void> {
    if (closing) return closing.promise
    flush()
    let resolve: () => void = () => {}
    const promise = new Promise<void>((settle) => {
      resolve = settle
    })
    closing = { promise, resolve }
    recording.close()
    if (connection.state.name === 'open') {
      connection.send(pack([TYPE.bye]))
      callOffBye = clock.after(BYE_TIMEOUT_MS, () => connection.stop('closed'))
    } else {
      connection.stop('closed')
      resolve()
    }
    return promise
  }

  function emit(event: DeviceEvent): void {
    options.onEvent?.(event)
  }
}

function reasonNameOf(reason: number): ReasonName {
  for (const [name, number] of Object.entries(REASON)) if (number === reason) return name as ReasonName
  return 'other'
}
