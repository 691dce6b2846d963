/**
 * A device's queue in IndexedDB, for browsers: what was recorded survives a reload and the end of the browser. The
 * memory queue in front of it answers every read; the database is read only when it is opened.
 *
 * Writes follow in the background, one transaction at a time: while one runs, what is pushed and dropped gathers for
 * the next. What the database will not keep (it is full, or forbidden) stays in memory, is sent to the hub as ever,
 * and is offered to the database again with the next push; `fault` says so. One page at a time may have it open;
 * nothing here checks that.
 */
import { createMemoryQueue, type DeviceQueue, ENTRY_AT, ENTRY_POINT, ENTRY_STRIDE } from './queue.ts'

export interface IdbQueueOptions {
  /** Of the database, one for each device. */
  name: string
  /** Points and session ops that may wait for the hub. Default 100 000. */
  entriesMax?: number
}

export interface IdbQueue extends DeviceQueue {
  /** Resolves when all that was pushed and dropped so far is kept; rejects with why it is not. */
  flushed(): Promise<void>
  /** Why the database keeps nothing at the moment; null: it does. */
  readonly fault: Error | null
  /** Flushes as far as possible and closes. What is pushed afterwards is not kept. */
  close(): Promise<void>
}

const VERSION = 1
const ENTRIES = 'entries'
const FACTS = 'facts'
const LAST_RECORDED = 'lastRecordedMs'

/** Opens or makes the database. Rejects when it cannot be opened or read. */
export async function openIdbQueue({ name, entriesMax = 100_000 }: IdbQueueOptions): Promise<IdbQueue> {
  const database = await openDatabase(name)
  const found = await readAll(database)
  const memory = createMemoryQueue(Math.max(entriesMax, found.entries.length))
  for (const entry of found.entries) memory.push(entry)
  /** Key of the entry with id 0: keys go on where the last page stopped, ids begin anew. */
  const base = found.firstKey
  let lastRecordedMs = found.lastRecordedMs
  /** Entries below are in the database, or were dropped before they had to be. */
  let keptBelowId = memory.nextId
  let droppedBelowId = memory.firstId
  let writing: Promise<void> | null = null
  let fault: Error | null = null
  let isClosed = false

  return {
    get firstId() {
      return memory.firstId
    },
    get nextId() {
      return memory.nextId
    },
    get hasRoom() {
      return memory.nextId - memory.firstId < entriesMax
    },
    get lastRecordedMs() {
      return lastRecordedMs
    },
    get fault() {
      return fault
    },
    push,
    read: memory.read,
    dropBelow,
    flushed,
    close,
  }

  function push(entry: Float64Array): void {
    if (memory.nextId - memory.firstId >= entriesMax) throw new RangeError('the queue is full')
    memory.push(entry)
    if (entry[ENTRY_AT.kind] === ENTRY_POINT) {
      lastRecordedMs = Math.max(lastRecordedMs ?? Number.NEGATIVE_INFINITY, entry[ENTRY_AT.timeMs]!)
    }
    writeSoon()
  }

  function dropBelow(id: number): void {
    memory.dropBelow(id)
    writeSoon()
  }

  /** Whatever is done in one go is kept in one transaction. */
  function writeSoon(): void {
    if (isClosed || writing !== null) return
    writing = Promise.resolve()
      .then(writeUntilDone)
      .catch((error: Error) => {
        fault = error
      })
      .finally(() => {
        writing = null
      })
  }

  async function writeUntilDone(): Promise<void> {
    while (keptBelowId < memory.nextId || droppedBelowId < memory.firstId) {
      const upTo = memory.nextId
      const below = memory.firstId
      await write(Math.max(keptBelowId, below), upTo, below)
      keptBelowId = upTo
      droppedBelowId = below
      fault = null
    }
  }

  function write(fromId: number, upToId: number, belowId: number): Promise<void> {
    // Strict: a phone whose battery dies has nobody to flush its caches.
    const transaction = database.transaction([ENTRIES, FACTS], 'readwrite', { durability: 'strict' })
    const entries = transaction.objectStore(ENTRIES)
    for (let id = fromId; id < upToId; id++) {
      const entry = new Float64Array(ENTRY_STRIDE)
      memory.read(id, entry)
      entries.put(entry, base + id)
    }
    if (belowId > droppedBelowId) entries.delete(IDBKeyRange.upperBound(base + belowId, true))
    if (lastRecordedMs !== null) transaction.objectStore(FACTS).put(lastRecordedMs, LAST_RECORDED)
    return done(transaction)
  }

  async function flushed(): Promise<void> {
    writeSoon()
    while (writing !== null) await writing
    if (fault !== null) throw fault
  }

  async function close(): Promise<void> {
    await flushed().catch(() => {
      // It is known by `fault`, and there is nothing more to be done.
    })
    isClosed = true
    database.close()
  }
}

function openDatabase(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, VERSION)
    request.onupgradeneeded = () => {
      request.result.createObjectStore(ENTRIES)
      request.result.createObjectStore(FACTS)
    }
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

interface Found {
  entries: Float64Array[]
  firstKey: number
  lastRecordedMs: number | null
}

async function readAll(database: IDBDatabase): Promise<Found> {
  const transaction = database.transaction([ENTRIES, FACTS], 'readonly')
  const store = transaction.objectStore(ENTRIES)
  // Both in order of the keys.
  const [entries, keys, last] = await Promise.all([
    answer<Float64Array[]>(store.getAll()),
    answer<IDBValidKey[]>(store.getAllKeys()),
    answer<number | undefined>(transaction.objectStore(FACTS).get(LAST_RECORDED)),
  ])
  return { entries, firstKey: Number(keys[0] ?? 0), lastRecordedMs: last ?? null }
}

function answer<T>(request: IDBRequest): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result as T)
    request.onerror = () => reject(request.error)
  })
}

function done(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onabort = () => reject(transaction.error ?? new Error('the database gave up'))
  })
}
