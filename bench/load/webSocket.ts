/**
 * A WebSocket client that costs next to nothing, so that a benchmark measures the server: one read buffer for all
 * sockets, frames handed out in place, and messages that the caller has framed beforehand. No fragments, no
 * compression: no server here sends any.
 */
import { randomBytes } from 'node:crypto'
import net from 'node:net'

export interface SocketOptions {
  port: number
  path: string
  /** Empty: none is offered. */
  subprotocol: string
  /** A binary message lies in `bytes` from `from` to `to` (exclusive) until the call returns. */
  onMessage: (bytes: Buffer, from: number, to: number) => void
  /** The same for a text message; without it none is expected. */
  onText?: (bytes: Buffer, from: number, to: number) => void
  /** The socket ended without having been asked to. */
  onLost: (reason: string) => void
}

export interface BenchSocket {
  /** Whole messages, each made by `framed`, one after the other. */
  write: (messages: Uint8Array) => void
  /** Reads nothing any more, as somebody whose line has stopped. */
  stall: () => void
  end: () => void
}

export const OPCODE = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const
const FINAL = 0x80
const MASKED = 0x80
const READ_BYTES = 256 * 1024

/** A socket reads and hands out its messages before the next one reads, so they can share. */
const readBuffer = Buffer.allocUnsafe(READ_BYTES)

/** A client's message as it goes over the line. Masked with zeroes, as good as any mask and free. */
export function framed(payload: Uint8Array, opcode: number = OPCODE.binary): Buffer {
  const { length } = payload
  if (length > 0xffff) throw new RangeError('no message of a benchmark is so long')
  const head =
    length < 126
      ? [FINAL | opcode, MASKED | length, 0, 0, 0, 0]
      : [FINAL | opcode, MASKED | 126, length >> 8, length & 0xff, 0, 0, 0, 0]
  return Buffer.concat([Buffer.from(head), payload])
}

/** Resolves when the upgrade is done; rejects when it is refused. */
export function openSocket(options: SocketOptions): Promise<BenchSocket> {
  const { port, path, subprotocol, onMessage, onText, onLost } = options
  return new Promise((resolve, reject) => {
    let rest: Buffer | null = null
    let isUpgraded = false
    let isEnding = false
    const socket = net.connect({
      host: '127.0.0.1',
      port,
      noDelay: true,
      onread: { buffer: readBuffer, callback: read },
    })
    socket.once('connect', () => socket.write(upgradeRequest(port, path, subprotocol)))
    socket.once('error', (fault) => lost(fault.message))
    socket.once('close', () => lost('the connection ended'))

    function read(count: number): boolean {
      const chunk = readBuffer.subarray(0, count)
      const bytes: Buffer = rest === null ? chunk : Buffer.concat([rest, chunk])
      const used = isUpgraded ? messages(bytes, 0) : upgraded(bytes)
      // What is left over must not stay in the shared buffer.
      rest = used === bytes.length ? null : Buffer.from(bytes.subarray(used))
      return true
    }

    /** Returns how many of the bytes are done with. */
    function upgraded(bytes: Buffer): number {
      const headEnd = bytes.indexOf('\r\n\r\n')
      if (headEnd === -1) return 0
      const status = bytes.toString('latin1', 0, bytes.indexOf('\r\n'))
      if (!status.startsWith('HTTP/1.1 101')) {
        lost(`the upgrade was refused: ${status}`)
        return bytes.length
      }
      isUpgraded = true
      resolve({ write: (message) => void socket.write(message), stall: () => void socket.pause(), end })
      return messages(bytes, headEnd + 4)
    }

    function messages(bytes: Buffer, start: number): number {
      let at = start
      while (bytes.length - at >= 2) {
        let length = bytes[at + 1]!
        let head = 2
        if (length === 126) {
          if (bytes.length - at < 4) break
          length = bytes.readUInt16BE(at + 2)
          head = 4
        } else if (length === 127) {
          if (bytes.length - at < 10) break
          length = Number(bytes.readBigUInt64BE(at + 2))
          head = 10
        }
        const to = at + head + length
        if (bytes.length < to) break
        const opcode = bytes[at]! & 0x0f
        if (opcode === OPCODE.binary) onMessage(bytes, at + head, to)
        else if (opcode === OPCODE.text && onText) onText(bytes, at + head, to)
        else control(opcode, bytes.subarray(at + head, to))
        at = to
      }
      return at
    }

    function control(opcode: number, payload: Buffer): void {
      if (opcode === OPCODE.ping) socket.write(framed(payload, OPCODE.pong))
      else if (opcode === OPCODE.close) {
        lost(`closed with ${payload.length < 2 ? 'no code' : payload.readUInt16BE(0)} ${payload.subarray(2)}`)
      } else if (opcode !== OPCODE.pong) lost(`a frame of a kind that nobody expects: ${opcode}`)
    }

    function end(): void {
      isEnding = true
      socket.destroy()
    }

    function lost(reason: string): void {
      if (isEnding) return
      end()
      if (isUpgraded) onLost(reason)
      else reject(new Error(reason))
    }
  })
}

function upgradeRequest(port: number, path: string, subprotocol: string): string {
  return [
    `GET ${path} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    'Sec-WebSocket-Version: 13',
    ...(subprotocol === '' ? [] : [`Sec-WebSocket-Protocol: ${subprotocol}`]),
    '\r\n',
  ].join('\r\n')
}
