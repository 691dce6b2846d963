/**
 * The peers that are libraries, as their own documentation shows them: a room that everybody who watches is in, and
 * whatever a device sends goes to all of it. No compression, WebSocket only, nothing decoded, nothing stored.
 */

import uws from 'uWebSockets.js'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server, type ServerOptions } from 'socket.io'
import parser from 'socket.io-msgpack-parser'
import { WebSocketServer } from 'ws'
import { serveTasks } from '../children.ts'
import { cpuMs } from '../clock.ts'

export type PeerServerTasks = typeof tasks
export type LibraryName = keyof typeof LIBRARIES

const ROOM = 'viewers'
const SOCKET_IO: Partial<ServerOptions> = {
  transports: ['websocket'],
  serveClient: false,
  perMessageDeflate: false,
}
const LIBRARIES = { ws: serveWs, socketio: serveSocketIo, socketioOnUws: serveSocketIoOnUws }

const tasks = { listen, cpu }
serveTasks(tasks)

async function listen(input: { library: LibraryName }): Promise<{ port: number }> {
  return { port: await LIBRARIES[input.library]() }
}

async function cpu(): Promise<{ usedMs: number }> {
  return { usedMs: cpuMs() }
}

async function serveWs(): Promise<number> {
  const server = createServer()
  const viewers = new Set<import('ws').WebSocket>()
  const sockets = new WebSocketServer({ server, perMessageDeflate: false })
  sockets.on('connection', (socket, request) => {
    socket.on('error', () => socket.terminate())
    if (request.url === '/viewer') {
      viewers.add(socket)
      socket.on('close', () => viewers.delete(socket))
    } else {
      socket.on('message', (point) => {
        for (const viewer of viewers) viewer.send(point as Buffer, { binary: true })
      })
    }
  })
  return listening(server)
}

async function serveSocketIo(): Promise<number> {
  const server = createServer()
  relay(new Server(server, SOCKET_IO))
  return listening(server)
}

function serveSocketIoOnUws(): Promise<number> {
  const app = uws.App()
  const io = new Server({ ...SOCKET_IO, parser })
  io.attachApp(app)
  relay(io)
  return new Promise((resolve, reject) => {
    app.listen('127.0.0.1', 0, (socket) => {
      if (socket) resolve(uws.us_socket_local_port(socket))
      else reject(new Error('cannot listen'))
    })
  })
}

async function listening(server: import('node:http').Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

function relay(io: Server): void {
  io.on('connection', (socket) => {
    socket.on('watch', async (done: () => void) => {
      await socket.join(ROOM)
      done()
    })
    socket.on('point', (point: Buffer | ArrayBuffer) => io.to(ROOM).emit('point', point))
  })
}
