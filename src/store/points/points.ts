/** The statements that write points and dead letters, and how rows become their parameters. */
import type { DeadLetter } from '../../core/device.ts'
import type { Session } from '../../core/sessions.ts'
import { AT, POINT_SOURCES, POINT_STRIDE } from '../../protocol/messages.ts'
import { column } from '../line/arrays.ts'
import { beginArray, put, written } from '../line/digits.ts'
import type { Run } from '../line/run.ts'

/** A point to store: where it lies in its frame's values, and what it belongs to. */
export interface PointRow {
  values: Float64Array
  at: number
  session: Session
  receivedMs: number
}

const INSERT_POINTS = `
insert into points (device_id, session_id, lat, lng, geom, accuracy, speed, heading, altitude, source,
                    recorded_at, received_at)
select d, s, a * 0.0000001, g * 0.0000001,
       st_setsrid(st_makepoint(g::float8 / 1e7::float8, a::float8 / 1e7::float8), 4326),
       ac / 100, sp / 100, hd / 100, al / 100, src,
       to_timestamp(r / 1000), to_timestamp(rc / 1000)
from unnest($1::int[], $2::int[], $3::int[], $4::int[], $5::float8[], $6::float8[], $7::float8[], $8::float8[],
            $9::point_source[], $10::float8[], $11::float8[]) as u(d, s, a, g, ac, sp, hd, al, src, r, rc)
on conflict (device_id, recorded_at) do nothing`

/** The parameters of INSERT_POINTS: kept by the writer, so that a retry is the identical batch. */
export function pointParameters(rows: readonly PointRow[]): string[] {
  return [
    column(rows, ({ session }) => session.deviceId),
    column(rows, ({ session }) => session.id),
    field(rows, AT.lat),
    field(rows, AT.lng),
    field(rows, AT.accuracy),
    field(rows, AT.speed),
    field(rows, AT.heading),
    field(rows, AT.altitude),
    `{${rows.map(({ values, at }) => POINT_SOURCES[values[at * POINT_STRIDE + AT.source]!]).join()}}`,
    field(rows, AT.recordedMs),
    column(rows, ({ receivedMs }) => receivedMs),
  ]
}

/** Reads the values itself: handed over by a function, each would become an object first. */
function field(rows: readonly PointRow[], place: number): string {
  beginArray()
  for (let i = 0; i < rows.length; i++) {
    const { values, at } = rows[i]!
    put(values[at * POINT_STRIDE + place]!)
  }
  return written()
}

/** Resolves, once committed, with how many of the rows were new. */
export async function insertPoints(run: Run, parameters: readonly string[]): Promise<number> {
  return (await run(INSERT_POINTS, parameters)).count
}

/** A dead letter with what the database wants to know of its frame. */
export interface DeadLetterRow extends DeadLetter {
  deviceId: number
  receivedMs: number
}

const INSERT_REJECTED = `
insert into rejected_points (device_id, reason, sqlstate, recorded_ms, lat_e7, lng_e7, accuracy_cm, speed_cms,
                             heading_cd, altitude_cm, source, session_ms, received_at)
select d, reason, nullif(state, ''), r, a, g, ac, sp, hd, al, src, ses, to_timestamp(rc / 1000.0)
from unnest($1::int[], $2::smallint[], $3::varchar[], $4::bigint[], $5::int[], $6::int[], $7::bigint[], $8::bigint[],
            $9::bigint[], $10::bigint[], $11::smallint[], $12::bigint[], $13::float8[])
     as u(d, reason, state, r, a, g, ac, sp, hd, al, src, ses, rc)
on conflict (device_id, recorded_ms) do nothing`

const TRIM_REJECTED = `
delete from rejected_points old
using (select id, row_number() over (partition by device_id order by id desc) as place
       from rejected_points where device_id = any($1::int[])) ranked
where old.id = ranked.id and ranked.place > $2::int`

/** Keeps the newest `perDeviceMax` dead letters of each device. */
export async function insertRejected(
  run: Run,
  rows: readonly DeadLetterRow[],
  perDeviceMax: number,
): Promise<void> {
  const field = (at: number) => column(rows, (row) => row.values[at]!)
  await run(INSERT_REJECTED, [
    column(rows, (row) => row.deviceId),
    column(rows, (row) => row.reason),
    `{${rows.map((row) => (/^[0-9A-Z]{5}$/.test(row.sqlstate ?? '') ? row.sqlstate : '""')).join(',')}}`,
    field(AT.recordedMs),
    field(AT.lat),
    field(AT.lng),
    field(AT.accuracy),
    field(AT.speed),
    field(AT.heading),
    field(AT.altitude),
    field(AT.source),
    column(rows, (row) => row.sessionMs),
    column(rows, (row) => row.receivedMs),
  ])
  const devices = [...new Set(rows.map((row) => row.deviceId))]
  await run(TRIM_REJECTED, [column(devices, (id) => id), perDeviceMax])
}
