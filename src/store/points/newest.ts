/** The newest point: of a device, for whoever connects and whoever watches it, and of all, for the hub's clock. */
import type { KnownDevice } from '../../core/device.ts'
import { POINT_SOURCES, type SessionStatus } from '../../protocol/messages.ts'
import type { Run } from '../line/run.ts'

/**
 * How far back the newest point is looked for. A device whose clock is always ahead has none that counts, and must not
 * make the hub read all of its history whenever it connects.
 */
export const NEWEST_ROWS_MAX = 5_000

/**
 * To be joined to `devices d`: its newest point and the session of that. A point that was stamped further ahead than
 * 60 s when it came does not count as the newest (D9).
 */
export const NEWEST_POINT = `
left join lateral (
  select p.session_id, (extract(epoch from p.recorded_at) * 1000)::float8 as recorded_ms,
         (p.lat * 10000000)::int as lat_e7, (p.lng * 10000000)::int as lng_e7,
         round(p.accuracy * 100) as accuracy_cm, round(p.speed * 100) as speed_cms,
         round(p.heading * 100) as heading_cd, round(p.altitude * 100) as altitude_cm, p.source
  from (
    select * from points where device_id = d.id order by recorded_at desc limit ${NEWEST_ROWS_MAX}
  ) p
  where p.recorded_at <= p.received_at + interval '60 s'
  order by p.recorded_at desc limit 1
) newest on true
left join sessions s on s.id = newest.session_id`

/** What `newestPointOf` reads of that. */
export const NEWEST_POINT_COLUMNS = `
  newest.session_id, newest.recorded_ms, newest.lat_e7, newest.lng_e7, newest.accuracy_cm, newest.speed_cms,
  newest.heading_cd, newest.altitude_cm, newest.source,
  s.status, (extract(epoch from s.started_at) * 1000)::float8 as session_ms`

/** With its values in wire units, as in messages.ts; null when there is none. */
export function newestPointOf(row: Record<string, unknown>): KnownDevice['newest'] {
  if (row.recorded_ms === null) return null
  return {
    sessionId: row.session_id as number,
    sessionMs: row.session_ms as number,
    sessionStatus: row.status as SessionStatus,
    values: valuesOf(row),
  }
}

function valuesOf(row: Record<string, unknown>): Float64Array {
  const orNaN = (value: unknown) => (value === null ? Number.NaN : (value as number))
  return Float64Array.of(
    row.recorded_ms as number,
    row.lat_e7 as number,
    row.lng_e7 as number,
    orNaN(row.accuracy_cm),
    orNaN(row.speed_cms),
    orNaN(row.heading_cd),
    orNaN(row.altitude_cm),
    POINT_SOURCES.indexOf(row.source as (typeof POINT_SOURCES)[number]),
  )
}

/** When the newest stored point was received, in ms, or null; the hub's clock must not be behind it. */
export async function readNewestReceivedMs(run: Run): Promise<number | null> {
  const rows = await run(
    `select (extract(epoch from received_at) * 1000)::float8 as ms from points order by id desc limit 1`,
  )
  return (rows[0]?.ms as number | undefined) ?? null
}
