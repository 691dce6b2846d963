/**
 * The protocol as anybody could speak it who has read PROTOCOL.md and nothing else. It shares no code with src/, so
 * that a mistake there is not made here as well.
 */
import { randomBytes } from 'node:crypto'
import { type IncomingHttpHeaders, request } from 'node:http'
import { type Frame, type Opening, openPlainSocket } from './plainSocket.ts'
import { PATIENCE_MS } from './until.ts'

const ACK = 66
const WELCOME = 65
const TICK = 90
const SNAP = 80
const SEEN = 19

export type DeviceWire = Awaited<ReturnType<typeof openDevice>>
export type ViewerWire = Awaited<ReturnType<typeof openViewer>>

export interface Acknowledged {
  /** The greatest seq acknowledged so far. */
  seq: number
  /** As the last ACK said. */
  windowPoints: number
  /** `[seq, index, reason]` of every ACK so far. */
  rejected: [seq: number, index: number, reason: number][]
}

/**
 * Connects to `/v1/device` of the hub at `url` (`ws://host:port`). With a key HELLO is sent at once, unless `hello` is
 * false; WELCOME goes to the promise `welcome`. Rejects when the hub refuses the upgrade.
 */
export async function openDevice(
  url: string,
  options: Opening & { deviceKey?: string; hello?: boolean } = {},
) {
  const wire = await openPlainSocket(`${url}/v1/device`, { subprotocol: 'alzy.device.v1', ...options })
  const welcome = wire.wait(() => wire.take(WELCOME), 'WELCOME').then(deviceWelcome)
  unheeded(welcome)
  const { deviceKey, hello = true } = options
  if (deviceKey !== undefined && hello) wire.send([1, deviceKey, 'wire test', Date.now()])
  return { ...wire, welcome, ack }

  /** Resolves once everything up to `seq` is acknowledged. Looks at all frames, and takes none from `next`. */
  function ack(seq: number, timeoutMs = PATIENCE_MS): Promise<Acknowledged> {
    return wire.wait(() => acknowledged(seq), `ACK of ${seq}`, timeoutMs)
  }

  function acknowledged(seq: number): Acknowledged | undefined {
    const acks = wire.frames.filter(([type]) => type === ACK)
    const last = acks.at(-1)
    if (!last || (last[1] as number) < seq) return undefined
    return {
      seq: last[1] as number,
      windowPoints: last[2] as number,
      rejected: acks.flatMap((frame) => (frame[3] ?? []) as Acknowledged['rejected']),
    }
  }
}

/**
 * Connects to `/v1/live`. With a token HELLO is sent at once, unless `hello` is false. TICK is answered with SEEN as
 * long as `answersTicks` is true, and then kept from `next`.
 */
export async function openViewer(
  url: string,
  options: Opening & { token?: string; hello?: boolean; answersTicks?: boolean } = {},
) {
  return openWatching(`${url}/v1/live`, { subprotocol: 'alzy.live.v1', ...options })
}

/** Connects to `/v1/stats`, otherwise like openViewer. */
export async function openStats(url: string, options: Parameters<typeof openViewer>[1] = {}) {
  return openWatching(`${url}/v1/stats`, { subprotocol: 'alzy.stats.v1', ...options })
}

async function openWatching(place: string, options: NonNullable<Parameters<typeof openViewer>[1]>) {
  let isAnswering = options.answersTicks ?? true
  const wire = await openPlainSocket(place, options, answerTick)
  const welcome = wire.wait(() => wire.take(WELCOME), 'WELCOME').then(viewerWelcome)
  unheeded(welcome)
  const { token, hello = true } = options
  if (token !== undefined && hello) wire.send([1, token, 'wire test', Date.now()])
  return { ...wire, welcome, answerTicks, snapshot }

  /**
   * The devices of the next snapshot, once its last part is there: what changes while it is read makes one part more,
   * and a device in several of them is as the last one says.
   */
  async function snapshot(): Promise<(readonly unknown[])[]> {
    const devices = new Map<unknown, readonly unknown[]>()
    for (let isLast = false; !isLast; ) {
      const [, , last, part] = await wire.next(SNAP)
      for (const device of part as unknown[][]) devices.set(device[0], device)
      isLast = last as boolean
    }
    return [...devices.values()]
  }

  function answerTicks(answers: boolean): void {
    isAnswering = answers
  }

  function answerTick(frame: Frame, send: (frame: Frame) => void): boolean {
    if (frame[0] !== TICK || !isAnswering) return false
    send([SEEN, frame[1]])
    return true
  }
}

/**
 * What a hub answers to a request for an upgrade, refused or not. A header that is null is left out; a list is sent as
 * several lines.
 */
export function upgradeStatus(
  place: string,
  headers: Record<string, string | string[] | null> = {},
  localAddress?: string,
): Promise<{ status: number; headers: IncomingHttpHeaders; body: string }> {
  const all: Record<string, string | string[] | null> = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': randomBytes(16).toString('base64'),
    ...headers,
  }
  const given = Object.entries(all).flatMap(([name, value]) => (value === null ? [] : [[name, value]]))
  return new Promise((resolve, reject) => {
    const asked = request(place.replace(/^ws/, 'http'), {
      headers: Object.fromEntries(given),
      agent: false,
      ...(localAddress === undefined ? {} : { localAddress }),
    })
    asked.once('error', reject)
    asked.once('upgrade', (response, socket) => {
      socket.destroy()
      resolve({ status: 101, headers: response.headers, body: '' })
    })
    asked.once('response', (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text) => {
        body += text
      })
      response.once('error', reject)
      response.once('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }))
    })
    asked.end()
  })
}

/** A test may have no interest in a promise, and then its rejection is no failure. */
function unheeded(promise: Promise<unknown>): void {
  promise.catch(() => {})
}

function deviceWelcome(frame: Frame) {
  const [, deviceId, windowPoints, batchPointsMax, frameBytesMax, serverNowMs, heartbeatS] = frame as number[]
  return {
    deviceId: deviceId!,
    windowPoints: windowPoints!,
    batchPointsMax: batchPointsMax!,
    frameBytesMax: frameBytesMax!,
    serverNowMs: serverNowMs!,
    heartbeatS: heartbeatS!,
  }
}

function viewerWelcome(frame: Frame) {
  const [, userId, role, serverNowMs, authExpiresMs, heartbeatS] = frame
  return {
    userId: userId as number,
    role: role as string,
    serverNowMs: serverNowMs as number,
    authExpiresMs: authExpiresMs as number,
    heartbeatS: heartbeatS as number,
  }
}
