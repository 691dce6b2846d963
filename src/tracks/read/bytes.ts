/**
 * Opens a track file as a stream of bytes, with gzip undone, and lets a reader look at the first of them
 * before it chooses. It never learns what the bytes mean.
 */
import { open } from 'node:fs/promises'
import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { TrackError } from './fix.ts'

/**
 * The content of `file` in pieces, unpacked where it is gzip. The file is closed when this generator is
 * read to its end or returned from.
 */
export async function* bytesOf(file: string): AsyncGenerator<Buffer> {
  const handle = await open(file)
  try {
    // A replay reads its files twice, which a pipe or a terminal would not survive.
    if (!(await handle.stat()).isFile()) throw new TrackError(file, null, 'not a file')
    const packed = await isGzip()
    if (!packed && file.toLowerCase().endsWith('.gz')) {
      throw new TrackError(file, null, 'not gzip, although its name ends in .gz')
    }
    const stored = handle.createReadStream({ start: 0, autoClose: false })
    // The callback is empty because the reader of the last stream gets the error as well.
    yield* packed ? pipeline(stored, createGunzip(), () => {}) : stored
  } finally {
    await handle.close()
  }

  async function isGzip(): Promise<boolean> {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(2), 0, 2, 0)
    return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b
  }
}

/** The first piece (empty when there is none), and everything from the beginning on. */
export async function peek(
  chunks: AsyncGenerator<Buffer>,
): Promise<{ head: Buffer; all: AsyncGenerator<Buffer> }> {
  const first = await chunks.next()
  return { head: first.done ? Buffer.alloc(0) : first.value, all: rejoined() }

  async function* rejoined() {
    if (first.done) return
    yield first.value
    yield* chunks
  }
}
