/**
 * What a Node process holds in memory once everything that nobody needs is collected, asked over its own inspector. The
 * process is not changed for it, only started with `env`.
 */
import WebSocket from 'ws'
import { freePort } from './ports.ts'
import { until } from './until.ts'

export type Inspected = Awaited<ReturnType<typeof inspectable>>

/** Of a heap snapshot, as far as it is used here: the nodes flat, one after the other. */
interface Snapshot {
  snapshot: { meta: { node_fields: string[]; node_types: [string[], ...unknown[]] } }
  nodes: number[]
}

/**
 * What V8 made of the program: functions are compiled whenever they have run often enough, later on a busy machine, and
 * that is more than what a test looks for.
 */
const MADE_BY_V8 = new Set(['code', 'hidden', 'synthetic', 'object shape'])
const SNAPSHOT_BYTES_MAX = 1024 * 1024 * 1024

export async function inspectable() {
  const port = await freePort()
  return { env: { NODE_OPTIONS: `--inspect=127.0.0.1:${port}` }, heldBytes }

  /** Of objects, text, buffers and the like, and not of compiled code. The process stands still for about a second. */
  async function heldBytes(): Promise<number> {
    const [target] = await until(
      async () =>
        (await (await fetch(`http://127.0.0.1:${port}/json`)).json()) as { webSocketDebuggerUrl: string }[],
      'the inspector answers',
    )
    const socket = new WebSocket(target!.webSocketDebuggerUrl, { maxPayload: SNAPSHOT_BYTES_MAX })
    const chunks: string[] = []
    socket.on('message', (data) => {
      const event = JSON.parse(String(data)) as { method?: string; params?: { chunk: string } }
      if (event.method === 'HeapProfiler.addHeapSnapshotChunk') chunks.push(event.params!.chunk)
    })
    try {
      // Twice: what is finalized by the first is free after the second.
      for (const _ of [1, 2]) await ask(socket, 'HeapProfiler.collectGarbage')
      await ask(socket, 'HeapProfiler.takeHeapSnapshot')
    } finally {
      socket.close()
    }
    return bytesOf(JSON.parse(chunks.join('')) as Snapshot)
  }
}

function bytesOf({ snapshot: { meta }, nodes }: Snapshot): number {
  const fields = meta.node_fields
  const [type, size] = [fields.indexOf('type'), fields.indexOf('self_size')]
  const isCounted = meta.node_types[0].map((name) => !MADE_BY_V8.has(name))
  let bytes = 0
  for (let at = 0; at < nodes.length; at += fields.length) {
    if (isCounted[nodes[at + type]!]) bytes += nodes[at + size]!
  }
  return bytes
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
