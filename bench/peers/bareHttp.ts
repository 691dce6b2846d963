/**
 * The reference for what a hub does on top of its HTTP library: uWebSockets.js alone, which answers each path with the
 * bytes that the hub has answered, held ready in memory. It reads no token and asks no database.
 */
import uws from 'uWebSockets.js'
import { serveTasks } from '../children.ts'
import { cpuMs } from '../clock.ts'

export type BareHttpTasks = typeof tasks

const tasks = { listen, cpu }
serveTasks(tasks)

async function listen(input: {
  answers: { path: string; contentType: string; body: string }[]
}): Promise<{ port: number }> {
  const app = uws.App()
  for (const { path, contentType, body } of input.answers) {
    const bytes = Buffer.from(body)
    app.get(path, (res) => {
      res.writeHeader('Cache-Control', 'no-store').writeHeader('Content-Type', contentType).end(bytes)
    })
  }
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
