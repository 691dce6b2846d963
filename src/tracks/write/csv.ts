/** Points as CSV (RFC 4180), a page at a time, with the column names of the database; `alzy replay` reads it. */
import type { TrackPoint } from '../../core/history.ts'
import { decimal } from './decimal.ts'

const HEADER = 'recorded_at,lat,lng,accuracy,speed,heading,altitude,source,session_id\r\n'

export async function* pointsAsCsv(pages: AsyncIterable<readonly TrackPoint[]>): AsyncGenerator<string> {
  yield HEADER
  for await (const page of pages) yield page.map(record).join('')
}

/** No field can hold anything that would have to be quoted. */
function record(point: TrackPoint): string {
  const { lat, lng, accuracy, speed, heading, altitude } = point
  const numbers = [lat, lng, accuracy, speed, heading, altitude].map((value) => decimal(value) ?? '')
  return `${new Date(point.recordedMs).toISOString()},${numbers.join()},${point.source},${point.sessionId}\r\n`
}
