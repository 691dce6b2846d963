/**
 * Reads a recorded track, GPX or CSV, plain or packed with gzip, as a stream of fixes. It keeps what the
 * file says: order, repetitions and missing times are for the caller to judge.
 */
import { bytesOf, peek } from './bytes.ts'
import { readCsv } from './csv.ts'
import { type Fix, shown, TrackError } from './fix.ts'
import { readGpx } from './gpx.ts'

/**
 * The fixes of `file`, read as they are asked for. Throws TrackError, whose message is one clear line,
 * when the file cannot be opened or is no track; fixes before the bad place may have been given by then.
 */
export async function* readTrack(file: string): AsyncGenerator<Fix> {
  const bytes = bytesOf(file)
  try {
    const { head, all } = await peek(bytes)
    if (head.length === 0) throw new TrackError(file, null, 'empty file')
    if (isUtf16(head)) throw new TrackError(file, null, 'UTF-16 text; it has to be UTF-8')
    // No header of a CSV file begins so, and the name alone may lie.
    const gpx = beginsLikeXml(head) || /\.gpx(\.gz)?$/i.test(file)
    yield* gpx ? readGpx(all, file) : readCsv(all, file)
  } catch (error) {
    throw error instanceof TrackError ? error : new TrackError(file, null, reasonOf(error))
  } finally {
    await bytes.return(undefined)
  }
}

function beginsLikeXml(head: Buffer): boolean {
  return /^\uFEFF?\s*</.test(head.subarray(0, 1_024).toString('utf8'))
}

function isUtf16(head: Buffer): boolean {
  return (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff)
}

/** What the operating system or zlib says, in words; anything unknown keeps its own message. */
function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOENT') return 'no such file'
  if (code === 'EISDIR') return 'not a file'
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied'
  if (code?.startsWith('Z_')) return `unreadable gzip: ${message}`
  return shown(message)
}
