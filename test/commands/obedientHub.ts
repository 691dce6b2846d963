/**
 * A hub for tests of the commands: it accepts every device, acknowledges what comes (or not, when a test
 * says so), and serves the few HTTP answers that the commands ask for. It stores nothing but in memory.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import { CLOSE } from '../../src/protocol/closes.ts'
import { decodeDeviceFrame } from '../../src/protocol/decode.ts'
import { encodeAck, encodeDeviceWelcome } from '../../src/protocol/encode.ts'
import {
  AT,
  POINT_STRIDE,
  type PointsFrame,
  type Reason,
  type Rejected,
  type SessionFrame,
  SUBPROTOCOL,
  TYPE,
} from '../../src/protocol/messages.ts'

export interface HeardPoint {
  recordedMs: number
  lat: number
  lng: number
  speed: number
  heading: number
  altitude: number
  session: number | null
}

export type ObedientHub = Awaited<ReturnType<typeof openObedientHub>>

const BATCH_POINTS_MAX = 100
const E7 = 10_000_000

export async function openObedientHub() {
  /** What a test may change at any time. */
  const manners = {
    /** Acknowledges nothing before BYE. */
    isSilent: false,
    /** Device keys that are refused. */
    refusedKeys: new Set<string>(),
    reject: (_point: HeardPoint): Reason | null => null,
    /** Called after each POINTS frame. */
    heard: () => {},
  }
  /** By device key, in the order of arrival. */
  const points = new Map<string, HeardPoint[]>()
  const sessions = new Map<string, SessionFrame[]>()
  const requests: string[] = []
  const devices: { id: number; userId: number; name: string; color: string }[] = []
  let connections = 0

  const http = createServer(answer)
  const sockets = new WebSocketServer({ server: http, handleProtocols: () => SUBPROTOCOL.device })
  sockets.on('connection', accept)
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
  return {
    url,
    manners,
    points,
    sessions,
    requests,
    devices,
    close,
    get connections() {
      return connections
    },
  }

  function accept(socket: WebSocket): void {
    connections++
    let key = ''
    let lastSeq = 0
    const rejected: Rejected[] = []
    socket.on('message', (data) => {
      const frame = decodeDeviceFrame(data as Buffer, BATCH_POINTS_MAX)
      switch (frame.type) {
        case TYPE.hello:
          key = frame.deviceKey
          if (manners.refusedKeys.has(key)) return socket.close(CLOSE.refused.code, CLOSE.refused.reason)
          return socket.send(
            encodeDeviceWelcome({
              deviceId: Number(key.split('_')[1]),
              windowPoints: 1_000,
              batchPointsMax: BATCH_POINTS_MAX,
              frameBytesMax: 32_768,
              serverNowMs: Date.now(),
              heartbeatS: 30,
            }),
          )
        case TYPE.points:
          lastSeq = frame.seq
          rejected.push(...keep(key, frame))
          manners.heard()
          break
        case TYPE.session:
          lastSeq = frame.seq
          listOf(sessions, key).push(frame)
          break
        case TYPE.bye:
          socket.send(encodeAck(lastSeq, 1_000, rejected))
          return socket.close(CLOSE.normal.code)
        default:
          throw new Error(`a device sent ${JSON.stringify(frame)}`)
      }
      if (!manners.isSilent) socket.send(encodeAck(lastSeq, 1_000, rejected.splice(0)))
    })
  }

  function keep(key: string, { seq, session, values }: PointsFrame): Rejected[] {
    const rejected: Rejected[] = []
    for (let offset = 0; offset < values.length; offset += POINT_STRIDE) {
      const at = (field: keyof typeof AT) => values[offset + AT[field]]!
      const point: HeardPoint = {
        recordedMs: at('recordedMs'),
        lat: at('lat') / E7,
        lng: at('lng') / E7,
        speed: at('speed') / 100,
        heading: at('heading') / 100,
        altitude: at('altitude') / 100,
        session,
      }
      const reason = manners.reject(point)
      if (reason === null) listOf(points, key).push(point)
      else rejected.push([seq, offset / POINT_STRIDE, reason])
    }
    return rejected
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url: path = '' } = request
    requests.push(`${method} ${path}`)
    let text = ''
    for await (const chunk of request) text += chunk
    const body = text === '' ? {} : JSON.parse(text)
    const json = (status: number, value: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(value))
    }
    if (method === 'GET' && path.startsWith('/v1/users?email=')) {
      const email = decodeURIComponent(path.slice('/v1/users?email='.length))
      return json(200, { users: email === 'ana@example.org' ? [{ id: 7, email }] : [], next: null })
    }
    if (method === 'GET' && path.startsWith('/v1/devices?')) return json(200, { devices, next: null })
    if (method === 'POST' && path === '/v1/devices') {
      const device = { id: devices.length + 1, ...body }
      devices.push(device)
      return json(201, { device, deviceKey: `alzy_${device.id}_made` })
    }
    const id = Number(/^\/v1\/devices\/(\d+)\/key$/.exec(path)?.[1])
    const device = devices.find((candidate) => candidate.id === id)
    if (device === undefined) return json(404, { title: 'Not Found', status: 404, detail: 'no such device' })
    json(201, { device, deviceKey: `alzy_${id}_replaced` })
  }

  async function close(): Promise<void> {
    for (const socket of sockets.clients) socket.terminate()
    http.closeAllConnections()
    await new Promise((resolve) => http.close(resolve))
  }
}

function listOf<Thing>(lists: Map<string, Thing[]>, key: string): Thing[] {
  const list = lists.get(key) ?? []
  lists.set(key, list)
  return list
}
