/**
 * The statements of retention. Each looks at one device, or a page of them, over the index that every question of a
 * device's past uses: the one on `recorded_at` alone is good for a table that only grows, and this one does not.
 */
import type { Run } from '../line/run.ts'

/** What a page of devices has that is older than the limit. */
export interface OldThings {
  deviceId: number
  hasPoints: boolean
  hasSessions: boolean
  hasRejected: boolean
}

/**
 * A session is let go a day after its last point may have been: whatever is accepted for it, by any hub whatever its
 * clock and its gap between sessions, is newer.
 */
const SESSION_MARGIN_MS = 24 * 3_600_000 + 3_600_000

// Each with a limit, or the planner may join all points that are old.
const FIND_OLD = `
select d.id, p.found is not null as has_points, s.found is not null as has_sessions,
       r.found is not null as has_rejected
from (select id from devices where id > $1::int order by id limit $2::int) d
left join lateral (
  select true as found from points where device_id = d.id and recorded_at < to_timestamp($3::float8 / 1000)
  order by recorded_at limit 1
) p on true
left join lateral (
  select true as found from sessions where device_id = d.id and started_at < to_timestamp($4::float8 / 1000)
    and ended_at < to_timestamp($4::float8 / 1000)
  limit 1
) s on true
left join lateral (
  select true as found from rejected_points where device_id = d.id and received_at < to_timestamp($3::float8 / 1000)
  limit 1
) r on true
order by d.id`

const DELETE_POINTS = `
delete from points where device_id = $1::int and recorded_at <= (
  select max(recorded_at) from (
    select recorded_at from points
    where device_id = $1::int and recorded_at < to_timestamp($2::float8 / 1000)
    order by recorded_at limit $3::int
  ) oldest
)`

const DELETE_SESSIONS = `
delete from sessions where device_id = $1::int and id in (
  select s.id from sessions s
  where s.device_id = $1::int and s.started_at < to_timestamp($2::float8 / 1000)
    and s.ended_at < to_timestamp($2::float8 / 1000)
    and not exists (select from points p where p.session_id = s.id)
  order by s.started_at limit $3::int
)`

// By when they came: a point that is refused for its age would else be gone before anybody could look at it.
const DELETE_REJECTED = `
delete from rejected_points where device_id = $1::int and id in (
  select id from rejected_points
  where device_id = $1::int and received_at < to_timestamp($2::float8 / 1000) limit $3::int
)`

/** The devices after `after`, in order of id, `countMax` at most. */
export async function findOld(
  run: Run,
  after: number,
  countMax: number,
  oldestMs: number,
): Promise<OldThings[]> {
  const rows = await run(FIND_OLD, [after, countMax, oldestMs, oldestMs - SESSION_MARGIN_MS])
  return rows.map((row) => ({
    deviceId: row.id as number,
    hasPoints: row.has_points as boolean,
    hasSessions: row.has_sessions as boolean,
    hasRejected: row.has_rejected as boolean,
  }))
}

/** Deletes the oldest points before `oldestMs`, so many at most; resolves with how many. */
export async function deletePoints(
  run: Run,
  deviceId: number,
  oldestMs: number,
  rowsMax: number,
): Promise<number> {
  return (await run(DELETE_POINTS, [deviceId, oldestMs, rowsMax])).count
}

/** Deletes ended sessions of that time that have no points left. */
export async function deleteSessions(
  run: Run,
  deviceId: number,
  oldestMs: number,
  rowsMax: number,
): Promise<number> {
  return (await run(DELETE_SESSIONS, [deviceId, oldestMs - SESSION_MARGIN_MS, rowsMax])).count
}

/** Deletes dead letters that were received before `oldestMs`. */
export async function deleteRejected(
  run: Run,
  deviceId: number,
  oldestMs: number,
  rowsMax: number,
): Promise<number> {
  return (await run(DELETE_REJECTED, [deviceId, oldestMs, rowsMax])).count
}
