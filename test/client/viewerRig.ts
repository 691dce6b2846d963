/** A viewer client on a driven clock in front of a scripted hub, with its events in a line. */
import { createViewerClient, type ViewerEvent, type ViewerOptions } from '../../src/client/node.ts'
import { createDrivenClock, START_MS } from './drivenClock.ts'
import { createLine, openScriptedHub, type Peer, type Wire } from './scriptedHub.ts'

export const HELLO = 1
export const PING = 4
export const AUTH = 5
export const SUB = 16
export const RESYNC = 18
export const SEEN = 19
export const WELCOME = 65
export const ERROR = 68
export const AUTH_OK = 70
export const GOAWAY = 71
export const SNAP = 80
export const LIVE = 81
export const PRESENCE = 82
export const SESSION = 83
export const DEVICE = 84
export const GONE = 85
export const BACKFILLED = 88
export const TICK = 90

export const DAY_MS = 24 * 3_600_000

export async function openViewerRig(options: Partial<ViewerOptions> = {}) {
  const hub = await openScriptedHub('alzy.live.v1')
  const clock = createDrivenClock()
  const events: ViewerEvent[] = []
  const line = createLine<ViewerEvent>()
  const viewer = createViewerClient({
    url: hub.url,
    token: 'a token',
    clock,
    onEvent: (event) => {
      // Devices change as time goes by: keep them as they were.
      const copy = structuredClone(event)
      events.push(copy)
      line.put(copy)
    },
    ...options,
  })
  return { hub, clock, viewer, events, event, welcome, watch, waiting, reconnect, seen, close }

  /** The next event of this type; earlier ones of other types are passed over. */
  async function event<Type extends ViewerEvent['type']>(
    type: Type,
  ): Promise<Extract<ViewerEvent, { type: Type }>> {
    for (;;) {
      const next = await line.take()
      if (next.type === type) return next as Extract<ViewerEvent, { type: Type }>
    }
  }

  /** Accepts a connection and answers its HELLO; the SUB is left to be read. */
  async function welcome(heartbeatS = 900, ttlMs = DAY_MS): Promise<Peer> {
    const peer = await hub.accept()
    await peer.next()
    peer.say(WELCOME, 1, 'user', clock.now(), clock.now() + ttlMs, heartbeatS)
    return peer
  }

  /** A connection whose SUB is answered with these devices. */
  async function watch(...devices: Wire[]): Promise<Peer> {
    const peer = await welcome()
    await peer.next()
    peer.say(SNAP, 0, true, devices)
    await peer.settled()
    return peer
  }

  async function waiting() {
    for (;;) {
      const { state } = await event('state')
      if (state.name === 'waiting') return state
      if (state.name === 'stopped') throw new Error(`stopped instead: ${state.reason}`)
    }
  }

  async function reconnect(heartbeatS = 900): Promise<Peer> {
    const { untilMs } = await waiting()
    clock.advance(untilMs - clock.now())
    return welcome(heartbeatS)
  }

  /** Seconds since START_MS of every point that was seen live, of all devices, in order. */
  function seen(deviceId: number): number[] {
    return events
      .filter((event) => event.type === 'points' && event.device.deviceId === deviceId)
      .flatMap((event) => (event.type === 'points' ? event.points : []))
      .map(({ recordedMs }) => (recordedMs - START_MS) / 1000)
  }

  async function close(): Promise<void> {
    viewer.close()
    await hub.close()
  }
}

/** A record of SNAP; `second`: of its last point, null when it has none. */
export function deviceOf(deviceId: number, epoch: number, n: number, second: number | null = null): Wire {
  const last =
    second === null ? null : [START_MS, 'active', START_MS + second * 1000, 480_000_000, 110_000_000]
  return [deviceId, 1, `van ${deviceId}`, 'blue', 'android', true, START_MS, epoch, n, last]
}

/** LIVE with a point at each of these seconds. */
export function live(deviceId: number, epoch: number, n: number, ...seconds: number[]): Wire {
  const rows = seconds.map((second) => [second * 1000, 480_000_000, 110_000_000])
  return [LIVE, deviceId, epoch, n, START_MS, START_MS, rows]
}
