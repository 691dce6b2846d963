/**
 * The embedded PostGIS: PGlite in a worker thread, reached over a Unix socket, so that the hub uses the same
 * driver and the same SQL as with a server. It knows no table.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { systemClock, within } from '../../clock.ts'
import { lockDirectory } from './lock.ts'

/** A statement cannot be ended from outside: after so long it ends with the thread, which is as safe as a crash. */
const CLOSE_TIMEOUT_MS = 3_000

export interface Embedded {
  socketPath: string
  /** Resolves with the reason when the database has ended by itself. */
  failed: Promise<Error>
  close: () => Promise<void>
}

/** What the worker says. */
export type WorkerMessage = { say: 'ready' } | { say: 'closed' }

// Node 20 runs no TypeScript in a worker: when the tests read the sources, the worker comes from the build.
const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? '../../../dist/store/open/embeddedWorker.js' : './embeddedWorker.js',
  import.meta.url,
)

/** Takes the lock of `dataDir` and opens the database in it, creating it the first time. */
export async function openEmbedded(dataDir: string): Promise<Embedded> {
  const unlock = await lockDirectory(dataDir)
  // Not in the data directory: the path of a Unix socket has little more than a hundred characters.
  const socketDir = await mkdtemp(path.join(os.tmpdir(), 'alzy-'))
  const socketPath = path.join(socketDir, '.s.PGSQL.5432')
  const worker = new Worker(WORKER, { workerData: { dataDir: path.join(dataDir, 'pg'), socketPath } })
  const failed = new Promise<Error>((resolve) => {
    worker.once('error', resolve)
    worker.once('exit', (code) => resolve(new Error(`the embedded database has ended (${code})`)))
  })
  const ready = heard(worker, 'ready')
  const failure = await Promise.race([ready, failed])
  if (failure instanceof Error) {
    await release()
    throw failure
  }
  return { socketPath, failed, close }

  async function close(): Promise<void> {
    const closed = heard(worker, 'closed')
    worker.postMessage('close')
    await within(systemClock, CLOSE_TIMEOUT_MS, Promise.race([closed, failed]))
    await worker.terminate()
    await release()
  }

  async function release(): Promise<void> {
    await rm(socketDir, { recursive: true, force: true })
    await unlock()
  }
}

function heard(worker: Worker, say: WorkerMessage['say']): Promise<void> {
  return new Promise((resolve) => {
    worker.on('message', (message: WorkerMessage) => {
      if (message.say === say) resolve()
    })
  })
}
