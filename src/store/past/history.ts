/**
 * Sessions of the past with their figures. Those of an ended session are computed once and kept in session_figures; a
 * row there holds only while nothing has changed that it was computed from, and nobody has to tell it.
 */
import type { HasLeft, History, PastDevice, Place, SessionsWanted } from '../../core/history.ts'
import type { SessionJson } from '../../protocol/http.ts'
import { iso, isoOrNull } from '../line/moments.ts'
import type { Run } from '../line/run.ts'
import { measure } from './figures.ts'
import { placeOf, readTrackPages, type TrackLimits } from './track.ts'

export interface HistoryLimits extends TrackLimits {
  /** Points that a statement may measure or count. */
  measurePointsMax: number
}

/** `onPage` is called for each page of points that is read. */
export function createHistory(run: Run, limits: HistoryLimits, onPage: () => void): History {
  return {
    findDevice: (id) => findDevice(run, id),
    findSession: (id, userId) => findSession(run, id, userId, limits),
    listSessions: (wanted, hasLeft) => listSessions(run, wanted, limits, hasLeft),
    points: (wanted, hasLeft) => readTrackPages(run, wanted, limits, onPage, hasLeft),
  }
}

async function findDevice(run: Run, id: number): Promise<PastDevice | null> {
  const rows = await run('select id, user_id, name from devices where id = $1::int', [id])
  const row = rows[0]
  return row ? { id, userId: row.user_id as number, name: row.name as string } : null
}

/** The figures come along where they are of this very span. */
const SESSION = `
select s.id, s.device_id, s.user_id, s.status, s.started_at, s.ended_at,
       exists (select from automatic_sessions a where a.session_id = s.id) as automatic,
       f.points_in_span::float8, ${placeOf('f.first_in_span')} as first_in_span, f.point_count::float8, f.distance_m
from sessions s
left join session_figures f on f.session_id = s.id and f.started_at = s.started_at and f.ended_at = s.ended_at`

async function findSession(
  run: Run,
  id: number,
  userId: number | null,
  limits: HistoryLimits,
): Promise<SessionJson | null> {
  const rows = await run(`${SESSION} where s.id = $1::int and ($2::int is null or s.user_id = $2::int)`, [
    id,
    userId,
  ])
  return rows[0] ? sessionRow(run, rows[0], limits) : null
}

async function listSessions(
  run: Run,
  wanted: SessionsWanted,
  limits: HistoryLimits,
  hasLeft: HasLeft,
): Promise<SessionJson[]> {
  const { deviceId, fromMs, toMs, beforeMs, countMax } = wanted
  const rows = await run(
    `${SESSION}
     where s.device_id = $1::int
       and s.started_at < coalesce(to_timestamp($2::float8 / 1000), 'infinity')
       and s.started_at <= coalesce(to_timestamp($3::float8 / 1000), 'infinity')
       and (s.ended_at is null or s.ended_at >= coalesce(to_timestamp($4::float8 / 1000), '-infinity'))
     order by s.started_at desc limit $5::int`,
    [deviceId, beforeMs, toMs, fromMs, countMax],
  )
  const sessions: SessionJson[] = []
  // One after the other: the writer of the embedded database gets its turn between them.
  for (const row of rows) {
    if (hasLeft()) break
    sessions.push(await sessionRow(run, row, limits))
  }
  return sessions
}

async function sessionRow(
  run: Run,
  row: Record<string, unknown>,
  limits: HistoryLimits,
): Promise<SessionJson> {
  const startedAt = row.started_at as Date
  const endedAt = row.ended_at as Date | null
  const span = {
    sessionId: row.id as number,
    deviceId: row.device_id as number,
    startedMs: startedAt.getTime(),
    endedMs: endedAt?.getTime() ?? null,
  }
  const kept =
    row.points_in_span === null
      ? null
      : {
          pointsInSpan: row.points_in_span as number,
          firstInSpan: row.first_in_span as Place | null,
          pointCount: row.point_count as number,
          distanceM: row.distance_m as number,
        }
  const { pointCount, distanceM, lastMs } = await measure(run, span, kept, limits.measurePointsMax)
  const untilMs = span.endedMs ?? Math.max(lastMs ?? 0, span.startedMs)
  return {
    id: span.sessionId,
    deviceId: span.deviceId,
    userId: row.user_id as number,
    status: row.status as SessionJson['status'],
    automatic: row.automatic as boolean,
    startedAt: iso(startedAt),
    endedAt: isoOrNull(endedAt),
    distanceM,
    durationS: (untilMs - span.startedMs) / 1000,
    pointCount,
  }
}
