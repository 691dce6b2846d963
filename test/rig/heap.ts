/**
 * What a Node process holds in memory once everything that nobody needs is collected, asked over its own inspector. The
 * process is not changed for it, only started with `env`.
 */
import WebSocket from 'ws'
import { freePort } from './ports.ts'
import { until } from './until.ts'

export type Inspected = Awaited<ReturnType<typeof inspectable>>

export async function inspectable() {
  const port = await freePort()
  return { env: { NODE_OPTIONS: `--inspect=127.0.0.1:${port}` }, heldBytes }

  async function heldBytes(): Promise<number> {
    const [target] = await until(
      async () =>
        (await (await fetch(`http://127.0.0.1:${port}/json`)).json()) as { webSocketDebuggerUrl: string }[],
      'the inspector answers',
    )
    const socket = new WebSocket(target!.webSocketDebuggerUrl)
    try {
      // Twice: what is finalized by the first is free after the second.
      for (const _ of [1, 2]) await ask(socket, 'HeapProfiler.collectGarbage')
      const { usedSize } = (await ask(socket, 'Runtime.getHeapUsage')) as { usedSize: number }
      return usedSize
    } finally {
      socket.close()
    }
  }
}

let asked = 0

async function ask(socket: WebSocket, method: string): Promise<unknown> {
  if (socket.readyState === WebSocket.CONNECTING) {
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  }
  const id = ++asked
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.on('message', function heard(data) {
      const answer = JSON.parse(String(data)) as { id?: number; result?: unknown; error?: unknown }
      if (answer.id !== id) return
      socket.off('message', heard)
      if (answer.error) reject(new Error(JSON.stringify(answer.error)))
      else resolve(answer.result)
    })
    socket.send(JSON.stringify({ id, method }))
  })
}
