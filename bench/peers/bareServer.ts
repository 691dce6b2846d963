/**
 * The reference for what a hub does on top of its socket library: uWebSockets.js alone, which publishes what
 * devices send, byte for byte, and acknowledges it at once, all that came of a device in a turn together, as a hub does
 * by the batch. It decodes, checks and stores nothing; or where it is told to, it decodes and does not publish. WELCOME,
 * the empty SNAP and ACK are there so that the same generator and the same viewers can be used.
 */
import uws, { type WebSocket } from 'uWebSockets.js'
import { decodeDeviceFrame, decodeViewerFrame } from '../../src/protocol/decode.ts'
import { encodeAck, encodeDeviceWelcome, encodeSnap, encodeViewerWelcome } from '../../src/protocol/encode.ts'
import { ROUTE, SUBPROTOCOL, TYPE } from '../../src/protocol/messages.ts'
import { serveTasks } from '../children.ts'
import { cpuMs } from '../clock.ts'

export type BareServerTasks = typeof tasks

interface Seat {
  /** Frames received on this socket, and until which of them it was told so. */
  frames: number
  acknowledged: number
  isOpen: boolean
  /** Who belongs to the same user publishes and hears the same. */
  topic: string
}

const FRAME_BYTES_MAX = 32 * 1024
/** The hub's default for viewers, so that both lose frames at the same backlog. */
const BUFFER_BYTES_MAX = 1024 * 1024
const HEARTBEAT_S = 60

const app = uws.App()
/** Frames that wait for the end of the handlers that are running. */
let unpublished: { topic: string; frame: ArrayBuffer }[] = []
/** Devices that were not told yet of frames of this turn. */
let owed: { ws: WebSocket<Seat>; seat: Seat }[] = []
let devices = 0
let windowPoints = 0
let decodes = false

const tasks = { listen, cpu }
serveTasks(tasks)

async function listen(input: { windowPoints: number; decodes?: boolean }): Promise<{ port: number }> {
  windowPoints = input.windowPoints
  decodes = input.decodes ?? false
  addRoute(ROUTE.device, SUBPROTOCOL.device, fromDevice)
  addRoute(ROUTE.live, SUBPROTOCOL.live, fromViewer)
  return new Promise((resolve, reject) => {
    app.listen('127.0.0.1', 0, (socket) => {
      if (socket) resolve({ port: uws.us_socket_local_port(socket) })
      else reject(new Error('cannot listen'))
    })
  })
}

async function cpu(): Promise<{ usedMs: number }> {
  return { usedMs: cpuMs() }
}

function addRoute(
  path: string,
  subprotocol: string,
  onFrame: (ws: WebSocket<Seat>, seat: Seat, bytes: ArrayBuffer) => void,
): void {
  app.ws<Seat>(path, {
    compression: uws.DISABLED,
    maxPayloadLength: FRAME_BYTES_MAX,
    maxBackpressure: BUFFER_BYTES_MAX,
    idleTimeout: HEARTBEAT_S,
    upgrade: (res, req, context) => {
      const [key, extensions] = [
        req.getHeader('sec-websocket-key'),
        req.getHeader('sec-websocket-extensions'),
      ]
      res.upgrade(
        { frames: 0, acknowledged: 0, isOpen: true, topic: '' },
        key,
        subprotocol,
        extensions,
        context,
      )
    },
    message: (ws, bytes) => {
      const seat = ws.getUserData()
      onFrame(ws, seat, bytes)
      seat.frames += 1
    },
    close: (ws) => {
      ws.getUserData().isOpen = false
    },
  })
}

/** HELLO first, then frames whose seq is their number. */
function fromDevice(ws: WebSocket<Seat>, seat: Seat, bytes: ArrayBuffer): void {
  const { frames } = seat
  if (frames > 0) {
    if (decodes) decode(bytes)
    else publishSoon(seat.topic, bytes)
    return acknowledgeSoon(ws, seat)
  }
  seat.topic = topicIn(bytes)
  devices += 1
  const welcome = encodeDeviceWelcome({
    deviceId: devices,
    windowPoints,
    batchPointsMax: windowPoints,
    frameBytesMax: FRAME_BYTES_MAX,
    serverNowMs: Date.now(),
    heartbeatS: HEARTBEAT_S,
  })
  ws.send(welcome, true, false)
}

/**
 * While a handler runs, the library's output buffer belongs to the socket that is being read: a topic that
 * overflows then pays one system call for each frame and subscriber, thirteen times the processor time.
 */
function publishSoon(topic: string, bytes: ArrayBuffer): void {
  if (unpublished.length === 0) setImmediate(publishAll)
  // The library takes its memory back when the handler returns.
  unpublished.push({ topic, frame: bytes.slice(0) })
}

function publishAll(): void {
  const frames = unpublished
  unpublished = []
  for (const { topic, frame } of frames) app.publish(topic, frame, true, false)
}

/** The frame that is being read is counted by then. */
function acknowledgeSoon(ws: WebSocket<Seat>, seat: Seat): void {
  if (seat.acknowledged < seat.frames - 1) return
  if (owed.length === 0) setImmediate(acknowledgeAll)
  owed.push({ ws, seat })
}

function acknowledgeAll(): void {
  const devices = owed
  owed = []
  for (const { ws, seat } of devices) {
    // HELLO was one of them, and is no frame with a seq.
    seat.acknowledged = seat.frames - 1
    if (seat.isOpen) ws.send(encodeAck(seat.acknowledged, windowPoints, []), true, false)
  }
}

function decode(bytes: ArrayBuffer): void {
  const frame = decodeDeviceFrame(bytes, windowPoints)
  if (frame.type !== TYPE.points) throw new Error(`expected POINTS, got ${JSON.stringify(frame)}`)
}

/** What is behind the last space of the key or token in HELLO. */
function topicIn(bytes: ArrayBuffer): string {
  const frame = decodeViewerFrame(bytes)
  if (frame.type !== TYPE.hello) throw new Error(`expected HELLO, got ${JSON.stringify(frame)}`)
  return frame.token.split(' ').at(-1)!
}

/** HELLO, then SUB. */
function fromViewer(ws: WebSocket<Seat>, seat: Seat, bytes: ArrayBuffer): void {
  if (seat.frames === 0) {
    seat.topic = topicIn(bytes)
    const nowMs = Date.now()
    const times = { serverNowMs: nowMs, authExpiresMs: nowMs + 3_600_000, heartbeatS: HEARTBEAT_S }
    ws.send(encodeViewerWelcome({ userId: 1, role: 'user', ...times }), true, false)
  } else {
    ws.subscribe(seat.topic)
    ws.send(encodeSnap(0, true, []), true, false)
  }
}
