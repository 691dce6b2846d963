/**
 * A TCP connection that says whatever it is told and reads what a hub answers: the head of an HTTP response, then
 * frames. It keeps no rule of WebSocket but those for reading.
 */
import net from 'node:net'
import { decode } from '@msgpack/msgpack'
import { reset } from '../rig/reset.ts'

export type RawSocket = Awaited<ReturnType<typeof openRawSocket>>

export interface Head {
  subprotocol?: string
  headers?: Record<string, string | null>
  method?: string
  version?: string
}

/** A request for an upgrade; a header that is null is left out. */
export function upgradeHead(path: string, { subprotocol, headers = {}, method, version }: Head = {}): string {
  const all = {
    Host: 'hub',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...(subprotocol === undefined ? {} : { 'Sec-WebSocket-Protocol': subprotocol }),
    ...headers,
  }
  const lines = Object.entries(all).flatMap(([name, value]) => (value === null ? [] : [`${name}: ${value}`]))
  return [`${method ?? 'GET'} ${path} ${version ?? 'HTTP/1.1'}`, ...lines, '', ''].join('\r\n')
}

export interface Bits {
  opcode?: number
  isFinal?: boolean
  reserved?: number
  isMasked?: boolean
  /** How many bits the length is written in, whether it needs them or not. */
  lengthBits?: 7 | 16 | 64
  /** What the length says; else the truth. */
  says?: number
}

/** A frame of WebSocket, by default a whole binary message, masked. */
export function wsFrame(payload: Uint8Array | string, bits: Bits = {}): Buffer {
  const { opcode = 2, isFinal = true, reserved = 0, isMasked = true } = bits
  const body = Buffer.from(payload as string)
  const length = bits.says ?? body.length
  const lengthBits = bits.lengthBits ?? (length < 126 ? 7 : length < 65_536 ? 16 : 64)
  const head = Buffer.alloc(lengthBits === 7 ? 2 : lengthBits === 16 ? 4 : 10)
  head[0] = (isFinal ? 0x80 : 0) | (reserved << 4) | opcode
  head[1] = (isMasked ? 0x80 : 0) | (lengthBits === 7 ? length : lengthBits === 16 ? 126 : 127)
  if (lengthBits === 16) head.writeUInt16BE(length, 2)
  if (lengthBits === 64) head.writeBigUInt64BE(BigInt(length), 2)
  if (!isMasked) return Buffer.concat([head, body])
  const mask = [0x5a, 0xc3, 0x0f, 0x96]
  return Buffer.concat([head, Buffer.from(mask), body.map((byte, i) => byte ^ mask[i & 3]!)])
}

export async function openRawSocket(port: number) {
  const socket = net.connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  let bytes = Buffer.alloc(0)
  const answers: number[] = []
  let code: number | null = null
  let pong: string | null = null
  const messages: unknown[][] = []
  const looks = new Set<() => void>()
  let isEnded = false
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk])
    while (readOne());
    for (const look of [...looks]) look()
  })
  // A reset is an end like any other.
  socket.on('error', () => {})
  socket.on('close', () => {
    isEnded = true
    for (const look of [...looks]) look()
  })
  await new Promise<void>((resolve) => {
    socket.once('connect', resolve)
    socket.once('close', resolve)
  })
  return {
    write: (data: Uint8Array | string) => void (isEnded || socket.write(data)),
    finish: () => socket.end(),
    destroy: () => reset(socket),
    wait,
    messages: messages as readonly unknown[][],
    get isEnded() {
      return isEnded
    },
    /** Of the last response; null: none yet. */
    get status() {
      return answers.at(-1) ?? null
    },
    /** The status of every response so far. */
    answers: answers as readonly number[],
    /** Of a close frame; null: none yet. */
    get code() {
      return code
    },
    /** What the last pong said; null: none yet. */
    get pong() {
      return pong
    },
  }

  /** Resolves with true once it is so, or with false when the connection has ended before. */
  function wait(isSo: () => boolean, what: string, timeoutMs = 60_000): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        looks.delete(look)
        reject(new Error(`waited ${timeoutMs} ms in vain for ${what}`))
      }, timeoutMs)
      looks.add(look)
      look()

      function look(): void {
        if (!isSo() && !isEnded) return
        clearTimeout(timer)
        looks.delete(look)
        resolve(isSo())
      }
    })
  }

  /** True: there may be more. */
  function readOne(): boolean {
    return answers.at(-1) === 101 ? readFrame() : readHead()
  }

  function readHead(): boolean {
    const end = bytes.indexOf('\r\n\r\n')
    if (end < 0) return false
    const head = bytes.subarray(0, end).toString('latin1')
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? Number.NaN)
    const length = status === 101 ? 0 : Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
    if (bytes.length < end + 4 + length) return false
    answers.push(status)
    bytes = bytes.subarray(end + 4 + length)
    return bytes.length > 0
  }

  function readFrame(): boolean {
    if (bytes.length < 2) return false
    const short = bytes[1]! & 0x7f
    const from = short === 126 ? 4 : short === 127 ? 10 : 2
    if (bytes.length < from) return false
    const length =
      short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short
    if (bytes.length < from + length) return false
    const payload = bytes.subarray(from, from + length)
    const opcode = bytes[0]! & 0x0f
    if (opcode === 2) messages.push(decode(payload) as unknown[])
    if (opcode === 10) pong = payload.toString()
    if (opcode === 8) code = length < 2 ? 1005 : payload.readUInt16BE(0)
    bytes = bytes.subarray(from + length)
    return true
  }
}
