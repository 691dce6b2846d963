/**
 * The last points of open sessions, and which sessions are idle by them. It is the device's newest points that are looked
 * at, few at a time: the index by session has no times in it, so it would find all points of a long session.
 */
import { learnLast, type Session } from '../../core/sessions.ts'
import { column } from '../line/arrays.ts'
import type { Result, Run } from '../line/run.ts'

/**
 * How far back to look for the last point of a session while a device waits. It is the newest of all, as a rule; where
 * the device has recorded much in other sessions since, `readLastPoints` looks on, when nobody waits.
 */
export const LAST_POINT_ROWS_MAX = 200

/** Where that looks. */
export const NEWEST = (deviceId: string, s: string, condition: string) => `
  select p.session_id, p.recorded_at, p.received_at from points p
  where ${condition} and p.device_id = ${deviceId} and p.recorded_at >= ${s}.started_at
  order by p.recorded_at desc limit ${LAST_POINT_ROWS_MAX}`

/** The last point of the session `s`, found on the index that all else uses. The condition saves the search. */
export const LAST_POINT = (deviceId: string, s: string, condition: string) => `
  select newest.recorded_at, newest.received_at
  from (${NEWEST(deviceId, s, condition)}) newest
  where newest.session_id = ${s}.id limit 1`

/** Points to look at in one statement: some ten milliseconds. */
const LAST_POINT_PAGE_ROWS = 10_000

const LAST_POINTS = `
with page as materialized (
  select p.session_id, p.recorded_at, p.received_at from points p
  where p.device_id = $1::int and p.recorded_at >= to_timestamp($2::float8 / 1000)
    and p.recorded_at < coalesce(to_timestamp($3::float8 / 1000), 'infinity')
  order by p.recorded_at desc limit ${LAST_POINT_PAGE_ROWS}
)
select null::int as id, (extract(epoch from min(recorded_at)) * 1000)::float8 as recorded_ms,
       null::float8 as received_ms, count(*)::int as rows
from page
union all
(select distinct on (session_id) session_id, (extract(epoch from recorded_at) * 1000)::float8,
        (extract(epoch from received_at) * 1000)::float8, 1
 from page where session_id = any($4::int[]) order by session_id, recorded_at desc)`

/**
 * Looks for the last point of each of these sessions, which are in the store, however far back it is, and tells them.
 * A page at a time from the newest point of the device, so that no statement is long.
 */
export async function readLastPoints(run: Run, sessions: readonly Session[]): Promise<void> {
  for (const deviceId of new Set(sessions.map((session) => session.deviceId))) {
    await readLastPointsOf(
      run,
      deviceId,
      sessions.filter((session) => session.deviceId === deviceId),
    )
  }
}

async function readLastPointsOf(run: Run, deviceId: number, sessions: readonly Session[]): Promise<void> {
  let unknown = sessions
  for (let beforeMs: number | null = null; unknown.length > 0; ) {
    // A point from before its start does not move an end.
    const fromMs = Math.min(...unknown.map(({ startedMs, lastMs }) => Math.max(startedMs, lastMs)))
    const ids = column(unknown, (session) => session.id)
    const rows: Result = await run(LAST_POINTS, [deviceId, fromMs, beforeMs, ids])
    const page = rows.find((row) => row.id === null)!
    const isAll = (page.rows as number) < LAST_POINT_PAGE_ROWS
    for (const session of unknown) {
      const row = rows.find(({ id }) => id === session.id)
      const last = row && { recordedMs: row.recorded_ms as number, receivedMs: row.received_ms as number }
      if (last !== undefined || isAll) learnLast(session, last ?? null)
    }
    unknown = unknown.filter((session) => !session.isLastKnown)
    beforeMs = page.recorded_ms as number | null
  }
}

const FIND_IDLE = `
select distinct s.device_id from sessions s
left join automatic_sessions a on a.session_id = s.id
left join lateral (
  ${LAST_POINT('s.device_id', 's', 'true')}
) last on true
where s.status <> 'ended' and s.device_id > $5::int
  and greatest(last.recorded_at, last.received_at, s.updated_at) <
      to_timestamp(($1::float8 - case when a.session_id is null then $3::float8 else $2::float8 end) / 1000)
order by s.device_id limit $4::int`

/**
 * Devices with an open session that has been idle for too long, or may have been because its last point lies behind
 * many others: by id, after `after`, `countMax` at most.
 */
export async function readIdleDevices(
  run: Run,
  nowMs: number,
  limits: { sessionGapMs: number; sessionIdleMs: number },
  countMax: number,
  after = 0,
): Promise<number[]> {
  const rows = await run(FIND_IDLE, [nowMs, limits.sessionGapMs, limits.sessionIdleMs, countMax, after])
  return rows.map((row) => row.device_id as number)
}
