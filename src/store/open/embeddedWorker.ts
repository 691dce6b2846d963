/** The thread of the embedded database: opens it, serves it on a Unix socket, closes it when told to. */
import { chmod } from 'node:fs/promises'
import path from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { PGlite } from '@electric-sql/pglite'
import { postgis } from '@electric-sql/pglite-postgis'
import { PGLiteSocketServer } from '@electric-sql/pglite-socket'
import type { WorkerMessage } from './embedded.ts'

/** The hub uses one; a connection that a watchdog gave up may still be closing when the next one comes. */
const CONNECTIONS_MAX = 8

const READY_FOR_QUERY = 0x5a
/** First bytes of Sync, Query and StartupMessage. */
const MAY_BE_READY = new Set([0x53, 0x51, 0])

const { dataDir, socketPath } = workerData as { dataDir: string; socketPath: string }

const db = await PGlite.create({ dataDir, extensions: { postgis } })
const server = new PGLiteSocketServer({
  db: answeringOnce(db),
  path: socketPath,
  maxConnections: CONNECTIONS_MAX,
})
await server.start()
await chmod(path.dirname(socketPath), 0o700)

parentPort!.once('message', async () => {
  await server.stop()
  await db.close()
  tell({ say: 'closed' })
})
tell({ say: 'ready' })

/**
 * PGlite says ReadyForQuery after an error as well as after the Sync that follows it. The driver would take the one
 * in excess for the answer to its next statement, before that has run. Only Sync, Query and the start of a
 * connection are answered so.
 */
function answeringOnce(pglite: PGlite): PGlite {
  const execProtocolRawStream: PGlite['execProtocolRawStream'] = async (message, options) => {
    const chunks: Buffer[] = []
    try {
      await pglite.execProtocolRawStream(message, {
        ...options,
        onRawData: (data) => void chunks.push(Buffer.from(data)),
      })
    } catch (error) {
      // The socket server would wait for ever for this statement: better to end, loudly.
      setImmediate(() => {
        throw error
      })
      throw error
    }
    const answer = Buffer.concat(chunks)
    options?.onRawData?.(MAY_BE_READY.has(message[0]!) ? answer : withoutReady(answer))
  }
  return new Proxy(pglite, {
    get: (target, name) => {
      if (name === 'execProtocolRawStream') return execProtocolRawStream
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

function withoutReady(answer: Buffer): Buffer {
  const kept: Buffer[] = []
  for (let at = 0; at < answer.length; ) {
    const end = at + 1 + answer.readInt32BE(at + 1)
    if (answer[at] !== READY_FOR_QUERY) kept.push(answer.subarray(at, end))
    at = end
  }
  return Buffer.concat(kept)
}

function tell(message: WorkerMessage): void {
  parentPort!.postMessage(message)
}
