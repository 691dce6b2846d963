/** `alzy/client` on Node: the clients over the `ws` package, and a queue in a file. */
import { WebSocket } from 'ws'
import { createDevice, type DeviceClient, type DeviceOptions } from './device.ts'
import type { Platform, Wire, WireListener } from './platform.ts'
import { retryAfterMs } from './retryAfter.ts'
import { createViewer, type ViewerClient, type ViewerOptions } from './viewer.ts'

export type { Clock } from '../clock.ts'
export type { ConnectionState } from './connection.ts'
export type { DeviceClient, DeviceCounts, DeviceEvent, DeviceOptions, ReasonName } from './device.ts'
export { type FileQueue, type FileQueueOptions, openFileQueue } from './fileQueue.ts'
export type { ViewerRole } from './frames.ts'
export type { DeviceView } from './picture.ts'
export type { PointSource, RecordedPoint, SeenPoint } from './points.ts'
export { createMemoryQueue, type DeviceQueue, ENTRY_STRIDE, type Entry, type SessionOpName } from './queue.ts'
export { ClientStopped } from './recording.ts'
export type { TokenSource } from './token.ts'
export type { Subscription, ViewerClient, ViewerEvent, ViewerOptions } from './viewer.ts'

/** A frame of the hub is far smaller; more than this is not a hub. */
const FRAME_BYTES_MAX = 4 * 1024 * 1024

// `closeTimeout` is missing in the types: how long a hub may take to answer a close.
const SOCKET_OPTIONS = { perMessageDeflate: false, maxPayload: FRAME_BYTES_MAX, closeTimeout: 5_000 }

const platform: Platform = { seesPings: true, open: openWire }

/** A device that connects at once and stays connected until `close`. */
export function createDeviceClient(options: DeviceOptions): DeviceClient {
  return createDevice(options, platform)
}

/** A viewer that connects at once and stays connected until `close`. */
export function createViewerClient(options: ViewerOptions): ViewerClient {
  return createViewer(options, platform)
}

function openWire(url: string, subprotocol: string, listener: WireListener): Wire {
  const socket = new WebSocket(url, [subprotocol], SOCKET_OPTIONS)
  let fault = ''
  socket.on('open', listener.opened)
  socket.on('message', (data, isBinary) => listener.received(isBinary ? (data as Buffer) : null))
  socket.on('ping', listener.pinged)
  socket.on('close', (code, reason) => listener.closed(code, reason.toString() || fault || `closed ${code}`))
  // A close always follows; it says what became of the connection, this says why.
  socket.on('error', (error) => {
    fault = error.message
  })
  socket.on('unexpected-response', (_request, response) => {
    response.destroy()
    listener.refused(response.statusCode ?? 0, retryAfterMs(response.headers['retry-after']))
  })
  return {
    send: (bytes) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(bytes)
    },
    close: (code) => socket.close(code),
    abort: () => socket.terminate(),
  }
}
