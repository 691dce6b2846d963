/**
 * Measures sessions: how many points, and how far along them. PostGIS does it, in windows of a bounded number of
 * points, so that a track of millions costs many small statements and never a long one.
 */
import { EARLY_MS, type Place } from '../../core/history.ts'
import type { Run } from '../line/run.ts'
import { momentOf, placeOf } from './track.ts'

export interface SessionSpan {
  sessionId: number
  deviceId: number
  startedMs: number
  /** null: it goes on. */
  endedMs: number | null
}

export interface Figures {
  pointCount: number
  distanceM: number
  /** Its newest point; null when there is none, or nobody has looked because the end is known. */
  lastMs: number | null
}

/** The points of a device, in any session, in the span of one of them. */
export interface SpanContent {
  pointsInSpan: number
  firstInSpan: Place | null
}

/** Figures of an ended session as they were computed, with what they were computed from. */
export interface KeptFigures extends SpanContent {
  pointCount: number
  distanceM: number
}

const US_PER_MS = 1_000

/**
 * The figures of a session. Those that were kept hold if its device has as many points in the span now as it had then,
 * beginning with the same one: points come, or go oldest first, and are never changed. Counting reads the index alone.
 */
export async function measure(
  run: Run,
  span: SessionSpan,
  kept: KeptFigures | null,
  windowPoints: number,
): Promise<Figures> {
  if (span.endedMs === null) return compute(run, span, windowPoints)
  // Before the points are read: one that comes in between is missing here, and the next one to look computes again.
  const content = await count(run, span, windowPoints)
  if (kept?.pointsInSpan === content.pointsInSpan && kept.firstInSpan === content.firstInSpan) {
    return { ...kept, lastMs: null }
  }
  const figures = await compute(run, span, windowPoints)
  await keep(run, span, { ...figures, ...content })
  return figures
}

const WINDOW = `
  device_id = $1::int and recorded_at > ${momentOf('$2::float8')}
  and recorded_at <= coalesce(${momentOf('$3::float8')}, 'infinity')
  order by recorded_at limit $4::int`

const COUNT = `
select count(*)::float8 as points, ${placeOf('min(recorded_at)')} as first, ${placeOf('max(recorded_at)')} as up_to
from (select recorded_at from points where ${WINDOW}) seen`

async function count(run: Run, span: SessionSpan, windowPoints: number): Promise<SpanContent> {
  const content: SpanContent = { pointsInSpan: 0, firstInSpan: null }
  let after: Place | null = startOf(span)
  while (after !== null) {
    const rows = await run(COUNT, [span.deviceId, after, endOf(span), windowPoints])
    const { points, first, up_to } = rows[0]!
    content.pointsInSpan += points as number
    content.firstInSpan ??= first as Place | null
    after = points === windowPoints ? (up_to as Place) : null
  }
  return content
}

/**
 * From point to point, since a line as `geography` refuses to join two points on opposite sides of the earth. The last
 * point of the windows before stands in front, so that lengths add up to the length of the whole.
 */
const MEASURE = `
with seen as materialized (select session_id, geom, recorded_at from points where ${WINDOW}),
own as (select geom, recorded_at from seen where session_id = $5::int),
steps as (
  select st_distancesphere(geom, lag(geom) over (order by recorded_at)) as m
  from (
    select * from own
    union all
    select geom, recorded_at from points where device_id = $1::int and recorded_at = ${momentOf('$6::float8')}
  ) line
)
select (select count(*) from own)::float8 as points, ${placeOf('(select max(recorded_at) from own)')} as last,
       (select count(*) from seen)::float8 as seen, ${placeOf('(select max(recorded_at) from seen)')} as up_to,
       coalesce(sum(m), 0) as distance_m
from steps`

async function compute(run: Run, span: SessionSpan, windowPoints: number): Promise<Figures> {
  let pointCount = 0
  let distanceM = 0
  let last: Place | null = null
  let after: Place | null = startOf(span)
  while (after !== null) {
    const rows = await run(MEASURE, [span.deviceId, after, endOf(span), windowPoints, span.sessionId, last])
    const window = rows[0]!
    pointCount += window.points as number
    distanceM += window.distance_m as number
    last = (window.last as Place | null) ?? last
    after = window.seen === windowPoints ? (window.up_to as Place) : null
  }
  return { pointCount, distanceM, lastMs: last === null ? null : Math.floor(last / US_PER_MS) }
}

const KEEP = `
insert into session_figures (session_id, started_at, ended_at, points_in_span, first_in_span, point_count, distance_m)
select id, ${momentOf('$2::float8')}, ${momentOf('$3::float8')}, $4::float8, ${momentOf('$5::float8')}, $6::float8,
       $7::float8
from sessions where id = $1::int
on conflict (session_id) do update set
  started_at = excluded.started_at, ended_at = excluded.ended_at, points_in_span = excluded.points_in_span,
  first_in_span = excluded.first_in_span, point_count = excluded.point_count, distance_m = excluded.distance_m`

async function keep(run: Run, span: SessionSpan, figures: KeptFigures): Promise<void> {
  await run(KEEP, [
    span.sessionId,
    span.startedMs * US_PER_MS,
    span.endedMs! * US_PER_MS,
    figures.pointsInSpan,
    figures.firstInSpan,
    figures.pointCount,
    figures.distanceM,
  ])
}

function startOf({ startedMs }: SessionSpan): Place {
  return (startedMs - EARLY_MS) * US_PER_MS - 1
}

function endOf({ endedMs }: SessionSpan): Place | null {
  return endedMs === null ? null : endedMs * US_PER_MS
}
