/**
 * A WebSocket that sends and receives msgpack arrays, keeps all of them, and can be waited for. It knows no types of
 * frames, and shares no code with src/.
 */
import type { Socket } from 'node:net'
import { decode, encode } from '@msgpack/msgpack'
import WebSocket, { type RawData } from 'ws'
import { reset } from './reset.ts'
import { PATIENCE_MS } from './until.ts'

/** `[type, field, …]` */
export type Frame = readonly unknown[]

export interface Closed {
  code: number
  reason: string
}

export interface Opening {
  subprotocol?: string
  headers?: Record<string, string>
  /** The address to connect from, such as 127.0.0.9. */
  localAddress?: string
  /** Whom to trust with TLS, in PEM. */
  ca?: string | Buffer
}

export type PlainSocket = Awaited<ReturnType<typeof openPlainSocket>>

/**
 * A socket on any path. `answers` may deal with a frame as it arrives, which then is not kept for `next`; what it throws
 * is a breach of the protocol, like a message that is no frame. `breached` is told of each; `wait` rejects after the first.
 */
export async function openPlainSocket(
  place: string,
  { subprotocol, headers = {}, localAddress, ca }: Opening,
  answers: (frame: Frame, send: (frame: Frame) => void) => boolean = () => false,
  breached: (fault: Error) => void = () => {},
) {
  const frames: Frame[] = []
  const untaken: Frame[] = []
  const waiting = new Set<() => void>()
  const counts = { pings: 0 }
  let end: Closed | null = null
  let breach: Error | null = null

  const ws = new WebSocket(place, subprotocol === undefined ? [] : [subprotocol], {
    headers,
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(ca === undefined ? {} : { ca }),
    perMessageDeflate: false,
    handshakeTimeout: PATIENCE_MS,
  })
  const closed = new Promise<Closed>((resolve) => {
    ws.once('close', (code, reason) => {
      end = { code, reason: reason.toString() }
      resolve(end)
      lookAgain()
    })
  })
  ws.on('message', received)
  ws.on('ping', () => {
    counts.pings += 1
  })
  const socket = await opened(ws)
  // A connection that breaks says so by its close; one that the hub garbled closes in the same way.
  ws.on('error', (fault: NodeJS.ErrnoException) => {
    if (fault.code?.startsWith('WS_ERR_')) noteBreach(fault)
  })

  return {
    /** All frames that have arrived, in order, whether taken by `next` or not. */
    frames: frames as readonly Frame[],
    /** WebSocket pings of the hub. */
    counts: counts as Readonly<typeof counts>,
    /** What the hub chose. */
    subprotocol: ws.protocol,
    closed,
    isOpen: () => end === null,
    send,
    sendTogether,
    sendRaw,
    next,
    take,
    wait,
    pause,
    resume,
    close,
    terminate,
  }

  function send(frame: Frame): void {
    ws.send(encode(frame))
  }

  /** All in one write, so that the hub finds them together. */
  function sendTogether(several: readonly Frame[]): void {
    socket.cork()
    for (const frame of several) send(frame)
    socket.uncork()
  }

  /** Bytes go in a binary message, text in a text message. */
  function sendRaw(message: Uint8Array | string): void {
    ws.send(message)
  }

  /** The next frame, or the next one of that type: the others are kept, in order, for a later call. */
  function next(type?: number, timeoutMs = PATIENCE_MS): Promise<Frame> {
    return wait(() => take(type), type === undefined ? 'a frame' : `a frame of type ${type}`, timeoutMs)
  }

  /** Like `next`, but only of what has arrived already. */
  function take(type?: number): Frame | undefined {
    const index = untaken.findIndex((frame) => type === undefined || frame[0] === type)
    return index < 0 ? undefined : untaken.splice(index, 1)[0]
  }

  /** Looks after every frame until there is something; rejects when the connection ends or time is over. */
  function wait<Found>(look: () => Found | undefined, what: string, timeoutMs = PATIENCE_MS): Promise<Found> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => giveUp(`within ${timeoutMs} ms`), timeoutMs)
      waiting.add(attempt)
      attempt()

      function attempt(): void {
        const found = look()
        if (found !== undefined) {
          stop()
          resolve(found)
        } else if (breach) {
          giveUp(`and the hub broke the protocol: ${breach.message}`)
        } else if (end) {
          giveUp(`before the close with ${end.code} ${end.reason}`)
        }
      }

      function giveUp(why: string): void {
        stop()
        const types = frames.slice(-20).map(([type]) => type)
        reject(new Error(`${what} did not come ${why}; the last frames were of type ${types.join(', ')}`))
      }

      function stop(): void {
        clearTimeout(timer)
        waiting.delete(attempt)
      }
    })
  }

  /** Stops reading, so that what the hub sends gathers in the buffers between. */
  function pause(): void {
    ws.pause()
  }

  function resume(): void {
    ws.resume()
  }

  function close(code = 1000): Promise<Closed> {
    ws.close(code)
    return closed
  }

  /** Ends the connection as a machine that lost its power: with a reset and without a close. */
  function terminate(): void {
    reset(socket)
  }

  function received(data: RawData, isBinary: boolean): void {
    try {
      if (!isBinary) throw new Error('a text frame')
      const frame = decode(data as Buffer)
      if (!Array.isArray(frame)) throw new Error('a message that is no array')
      frames.push(frame)
      if (!answers(frame, send)) untaken.push(frame)
    } catch (fault) {
      noteBreach(fault as Error)
    }
    lookAgain()
  }

  function noteBreach(fault: Error): void {
    breach ??= fault
    breached(fault)
  }

  function lookAgain(): void {
    for (const attempt of [...waiting]) attempt()
  }
}

/** Resolves with the TCP socket below. */
function opened(ws: WebSocket): Promise<Socket> {
  return new Promise((resolve, reject) => {
    let socket: Socket
    ws.once('upgrade', (response) => {
      socket = response.socket
    })
    ws.once('open', () => resolve(socket))
    ws.once('error', reject)
    ws.once('unexpected-response', (asked, response) => {
      asked.destroy()
      reject(new Error(`the upgrade was refused with HTTP ${response.statusCode}`))
    })
  })
}
