/**
 * A hub for tests of the client library: it accepts sockets and says exactly what a test tells it to, in
 * the bytes of PROTOCOL.md, read and written with a codec that is not the product's.
 */
import type { IncomingMessage } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { decode, encode } from '@msgpack/msgpack'
import { type WebSocket, WebSocketServer } from 'ws'

export type Wire = (number | string | boolean | null | Wire)[]

export interface Peer {
  /** Every frame of the client on this connection, in order. */
  readonly frames: Wire[]
  /** Their sizes. */
  readonly frameBytes: number[]
  /** The next frame that was not taken yet. */
  next(): Promise<Wire>
  /** Frames that came and were not taken; waits until the client has answered all it was sent. */
  settled(): Promise<Wire[]>
  say(...frame: Wire): void
  sayBytes(bytes: Uint8Array): void
  ping(): void
  close(code: number): void
  /** Cuts the connection without a close frame: the client sees 1006. */
  cut(): void
  readonly closed: Promise<number>
}

export interface ScriptedHub {
  readonly url: string
  /** Waits for the next connection. */
  accept(): Promise<Peer>
  /** Connections that nobody accepted yet. */
  readonly waiting: number
  /** Refuses the following upgrades with this HTTP status; null: none. */
  refuse(status: string | null, headers?: string[]): void
  close(): Promise<void>
}

export async function openScriptedHub(subprotocol: string): Promise<ScriptedHub> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => subprotocol })
  const peers = createLine<Peer>()
  let refusal: { status: string; headers: string[] } | null = null
  server.on('connection', (socket) => peers.put(peerOf(socket)))
  server.shouldHandle = () => true
  await new Promise((resolve) => server.once('listening', resolve))
  // `ws` lets a test answer the upgrade by itself only this early.
  const http = (server as unknown as { _server: import('node:http').Server })._server
  const upgrade = http.listeners('upgrade')[0] as (...args: unknown[]) => void
  http.removeAllListeners('upgrade')
  http.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    if (refusal === null) upgrade(request, socket, head)
    else
      socket.end([`HTTP/1.1 ${refusal.status}`, ...refusal.headers, 'Connection: close', '', ''].join('\r\n'))
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    accept: () => peers.take(),
    get waiting() {
      return peers.length
    },
    refuse: (status, headers = []) => {
      refusal = status === null ? null : { status, headers }
    },
    close,
  }

  async function close(): Promise<void> {
    for (const socket of server.clients) socket.terminate()
    await new Promise((resolve) => server.close(resolve))
  }
}

function peerOf(socket: WebSocket): Peer {
  const frames: Wire[] = []
  const frameBytes: number[] = []
  const untaken = createLine<Wire>()
  const closed = new Promise<number>((resolve) => socket.once('close', resolve))
  socket.on('message', (data, isBinary) => {
    if (!isBinary) throw new Error('the client sent text')
    const frame = decode(data as Buffer) as Wire
    frames.push(frame)
    frameBytes.push((data as Buffer).length)
    untaken.put(frame)
  })
  return {
    frames,
    frameBytes,
    next: () => untaken.take(),
    settled,
    say: (...frame) => socket.send(encode(frame)),
    sayBytes: (bytes) => socket.send(bytes),
    ping: () => socket.ping(),
    close: (code) => socket.close(code),
    cut: () => socket.terminate(),
    closed,
  }

  // A pong comes back only after the client has handled everything before the ping.
  async function settled(): Promise<Wire[]> {
    const pong = new Promise((resolve) => socket.once('pong', resolve))
    socket.ping()
    await pong
    return untaken.takeAll()
  }
}

/** Things in order, for takers in order, whichever comes first. */
export function createLine<Thing>() {
  let things: Thing[] = []
  const takers: ((thing: Thing) => void)[] = []
  return {
    put(thing: Thing): void {
      const taker = takers.shift()
      if (taker) taker(thing)
      else things.push(thing)
    },
    take(): Promise<Thing> {
      return new Promise((resolve) => {
        if (things.length > 0) resolve(things.shift()!)
        else takers.push(resolve)
      })
    },
    takeAll(): Thing[] {
      const all = things
      things = []
      return all
    },
    get length() {
      return things.length
    },
  }
}
