/**
 * This phone as a device: positions become points of a session, which the device client takes to the hub. It goes on
 * with whatever session was open when the page was last closed.
 */
import { signal } from '@preact/signals'
import {
  type ConnectionState,
  createDeviceClient,
  type DeviceEvent,
  type IdbQueue,
  openIdbQueue,
} from '../../client/browser.ts'
import { systemClock } from '../../clock.ts'
import { metresBetween } from '../map/mercator.ts'
import type { Identity, Keep, OpenSession } from './keep.ts'
import { openReceiver, type Position, type ReceiverFault } from './receiver.ts'
import { type Fix, isWorthAPoint } from './thinning.ts'
import { createWakeLock } from './wakeLock.ts'

export interface Tally {
  /** Points of this session. */
  recorded: number
  /** Points and session ops that wait on this phone for the hub. */
  held: number
  acknowledged: number
  refused: number
}

export interface Rate {
  intervalMs: number
  watched: boolean
}

export type Recorder = Awaited<ReturnType<typeof openRecorder>>

const CLIENT_NAME = 'alzy track'
const RATE_AT_FIRST: Rate = { intervalMs: 1_000, watched: false }
/** Without a change of place a point is due all the same, so that nobody takes the phone for lost. */
const SILENCE_MS_MIN = 10_000
/** Steps shorter than the error of the receiver are no way. */
const STEP_METRES_MIN = 5

export async function openRecorder(identity: Identity, keep: Keep) {
  const queue: IdbQueue = await openIdbQueue({ name: `alzy-device-${identity.deviceId}` })
  const connection = signal<ConnectionState>({ name: 'connecting' })
  const session = signal<OpenSession | null>(keep.session.read())
  const tally = signal<Tally>({ recorded: 0, held: 0, acknowledged: 0, refused: 0 })
  const rate = signal<Rate>(RATE_AT_FIRST)
  const position = signal<Position | null>(null)
  const fault = signal<ReceiverFault | null>(null)
  const notice = signal<string | null>(null)
  const wakeLock = createWakeLock()
  let receiver: ReturnType<typeof openReceiver> | null = null
  let last: Fix | null = null
  let counted: Position | null = null
  /** The session that the tally is of. */
  let talliedMs: number | null = null

  const device = createDeviceClient({
    url: location.origin,
    deviceKey: identity.deviceKey,
    name: CLIENT_NAME,
    queue,
    newestFirst: true,
    onEvent: heard,
  })
  if (session.peek()?.status === 'active') listen()
  count()

  return {
    identity,
    connection,
    session,
    tally,
    rate,
    position,
    fault,
    notice,
    wakeLock,
    start,
    pause,
    resume,
    end,
    retryNow: device.retryNow,
    flushed: queue.flushed,
    close,
  }

  function heard(event: DeviceEvent): void {
    switch (event.type) {
      case 'state':
        connection.value = event.state
        break
      case 'rate':
        rate.value = { intervalMs: event.intervalMs, watched: event.watched }
        break
      case 'rejected':
      case 'setAside':
        if (event.entry.kind === 'point') change((open) => ({ ...open, refused: open.refused + 1 }))
        break
      case 'paused':
        notice.value = 'The hub is busy. Points wait on this phone and are sent when it is ready.'
        break
      case 'acknowledged':
        notice.value = null
    }
    count()
  }

  function start(): void {
    const startedMs = systemClock.now()
    keepSession({ startedMs, status: 'active', recorded: 0, refused: 0, distanceM: 0 })
    last = null
    counted = null
    tell('start', startedMs)
    listen()
  }

  function pause(): void {
    change((open) => ({ ...open, status: 'paused' }))
    silence()
    tell('pause', systemClock.now())
  }

  function resume(): void {
    change((open) => ({ ...open, status: 'active' }))
    counted = null
    tell('resume', systemClock.now())
    listen()
  }

  function end(): void {
    tell('end', systemClock.now())
    silence()
    keepSession(null)
  }

  function listen(): void {
    receiver ??= openReceiver({
      onPosition: take,
      onFault: (what) => {
        fault.value = what
      },
      silenceMs: () => Math.max(SILENCE_MS_MIN, rate.peek().intervalMs * 2),
    })
    wakeLock.want()
  }

  function silence(): void {
    receiver?.close()
    receiver = null
    position.value = null
    fault.value = null
    wakeLock.release()
  }

  function take(at: Position): void {
    position.value = at
    fault.value = null
    const open = session.peek()
    const fix = { lat: at.lat, lng: at.lng, atMs: at.recordedMs }
    if (open === null || !isWorthAPoint(last, fix, rate.peek().intervalMs)) return
    if (!device.tryRecord({ ...at, session: open.startedMs, source: 'fused' })) {
      notice.value = 'This phone holds as many points as it can. New ones are lost until the hub is reached.'
      return
    }
    last = fix
    const step = counted === null ? 0 : metresBetween(counted, at)
    const isStep = counted === null || step >= Math.max(STEP_METRES_MIN, at.accuracy ?? 0)
    if (isStep) counted = at
    change(({ recorded, distanceM, ...rest }) => ({
      ...rest,
      recorded: recorded + 1,
      distanceM: distanceM + (isStep ? step : 0),
    }))
  }

  function tell(op: 'start' | 'pause' | 'resume' | 'end', atMs: number): void {
    const open = session.peek()
    if (open === null) return
    // It rejects only when the client has stopped, which its state shows.
    device.session(op, { session: open.startedMs, atMs }).catch(() => {})
    count()
  }

  function change(of: (open: OpenSession) => OpenSession): void {
    const open = session.peek()
    if (open !== null) keepSession(of(open))
  }

  function keepSession(next: OpenSession | null): void {
    session.value = next
    if (next === null) keep.session.clear()
    else keep.session.write(next)
    count()
  }

  function count(): void {
    const open = session.peek()
    const { recorded, refused } = open ?? { recorded: 0, refused: 0 }
    const held = queue.nextId - queue.firstId
    // Of what waits, nobody says how much is of this session and how much are ops; what was acknowledged stays so.
    const before = open?.startedMs === talliedMs ? tally.peek().acknowledged : 0
    talliedMs = open?.startedMs ?? null
    const acknowledged = Math.max(0, before, recorded - refused - held)
    tally.value = { recorded, refused, held, acknowledged: Math.min(acknowledged, recorded - refused) }
    if (queue.fault !== null) notice.value = `This phone cannot keep points: ${queue.fault.message}`
  }

  async function close(): Promise<void> {
    silence()
    await device.close()
    await queue.close()
  }
}
