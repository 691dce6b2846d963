/** Points as JSON, a page at a time, in the shape that the API promises. */
import type { Place, TrackPoint } from '../../core/history.ts'
import type { PointJson, SessionJson } from '../../protocol/http.ts'

type Pages = AsyncIterable<readonly TrackPoint[]>

/** A point as answers show it. */
export function shownPoint(point: TrackPoint): PointJson {
  return {
    recordedAt: new Date(point.recordedMs).toISOString(),
    lat: point.lat,
    lng: point.lng,
    accuracy: point.accuracy,
    speed: point.speed,
    heading: point.heading,
    altitude: point.altitude,
    source: point.source,
    sessionId: point.sessionId,
  }
}

/** `{"session": …, "points": […]}` */
export async function* trackAsJson(session: SessionJson, pages: Pages): AsyncGenerator<string> {
  yield `{"session":${JSON.stringify(session)},"points":[`
  yield* pointsAsJson(pages)
  yield ']}'
}

/** `{"points": […], "next": …}`; there may be more behind a list of `countMax` points. */
export async function* listAsJson(countMax: number, pages: Pages): AsyncGenerator<string> {
  let count = 0
  let last: Place | null = null
  yield '{"points":['
  yield* pointsAsJson(noting(pages))
  yield `],"next":${count === countMax ? `"${last}"` : 'null'}}`

  async function* noting(from: Pages): AsyncGenerator<readonly TrackPoint[]> {
    for await (const page of from) {
      count += page.length
      last = page.at(-1)!.place
      yield page
    }
  }
}

async function* pointsAsJson(pages: Pages): AsyncGenerator<string> {
  let comma = ''
  for await (const page of pages) {
    yield comma + page.map((point) => JSON.stringify(shownPoint(point))).join()
    comma = ','
  }
}
