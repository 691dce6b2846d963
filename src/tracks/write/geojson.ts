/**
 * Points as GeoJSON (RFC 7946), a page at a time: a LineString for each stretch of a session without a gap, with a time
 * for each of its positions. A long stretch is many of them, since a Feature has to be held whole: each then begins with
 * the last position of the one before, and says so. None crosses the antimeridian.
 */
import type { TrackPoint } from '../../core/history.ts'

/** A stretch, or a part of one. */
interface Part {
  points: TrackPoint[]
  /** The first point is the last of the part before. */
  continues: boolean
}

export async function* pointsAsGeoJson(
  deviceId: number,
  pages: AsyncIterable<readonly TrackPoint[]>,
): AsyncGenerator<string> {
  let last: TrackPoint | null = null
  let comma = ''
  yield '{"type":"FeatureCollection","features":['
  for await (const page of pages) {
    const parts = partsOf(page, last)
    yield comma + parts.map((part) => JSON.stringify(featureOf(part, deviceId))).join()
    comma = ','
    last = page.at(-1)!
  }
  yield ']}\n'
}

function partsOf(page: readonly TrackPoint[], before: TrackPoint | null): Part[] {
  const parts: Part[] = []
  let last = before
  for (const point of page) {
    const part = parts.at(-1)
    if (last === null || point.isApart || isTorn(last, point))
      parts.push({ points: [point], continues: false })
    else if (part === undefined) parts.push({ points: [last, point], continues: true })
    else part.points.push(point)
    last = point
  }
  return parts
}

/** The shorter way between the two is across the antimeridian. */
function isTorn(one: TrackPoint, next: TrackPoint): boolean {
  return Math.abs(next.lng - one.lng) > 180
}

function featureOf({ points, continues }: Part, deviceId: number) {
  const positions = points.map(({ lng, lat, altitude }) =>
    altitude === null ? [lng, lat] : [lng, lat, altitude],
  )
  return {
    type: 'Feature',
    geometry:
      positions.length === 1
        ? { type: 'Point', coordinates: positions[0] }
        : { type: 'LineString', coordinates: positions },
    properties: {
      deviceId,
      sessionId: points.at(-1)!.sessionId,
      continues,
      coordTimes: points.map(({ recordedMs }) => new Date(recordedMs).toISOString()),
      accuracies: points.map(({ accuracy }) => accuracy),
      speeds: points.map(({ speed }) => speed),
      headings: points.map(({ heading }) => heading),
      sources: points.map(({ source }) => source),
    },
  }
}
