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

const { dataDir, socketPath } = workerData as { dataDir: string; socketPath: string }

const db = await PGlite.create({ dataDir, extensions: { postgis } })
const server = new PGLiteSocketServer({ db, path: socketPath, maxConnections: CONNECTIONS_MAX })
await server.start()
await chmod(path.dirname(socketPath), 0o700)

parentPort!.once('message', async () => {
  await server.stop()
  await db.close()
  tell({ say: 'closed' })
})
tell({ say: 'ready' })

function tell(message: WorkerMessage): void {
  parentPort!.postMessage(message)
}
