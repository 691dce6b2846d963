/**
 * The peers that are libraries, as their own documentation shows them: a room that everybody who watches is in, and
 * whatever a device sends goes to all of it. No compression, WebSocket only, nothing decoded, nothing stored.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server } from 'socket.io'
import { WebSocketServer } from 'ws'
import { serveTasks } from './children.ts'
import { cpuMs } from './clock.ts'

export type PeerServerTasks = typeof tasks

const ROOM = 'viewers'
const server = createServer()

const tasks = { listen, cpu }
serveTasks(tasks)

async function listen(input: { library: 'ws' | 'socketio' }): Promise<{ port: number }> {
  if (input.library === 'ws') serveWs()
  else serveSocketIo()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as AddressInfo).port }
}

async function cpu(): Promise<{ usedMs: number }> {
  return { usedMs: cpuMs() }
}

function serveWs(): void {
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
}

function serveSocketIo(): void {
  const io = new Server(server, { transports: ['websocket'], serveClient: false, perMessageDeflate: false })
  io.on('connection', (socket) => {
    socket.on('watch', async (done: () => void) => {
      await socket.join(ROOM)
      done()
    })
    socket.on('point', (point: Buffer) => io.to(ROOM).emit('point', point))
  })
}
