/** The way of the selected device's session: what the hub has stored of it, and what comes while somebody looks. */
import type { PointsJson } from '../../protocol/http.ts'
import type { Api } from '../hub/api.ts'
import type { Way } from './chart/lines.ts'

export interface TrailPoint {
  recordedMs: number
  lng: number
  lat: number
}

/** Over a longer silence no line is drawn. */
export const LINE_GAP_MS = 5 * 60_000
const POINTS_MAX = 20_000
const PAGE_POINTS = 2_000

export type Trail = ReturnType<typeof createTrail>

/** `changed` is called when the line is another one; at once is soon enough. */
export function createTrail(api: Pick<Api, 'get'>, changed: (points: readonly TrailPoint[]) => void) {
  let deviceId: number | null = null
  let points: TrailPoint[] = []
  let generation = 0
  return { show, append, hide }

  /** From the beginning of the session on; without history (a share) from now on. */
  function show(id: number, startedMs: number | null): void {
    generation += 1
    deviceId = id
    points = []
    changed(points)
    if (startedMs !== null)
      fetchStored(id, startedMs, generation).catch(() => {
        // The line then begins where this page began to look.
      })
  }

  async function fetchStored(id: number, startedMs: number, mine: number): Promise<void> {
    const stored: TrailPoint[] = []
    const from = new Date(startedMs).toISOString()
    let after: string | null = null
    do {
      const cursor: string = after === null ? '' : `&after=${encodeURIComponent(after)}`
      const page: PointsJson = await api.get(
        `/v1/devices/${id}/points?from=${from}&limit=${PAGE_POINTS}${cursor}`,
      )
      if (mine !== generation) return
      for (const { recordedAt, lng, lat } of page.points)
        stored.push({ recordedMs: Date.parse(recordedAt), lng, lat })
      after = page.next
    } while (after !== null && stored.length < POINTS_MAX)
    const lastMs = stored.at(-1)?.recordedMs ?? 0
    points = [...stored, ...points.filter(({ recordedMs }) => recordedMs > lastMs)]
    changed(points)
  }

  function append(id: number, point: TrailPoint): void {
    if (id !== deviceId || point.recordedMs <= (points.at(-1)?.recordedMs ?? 0)) return
    points.push(point)
    if (points.length > POINTS_MAX) points = points.slice(-POINTS_MAX / 2)
    changed(points)
  }

  function hide(): void {
    generation += 1
    deviceId = null
    points = []
    changed(points)
  }
}

/** Lines without the silences between them. */
export function waysOf(points: readonly TrailPoint[]): Way[] {
  const ways: [number, number][][] = []
  let lastMs = Number.NEGATIVE_INFINITY
  for (const { recordedMs, lng, lat } of points) {
    if (recordedMs - lastMs > LINE_GAP_MS) ways.push([])
    ways.at(-1)!.push([lng, lat])
    lastMs = recordedMs
  }
  return ways
}
