/** `alzy/client` in browsers: the clients over the browser's own WebSocket. */
import { createDevice, type DeviceClient, type DeviceOptions } from './device.ts'
import type { Platform, Wire, WireListener } from './platform.ts'
import { createStats, type StatsClient, type StatsOptions } from './stats.ts'
import { createViewer, type ViewerClient, type ViewerOptions } from './viewer.ts'

export type { Clock } from '../clock.ts'
export {
  DEVICE_COLORS,
  type DeviceColor,
  type DevicePlatform,
  type SessionStatus,
  type UserRole,
} from '../protocol/messages.ts'
export type { ConnectionState } from './connection.ts'
export type { DeviceClient, DeviceCounts, DeviceEvent, DeviceOptions, ReasonName } from './device.ts'
export type { ViewerRole } from './frames.ts'
export { type IdbQueue, type IdbQueueOptions, openIdbQueue } from './idbQueue.ts'
export type { DeviceView } from './picture.ts'
export type { PointSource, RecordedPoint, SeenPoint } from './points.ts'
export { createMemoryQueue, type DeviceQueue, ENTRY_STRIDE, type Entry, type SessionOpName } from './queue.ts'
export { ClientStopped } from './recording.ts'
export type { Stats, StatsClient, StatsEvent, StatsOptions } from './stats.ts'
export type { TokenSource } from './token.ts'
export type { Subscription, ViewerClient, ViewerEvent, ViewerOptions } from './viewer.ts'

/** A page sees neither pings nor the status of a refused upgrade, which looks like 1006 to it. */
const platform: Platform = { seesPings: false, open: openWire }

/** A device that connects at once and stays connected until `close`. */
export function createDeviceClient(options: DeviceOptions): DeviceClient {
  return createDevice(options, platform)
}

/** A viewer that connects at once and stays connected until `close`. */
export function createViewerClient(options: ViewerOptions): ViewerClient {
  return createViewer(options, platform)
}

/** An admin who watches the hub, connected at once and until `close`. */
export function createStatsClient(options: StatsOptions): StatsClient {
  return createStats(options, platform)
}

function openWire(url: string, subprotocol: string, listener: WireListener): Wire {
  const socket = new WebSocket(url, [subprotocol])
  socket.binaryType = 'arraybuffer'
  socket.onopen = () => listener.opened()
  socket.onmessage = ({ data }) =>
    listener.received(data instanceof ArrayBuffer ? new Uint8Array(data) : null)
  socket.onclose = ({ code, reason }) => listener.closed(code, reason || `closed ${code}`)
  return {
    send: (bytes) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(bytes as Uint8Array<ArrayBuffer>)
    },
    close: (code) => socket.close(code),
    abort: () => socket.close(),
  }
}
