/**
 * Reads the track points of a GPX 1.0 or 1.1 file, of all tracks and segments in the order of the file.
 * Waypoints, routes and extensions are none of its business; nothing but the current point is held.
 */
import { SaxesParser, type SaxesTagPlain } from 'saxes'
import { type Fix, type FixTexts, fixOf, shown, TrackError } from './fix.ts'

const NO_COLUMNS: Fix['columns'] = Object.freeze({})

/** Children of a `trkpt` that are read. `speed` (m/s) and `course` exist in GPX 1.0 only. */
const FIELDS: Readonly<Record<string, keyof FixTexts>> = {
  ele: 'altitude',
  time: 'time',
  speed: 'speed',
  course: 'heading',
}

/** `ele` is passed on as the altitude as it is, although GPX means a height above sea level. */
export async function* readGpx(chunks: AsyncIterable<Uint8Array>, file: string): AsyncGenerator<Fix> {
  const parser = new SaxesParser({ position: true, xmlns: false })
  const decoder = new TextDecoder()
  /** Names of the open elements, prefixes included. */
  const open: string[] = []
  /** The point being read, its line, and how deep its own element lies. */
  let point: { texts: FixTexts; line: number; depth: number } | null = null
  let field: keyof FixTexts | null = null
  let text = ''
  let ready: Fix[] = []
  let pointsSeen = 0

  parser.on('error', (error) => {
    // saxes puts line and column in front of its reason.
    const reason = error.message.replace(/^\d+:\d+: /, '').replace(/\.$/, '')
    fail(open.length === 0 && pointsSeen === 0 ? `not XML: ${reason}` : `broken XML: ${reason}`)
  })
  parser.on('opentag', opened)
  parser.on('text', (part) => {
    if (field !== null) text += part
  })
  parser.on('cdata', (part) => {
    if (field !== null) text += part
  })
  parser.on('closetag', closed)

  for await (const chunk of chunks) {
    parser.write(decoder.decode(chunk, { stream: true }))
    yield* ready
    ready = []
  }
  parser.write(decoder.decode())
  parser.close()
  yield* ready
  if (pointsSeen === 0) throw new TrackError(file, null, 'no trkpt (track point) in this GPX file')

  function opened(tag: SaxesTagPlain) {
    if (open.length === 0 && localName(tag.name) !== 'gpx') {
      fail(`not GPX: the root element is <${shown(tag.name)}>`)
    }
    open.push(tag.name)
    if (localName(tag.name) === 'trkpt') {
      pointsSeen++
      const { lat, lon } = tag.attributes
      point = { texts: { lat, lng: lon, time: undefined }, line: parser.line, depth: open.length }
    } else if (point !== null && open.length === point.depth + 1 && isOfGpx(tag.name)) {
      field = FIELDS[localName(tag.name)] ?? null
      text = ''
    }
  }

  function closed() {
    if (point !== null && open.length === point.depth + 1) {
      if (field !== null) point.texts[field] = text
      field = null
    } else if (point !== null && open.length === point.depth) {
      const { texts, line } = point
      point = null
      ready.push(fixOf(texts, line, NO_COLUMNS, (reason) => fail(reason, line)))
    }
    open.pop()
  }

  /** GPX 1.0 lets foreign elements stand beside its own; they carry a prefix that the point does not. */
  function isOfGpx(name: string): boolean {
    const parent = open.at(-2) ?? ''
    return prefix(name) === prefix(parent)
  }

  function fail(reason: string, line = parser.line): never {
    throw new TrackError(file, line, reason)
  }
}

function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1)
}

function prefix(name: string): string {
  return name.slice(0, name.indexOf(':') + 1)
}
