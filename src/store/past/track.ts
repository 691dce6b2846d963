/**
 * Reads the points of a device in order of time, in pages. Each page is one statement that looks at a bounded number
 * of rows, whatever is asked for and however many points the device has.
 */
import { codeOf } from '../../core/blame.ts'
import type { Box, HasLeft, Place, PointsWanted, TrackPoint } from '../../core/history.ts'
import type { Parameter, Result, Run } from '../line/run.ts'

export interface TrackLimits {
  /** Points of a page. */
  pagePointsMax: number
  /** Points that a statement may look at in search of those. */
  scanPointsMax: number
  /** A longer silence is a gap. */
  sessionGapMs: number
}

/** Points of a page that are kept, and how far the statement has looked. */
interface Page {
  points: TrackPoint[]
  /** null: there is nothing behind these. */
  next: Place | null
}

const STATEMENT_TIMEOUT = '57014'
/** Before every point. */
const BEGINNING: Place = -1
const US_PER_MS = 1_000
/** Of the sphere that ST_Length measures on. */
const M_PER_DEGREE = (6_371_008.771_415 * Math.PI) / 180

export async function* readTrackPages(
  run: Run,
  wanted: PointsWanted,
  limits: TrackLimits,
  onPage: () => void,
  hasLeft: HasLeft,
): AsyncGenerator<TrackPoint[]> {
  const { box, countMax } = wanted
  let after = startOf(wanted)
  let left = countMax ?? Number.POSITIVE_INFINITY
  let last: TrackPoint | null = null
  let isPlaceRare = box !== null
  while (left > 0 && !hasLeft()) {
    const pagePoints = Math.min(left, limits.pagePointsMax)
    onPage()
    const page: Page | null = isPlaceRare
      ? await readByPlace(run, wanted, after, pagePoints, limits)
      : await readByTime(run, wanted, after, pagePoints, limits)
    if (page === null) {
      isPlaceRare = false
      continue
    }
    const first = page.points[0]
    if (first !== undefined) {
      first.isApart = last === null || isApart(last, first, limits.sessionGapMs)
      last = page.points.at(-1)!
      left -= page.points.length
      yield page.points
    }
    if (page.next === null) return
    after = page.next
  }
}

function startOf({ fromMs, after }: PointsWanted): Place {
  return Math.max(fromMs === null ? BEGINNING : fromMs * US_PER_MS - 1, after ?? BEGINNING)
}

function isApart(one: TrackPoint, next: TrackPoint, sessionGapMs: number): boolean {
  return next.sessionId !== one.sessionId || next.recordedMs - one.recordedMs > sessionGapMs
}

/** The device's points along its own index. */
async function readByTime(
  run: Run,
  wanted: PointsWanted,
  after: Place,
  pagePoints: number,
  limits: TrackLimits,
): Promise<Page> {
  const isSearch = wanted.sessionId !== null || wanted.box !== null || wanted.simplifyM !== null
  const scanPoints = isSearch ? Math.max(limits.scanPointsMax, pagePoints) : pagePoints
  const { bind, parameters } = createParameters()
  const seen = `
    select ${COLUMNS} from points
    where device_id = ${bind(wanted.deviceId, 'int')}
      and recorded_at > ${momentOf(bind(after, 'float8'))}
      and recorded_at <= coalesce(${momentOf(bind(untilOf(wanted), 'float8'))}, 'infinity')
    order by recorded_at limit ${bind(scanPoints, 'int')}`
  const looked = `select max(recorded_at) as up_to, count(*) = ${bind(scanPoints, 'int')} as goes_on from seen`
  const rows = await run(statement(seen, looked, wanted, pagePoints, limits, bind), parameters)
  return pageOf(rows, pagePoints)
}

/**
 * The points of the box along the index of places, where it holds so few, of whatever device, that they can all be
 * looked at. null: there are more, or no such index; then the device's own index is the better one.
 */
async function readByPlace(
  run: Run,
  wanted: PointsWanted,
  after: Place,
  pagePoints: number,
  limits: TrackLimits,
): Promise<Page | null> {
  const { bind, parameters } = createParameters()
  const areas = areasOf(wanted.box!).map((area) => {
    const [west, south, east, north] = area.map((degrees) => bind(degrees, 'float8'))
    return `geom && st_makeenvelope(${west}, ${south}, ${east}, ${north}, 4326)`
  })
  const seen = `
    select device_id, ${COLUMNS} from points
    where to_regclass('points_geom') is not null and (${areas.join(' or ')})
    limit ${bind(limits.scanPointsMax + 1, 'int')}`
  const looked = `
    select null::timestamptz as up_to, false as goes_on,
           count(*) > ${bind(limits.scanPointsMax, 'int')} or to_regclass('points_geom') is null as is_too_much
    from seen`
  const narrowed = `
    device_id = ${bind(wanted.deviceId, 'int')}
    and recorded_at > ${momentOf(bind(after, 'float8'))}
    and recorded_at <= coalesce(${momentOf(bind(untilOf(wanted), 'float8'))}, 'infinity')`
  try {
    const rows = await run(statement(seen, looked, wanted, pagePoints, limits, bind, narrowed), parameters)
    return rows[0]!.is_too_much === true ? null : pageOf(rows, pagePoints)
  } catch (error) {
    // The database had thought that there were few, and looked at far too many.
    if (codeOf(error) === STATEMENT_TIMEOUT) return null
    throw error
  }
}

const COLUMNS = `session_id, lat, lng, accuracy, speed, heading, altitude, source, recorded_at`

/** What was `seen` → what is wanted of it, beside how far was `looked`. There is a row even when there is no point. */
function statement(
  seen: string,
  looked: string,
  wanted: PointsWanted,
  pagePoints: number,
  limits: TrackLimits,
  bind: Bind,
  narrowed = 'true',
): string {
  const { sessionId, box, simplifyM } = wanted
  const ofSession = sessionId === null ? 'true' : `session_id = ${bind(sessionId, 'int')}`
  return `
with seen as materialized (${seen}),
looked as (${looked}),
chosen as (
  select seen.*, row_number() over in_time as i,
         session_id <> lag(session_id) over in_time
           or recorded_at - lag(recorded_at) over in_time
              > ${bind(limits.sessionGapMs, 'float8')} * interval '1 millisecond' as is_apart
  from seen where ${narrowed} and ${ofSession} and ${box === null ? 'true' : isInside(box, bind)}
  window in_time as (order by recorded_at)
),
kept as (${simplifyM === null ? 'select * from chosen' : simplified(bind(simplifyM, 'float8'))})
select l.*, ${placeOf('l.up_to')} as up_to_us, k.session_id, k.lat::float8, k.lng::float8, k.accuracy, k.speed, k.heading,
       k.altitude, k.source, ${placeOf('k.recorded_at')} as place, coalesce(k.is_apart, true) as is_apart
from looked l left join (
  select * from kept order by recorded_at limit ${bind(pagePoints, 'int')}
) k on true order by k.recorded_at`
}

/**
 * Douglas and Peucker on each run of points that belong together, first and last always kept. Metres are those of a
 * plane around the run's first point, as wide as the run is nearest to the equator: distances may come out too great,
 * never too small. Along the antimeridian it does not tear.
 */
function simplified(toleranceM: string): string {
  return `
  with runs as (
    select chosen.*, count(*) filter (where is_apart) over in_time as run,
           is_apart is not false or lead(is_apart) over in_time is not false as is_edge
    from chosen window in_time as (order by i)
  ),
  flat as (
    select run, i, lat::float8 * ${M_PER_DEGREE} as north,
           (lng - first_value(lng) over of_run)::float8 as turned,
           max(cos(radians(lat::float8))) over of_run * ${M_PER_DEGREE} as m_per_turn
    from runs window of_run as (partition by run order by i rows between unbounded preceding and unbounded following)
  ),
  lines as (
    select st_simplify(
      st_makeline(st_makepointm((turned - 360 * round(turned / 360)) * m_per_turn, north, i) order by i), ${toleranceM}) as line
    from flat group by run
  )
  select runs.* from runs
  where is_edge or i in (select st_m(vertex.geom)::bigint from lines cross join lateral st_dumppoints(line) as vertex)`
}

/** Exactly, in the numbers that were sent: the index of places rounds a little outwards. */
function isInside([west, south, east, north]: Box, bind: Bind): string {
  const [w, e] = [bind(west, 'numeric'), bind(east, 'numeric')]
  return `lat between ${bind(south, 'numeric')} and ${bind(north, 'numeric')}
    and (lng >= ${w} ${west <= east ? 'and' : 'or'} lng <= ${e})`
}

/** One that crosses the antimeridian is two. */
function areasOf(box: Box): Box[] {
  const [west, south, east, north] = box
  if (west <= east) return [box]
  return [
    [west, south, 180, north],
    [-180, south, east, north],
  ]
}

function pageOf(rows: Result, pagePoints: number): Page {
  const points = rows.filter((row) => row.session_id !== null).map(trackPoint)
  const { goes_on, up_to_us } = rows[0]!
  // A full page may have left some behind that were seen.
  if (points.length === pagePoints) return { points, next: points.at(-1)!.place }
  return { points, next: goes_on === true ? (up_to_us as number) : null }
}

function trackPoint(row: Record<string, unknown>): TrackPoint {
  return {
    recordedMs: Math.floor((row.place as number) / US_PER_MS),
    lat: row.lat as number,
    lng: row.lng as number,
    accuracy: row.accuracy as number | null,
    speed: row.speed as number | null,
    heading: row.heading as number | null,
    altitude: row.altitude as number | null,
    source: row.source as TrackPoint['source'],
    sessionId: row.session_id as number,
    place: row.place as number,
    isApart: row.is_apart as boolean,
  }
}

/** Of a `Place`; null stays null. */
export function momentOf(place: string): string {
  return `timestamptz 'epoch' + ${place} * interval '1 microsecond'`
}

/** Of a timestamptz: microseconds as a float8, which holds those of some centuries exactly. */
export function placeOf(moment: string): string {
  return `(extract(epoch from ${moment}) * 1000000)::float8`
}

function untilOf({ toMs }: PointsWanted): number | null {
  return toMs === null ? null : toMs * US_PER_MS
}

type Bind = (value: Parameter, type: string) => string

/** Parameters in the order in which the text of a statement names them. */
function createParameters(): { bind: Bind; parameters: Parameter[] } {
  const parameters: Parameter[] = []
  return { parameters, bind: (value, type) => `$${parameters.push(value)}::${type}` }
}
