/** A device client on a driven clock in front of a scripted hub, with its events in a line. */
import { createDeviceClient, type DeviceEvent, type DeviceOptions } from '../../src/client/node.ts'
import type { RecordedPoint } from '../../src/client/points.ts'
import { createDrivenClock, START_MS } from './drivenClock.ts'
import { createLine, openScriptedHub, type Peer, type Wire } from './scriptedHub.ts'

export const HELLO = 1
export const POINTS = 2
export const SESSION = 3
export const PING = 4
export const BYE = 6
export const WELCOME = 65
export const ACK = 66
export const PAUSE = 67
export const ERROR = 68
export const GOAWAY = 71
export const RATE = 73

export interface Limits {
  windowPoints?: number
  batchPointsMax?: number
  frameBytesMax?: number
  heartbeatS?: number
}

export async function openDeviceRig(options: Partial<DeviceOptions> = {}) {
  const hub = await openScriptedHub('alzy.device.v1')
  const clock = createDrivenClock()
  const events: DeviceEvent[] = []
  const line = createLine<DeviceEvent>()
  const device = createDeviceClient({
    url: hub.url,
    deviceKey: 'alzy_7_key',
    clock,
    onEvent: (event) => {
      events.push(event)
      line.put(event)
    },
    ...options,
  })
  return { hub, clock, device, events, event, welcome, waiting, reconnect, close }

  /** The next event of this type; earlier ones of other types are passed over. */
  async function event<Type extends DeviceEvent['type']>(
    type: Type,
  ): Promise<Extract<DeviceEvent, { type: Type }>> {
    for (;;) {
      const next = await line.take()
      if (next.type === type) return next as Extract<DeviceEvent, { type: Type }>
    }
  }

  /** Accepts a connection and answers its HELLO. */
  async function welcome(limits: Limits = {}): Promise<Peer> {
    const peer = await hub.accept()
    await peer.next()
    const { windowPoints = 100, batchPointsMax = 10, frameBytesMax = 32_768, heartbeatS = 20 } = limits
    peer.say(WELCOME, 7, windowPoints, batchPointsMax, frameBytesMax, clock.now(), heartbeatS)
    await peer.settled().then((early) => {
      if (early.length > 0) unread.set(peer, early)
    })
    return peer
  }

  /** The state `waiting`, as soon as it is reached. */
  async function waiting() {
    for (;;) {
      const { state } = await event('state')
      if (state.name === 'waiting') return state
      if (state.name === 'stopped') throw new Error(`stopped instead: ${state.reason}`)
    }
  }

  /** Lets the time of `waiting` pass. */
  async function reconnect(limits: Limits = {}): Promise<Peer> {
    const { untilMs } = await waiting()
    clock.advance(untilMs - clock.now())
    return welcome(limits)
  }

  async function close(): Promise<void> {
    const closed = device.close()
    clock.advance(10_000)
    await closed
    await hub.close()
  }
}

const unread = new WeakMap<Peer, Wire[]>()

/** What the client has sent by now and the test has not looked at. */
export async function sent(rig: { clock: { advance(ms: number): void } }, peer: Peer): Promise<Wire[]> {
  const early = unread.get(peer) ?? []
  unread.delete(peer)
  rig.clock.advance(0)
  return [...early, ...(await peer.settled())]
}

/** Points one second apart, each at a place of its own. */
export function track(count: number, from = 0): RecordedPoint[] {
  return Array.from({ length: count }, (_, i) => ({
    recordedMs: START_MS + (from + i) * 1000,
    lat: 48 + (from + i) / 1000,
    lng: 11,
  }))
}

/** Seconds since START_MS of the points of POINTS frames, as in `track`. */
export function secondsOf(frames: readonly Wire[]): number[] {
  return frames
    .filter((frame) => frame[0] === POINTS)
    .flatMap((frame) =>
      (frame[4] as Wire[]).map((row) => ((frame[3] as number) + (row[0] as number) - START_MS) / 1000),
    )
}

/** How many points a POINTS frame carries. */
export function countOf(frame: Wire): number {
  return (frame[4] as Wire[]).length
}
