/**
 * A device's queue in a file, for Node: what was recorded survives the end of the process, even `kill -9`.
 * The memory queue in front of it answers every read; the file is read only when it is opened.
 *
 * The file is a row of records of one size, each with a checksum: a head, then entries and drops in the
 * order they happened. A record that was cut short, and whatever follows it, is left out when opening.
 * A record is handed to the operating system before `push` returns. It is on the disk (fsync) at the latest
 * `fsyncEveryMs` later, so a loss of power costs at most the points of that time.
 * One process at a time may have the file open; nothing here checks that.
 */
import {
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { systemClock } from '../clock.ts'
import { createMemoryQueue, type DeviceQueue, ENTRY_AT, ENTRY_POINT, ENTRY_STRIDE } from './queue.ts'

export interface FileQueueOptions {
  path: string
  /** Points and session ops that may wait for the hub. Default 100 000, which is 8 MB. */
  entriesMax?: number
  /** Default 1 000. 0: every `push` waits for the disk. */
  fsyncEveryMs?: number
}

export interface FileQueue extends DeviceQueue {
  /** Bytes at the end of the file that could not be read when it was opened. */
  readonly tornBytes: number
  /** Flushes and closes the file. Pushing afterwards throws. */
  close(): void
}

/** Kinds beyond those of entries. The head: version, greatest time. A drop: so many entries from the front. */
const HEAD = 100
const DROP = 101
const VERSION = 1
const RECORD_BYTES = ENTRY_STRIDE * 8 + 4
/** Below it, rewriting the file gains nothing. */
const COMPACT_RECORDS_MIN = 1_024

/** Opens or makes the queue file. Throws when it cannot be read or written, or is no queue file. */
export function openFileQueue({
  path,
  entriesMax = 100_000,
  fsyncEveryMs = 1_000,
}: FileQueueOptions): FileQueue {
  const found = readRecords(path)
  const memory = createMemoryQueue(Math.max(entriesMax, found.entries.length))
  for (const entry of found.entries) memory.push(entry)
  const record = Buffer.alloc(RECORD_BYTES)
  const scratch = new Float64Array(ENTRY_STRIDE)
  let lastRecordedMs = found.lastRecordedMs
  let file = rewrite()
  let records = 1 + found.entries.length
  let callOffSync: (() => void) | null = null
  let isClosed = false
  let syncFault: Error | null = null

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
    push,
    read: memory.read,
    dropBelow,
    tornBytes: found.tornBytes,
    close,
  }

  function push(entry: Float64Array): void {
    if (isClosed) throw new Error('the queue file is closed')
    if (syncFault) throw syncFault
    if (memory.nextId - memory.firstId >= entriesMax) throw new RangeError('the queue is full')
    append(entry)
    memory.push(entry)
    lastRecordedMs = laterOf(lastRecordedMs, entry)
    if (fsyncEveryMs === 0) fdatasyncSync(file)
    else callOffSync ??= systemClock.after(fsyncEveryMs, sync)
  }

  function dropBelow(id: number): void {
    const before = memory.firstId
    memory.dropBelow(id)
    const dropped = memory.firstId - before
    if (dropped === 0 || isClosed) return
    try {
      if (records >= COMPACT_RECORDS_MIN && records > 4 * (memory.nextId - memory.firstId)) compact()
      else appendDrop(dropped)
    } catch {
      // A file that still holds acknowledged entries only has them sent again, which is harmless (D1). A
      // disk that is really full or broken makes the next push throw.
    }
  }

  function appendDrop(count: number): void {
    scratch.fill(Number.NaN)
    scratch[0] = DROP
    scratch[1] = count
    append(scratch)
  }

  function append(fields: Float64Array): void {
    encode(fields, record)
    // At its own place, so that a record that was cut short by a full disk is written over by the next.
    const written = writeSync(file, record, 0, RECORD_BYTES, records * RECORD_BYTES)
    if (written < RECORD_BYTES) throw new Error('the disk is full')
    records += 1
  }

  function compact(): void {
    const old = file
    file = rewrite()
    records = 1 + memory.nextId - memory.firstId
    closeSync(old)
  }

  /** Writes a head and what is held to a new file, which takes the place of the old one at once. */
  function rewrite(): number {
    const held = memory.nextId - memory.firstId
    const bytes = Buffer.alloc((1 + held) * RECORD_BYTES)
    scratch.fill(Number.NaN)
    scratch[0] = HEAD
    scratch[1] = VERSION
    if (lastRecordedMs !== null) scratch[2] = lastRecordedMs
    encode(scratch, bytes)
    for (let i = 0; i < held; i++) {
      memory.read(memory.firstId + i, scratch)
      encode(scratch, bytes.subarray((1 + i) * RECORD_BYTES))
    }
    return replaceFile(path, bytes)
  }

  function sync(): void {
    callOffSync = null
    fdatasync(file, (fault) => {
      // EBADF: the file was replaced meanwhile, by one that is on the disk already.
      if (fault && fault.code !== 'EBADF') syncFault = fault
    })
  }

  function close(): void {
    if (isClosed) return
    isClosed = true
    callOffSync?.()
    fdatasyncSync(file)
    closeSync(file)
  }
}

interface Found {
  entries: Float64Array[]
  lastRecordedMs: number | null
  tornBytes: number
}

function readRecords(path: string): Found {
  const bytes = existsSync(path) ? readFileSync(path) : Buffer.alloc(0)
  const found: Found = { entries: [], lastRecordedMs: null, tornBytes: 0 }
  if (bytes.length === 0) return found
  const head = decode(bytes, 0)
  if (head?.[0] !== HEAD || head[1] !== VERSION)
    throw new Error(`${path} is not a queue file of this version`)
  if (!Number.isNaN(head[2]!)) found.lastRecordedMs = head[2]!
  let dropped = 0
  let offset = RECORD_BYTES
  for (; offset < bytes.length; offset += RECORD_BYTES) {
    const fields = decode(bytes, offset)
    if (!fields) break
    if (fields[0] === DROP) {
      dropped += fields[1]!
    } else {
      found.entries.push(fields)
      found.lastRecordedMs = laterOf(found.lastRecordedMs, fields)
    }
  }
  found.entries.splice(0, dropped)
  found.tornBytes = Math.max(0, bytes.length - offset)
  return found
}

function laterOf(lastMs: number | null, entry: Float64Array): number | null {
  if (entry[ENTRY_AT.kind] !== ENTRY_POINT) return lastMs
  return Math.max(lastMs ?? Number.NEGATIVE_INFINITY, entry[ENTRY_AT.timeMs]!)
}

function encode(fields: Float64Array, into: Buffer): void {
  for (let i = 0; i < ENTRY_STRIDE; i++) into.writeDoubleLE(fields[i]!, i * 8)
  into.writeUInt32LE(crc32(into.subarray(0, RECORD_BYTES - 4)), RECORD_BYTES - 4)
}

/** The fields of the record at `offset`; null when it is cut short or damaged. */
function decode(bytes: Buffer, offset: number): Float64Array | null {
  const record = bytes.subarray(offset, offset + RECORD_BYTES)
  if (record.length < RECORD_BYTES) return null
  if (record.readUInt32LE(RECORD_BYTES - 4) !== crc32(record.subarray(0, RECORD_BYTES - 4))) return null
  return Float64Array.from({ length: ENTRY_STRIDE }, (_, i) => record.readDoubleLE(i * 8))
}

/** Puts `bytes` in the place of the file, all or nothing, and returns it open for writing. */
function replaceFile(path: string, bytes: Buffer): number {
  const newPath = `${path}.new`
  const file = openSync(newPath, 'w', 0o600)
  try {
    let written = 0
    while (written < bytes.length) written += writeSync(file, bytes, written)
    fsyncSync(file)
    renameSync(newPath, path)
  } catch (fault) {
    closeSync(file)
    rmSync(newPath, { force: true })
    throw fault
  }
  syncDirectory(dirname(path))
  return file
}

/** The new name must be on the disk before anything is appended under it. */
function syncDirectory(path: string): void {
  try {
    const directory = openSync(path, 'r')
    fsyncSync(directory)
    closeSync(directory)
  } catch {
    // Windows opens no directories; its file system keeps renames in order by itself.
  }
}
