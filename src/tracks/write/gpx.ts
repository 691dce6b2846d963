/**
 * Points as GPX 1.1, a page at a time: one track, with a segment for each stretch of a session without a gap. What GPX
 * has no element for is an extension of a namespace of alzy's own: `speed` (m/s), `course` (degrees from true north),
 * `accuracy` (m) and `source`.
 */
import type { TrackPoint } from '../../core/history.ts'
import { decimal } from './decimal.ts'

export const GPX_NAMESPACE = 'urn:x-alzy:gpx:1'

const OPENING = `<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="alzy" xmlns="http://www.topografix.com/GPX/1/1" xmlns:alzy="${GPX_NAMESPACE}">
`

/** `name` may be any text. */
export async function* pointsAsGpx(
  name: string,
  pages: AsyncIterable<readonly TrackPoint[]>,
): AsyncGenerator<string> {
  let isOpen = false
  yield `${OPENING}<trk><name>${textOf(name)}</name>\n`
  for await (const page of pages) {
    let text = ''
    for (const point of page) {
      if (point.isApart) text += isOpen ? '</trkseg>\n<trkseg>\n' : '<trkseg>\n'
      isOpen = true
      text += trackPoint(point)
    }
    yield text
  }
  yield `${isOpen ? '</trkseg>\n' : ''}</trk>\n</gpx>\n`
}

function trackPoint(point: TrackPoint): string {
  // In GPX the antimeridian has one name.
  const lng = point.lng === 180 ? -180 : point.lng
  const elevation = point.altitude === null ? '' : `<ele>${decimal(point.altitude)}</ele>`
  const time = `<time>${new Date(point.recordedMs).toISOString()}</time>`
  const extensions =
    extension('speed', point.speed) +
    extension('course', point.heading) +
    extension('accuracy', point.accuracy) +
    `<alzy:source>${point.source}</alzy:source>`
  return `<trkpt lat="${decimal(point.lat)}" lon="${decimal(lng)}">${elevation}${time}<extensions>${extensions}</extensions></trkpt>\n`
}

function extension(name: string, value: number | null): string {
  return value === null ? '' : `<alzy:${name}>${decimal(value)}</alzy:${name}>`
}

/** What XML cannot hold, however it is escaped, is left out. */
function textOf(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '')
      .replace(/&/g, '&amp;')
      .replace(/</g, '&lt;')
      .replace(/>/g, '&gt;')
  )
}
