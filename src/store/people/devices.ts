/** What the hub reads and writes of devices: for HELLO, for snapshots, for the API, and last_seen_at. */
import type { DeviceProfile, KnownDevice } from '../../core/device.ts'
import type { DeviceChange, DeviceRow, NewDevice, Pairing, Redemption } from '../../core/directory.ts'
import type { Session } from '../../core/sessions.ts'
import type { DeviceRecord } from '../../protocol/encode.ts'
import {
  type DeviceColor,
  type DevicePlatform,
  POINT_SOURCES,
  type SessionStatus,
} from '../../protocol/messages.ts'
import { column } from '../line/arrays.ts'
import type { Run } from '../line/connection.ts'
import { readRecentSessions } from '../points/sessions.ts'

/** What decides whether a device may connect, and what it is called. */
export interface DeviceAccess extends DeviceProfile {
  id: number
  /** SHA-256 of the device key, hex; null when it was never paired. */
  keyHash: string | null
  /** Neither deleted nor deactivated, and neither is its user. */
  isActive: boolean
  /** Deleted or deactivated itself, whatever its user is: nobody is shown it. */
  isGone: boolean
}

/** The same with everything else that the hub has to know of a device. */
export type DeviceCredentials = KnownDevice & DeviceAccess

const RECENT_SESSIONS = 64

const ACCESS = `
  d.id, d.name, d.color, d.platform, d.device_key_hash,
  (d.deleted_at is null and d.is_active and u.is_active) as is_active,
  (d.deleted_at is not null or not d.is_active) as is_gone`

const COLUMNS = `${ACCESS},
  d.user_id, (extract(epoch from d.last_seen_at) * 1000)::float8 as last_seen_ms,
  newest.session_id, newest.recorded_ms, newest.lat_e7, newest.lng_e7, newest.accuracy_cm, newest.speed_cms,
  newest.heading_cd, newest.altitude_cm, newest.source`

/**
 * How far back the newest point is looked for. A device whose clock is always ahead has none that counts, and must not
 * make the hub read all of its history whenever it connects.
 */
export const NEWEST_ROWS_MAX = 5_000

// A point that was stamped further ahead than 60 s when it came does not count as the newest (D9).
const NEWEST = `
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
) newest on true`

const NEWEST_SESSION = `s.status, (extract(epoch from s.started_at) * 1000)::float8 as session_ms`

/** Few bytes from one index, for devices that the hub has in memory; unknown ids are left out. */
export async function readAccess(run: Run, ids: readonly number[]): Promise<DeviceAccess[]> {
  const rows = await run(
    `select ${ACCESS} from devices d join users u on u.id = d.user_id where d.id = any($1::int[])`,
    [column(ids, (id) => id)],
  )
  return rows.map(accessOf)
}

/** Everything the hub has to know of these devices when they connect; unknown ids are left out. */
export async function readCredentials(run: Run, ids: readonly number[]): Promise<DeviceCredentials[]> {
  const parameters = [column(ids, (id) => id)]
  const rows = await run(
    `select ${COLUMNS}, ${NEWEST_SESSION} from devices d join users u on u.id = d.user_id ${NEWEST}
     left join sessions s on s.id = newest.session_id
     where d.id = any($1::int[])`,
    parameters,
  )
  const sessions = new Map<number, Session[]>(ids.map((id) => [id, []]))
  for (const session of await readRecentSessions(run, ids, RECENT_SESSIONS)) {
    sessions.get(session.deviceId)?.push(session)
  }
  return rows.map((row) => {
    const id = row.id as number
    const values = newestValues(row)
    return {
      ...accessOf(row),
      userId: row.user_id as number,
      lastSeenMs: row.last_seen_ms as number | null,
      newest: values && {
        sessionId: row.session_id as number,
        sessionMs: row.session_ms as number,
        sessionStatus: row.status as SessionStatus,
        values,
      },
      sessions: sessions.get(id) ?? [],
    }
  })
}

/**
 * Ids of the devices of these users (null: of everyone) that are not deleted, in order, after `after`, `countMax` at most,
 * and whether they are active.
 */
export async function readDeviceIds(
  run: Run,
  userIds: readonly number[] | null,
  after: number,
  countMax: number,
): Promise<{ id: number; isActive: boolean }[]> {
  const rows = await run(
    `select id, is_active from devices
     where deleted_at is null and id > $1::int
       and ($2::int[] is null or user_id = any($2::int[]))
     order by id limit $3::int`,
    [after, userIds && column(userIds, (id) => id), countMax],
  )
  return rows.map((row) => ({ id: row.id as number, isActive: row.is_active as boolean }))
}

/** Devices as a snapshot shows them when the hub does not hold them: offline, and nothing counted yet. */
export async function readRecords(run: Run, ids: readonly number[]): Promise<DeviceRecord[]> {
  const rows = await run(
    `select ${COLUMNS}, ${NEWEST_SESSION}
     from devices d join users u on u.id = d.user_id ${NEWEST}
     left join sessions s on s.id = newest.session_id
     where d.id = any($1::int[]) and d.deleted_at is null and d.is_active`,
    [column(ids, (id) => id)],
  )
  return rows.map((row) => {
    const values = newestValues(row)
    return {
      ...profileOf(row),
      deviceId: row.id as number,
      userId: row.user_id as number,
      online: false,
      lastSeenMs: row.last_seen_ms as number | null,
      epoch: 0,
      n: 0,
      last: values && {
        sessionMs: row.session_ms as number,
        sessionStatus: row.status as SessionStatus,
        values,
      },
    }
  })
}

/** Moves `last_seen_at` forward, never back. */
export async function writeLastSeen(run: Run, seen: ReadonlyMap<number, number>): Promise<void> {
  // In order of id, so that two hubs never wait for each other.
  const rows = [...seen].sort((a, b) => a[0] - b[0])
  await run(
    `update devices d set last_seen_at = greatest(d.last_seen_at, to_timestamp(u.ms / 1000))
     from unnest($1::int[], $2::float8[]) as u(id, ms) where d.id = u.id`,
    [column(rows, ([id]) => id), column(rows, ([, ms]) => ms)],
  )
}

/** When the newest stored point was received, in ms, or null; the hub's clock must not be behind it. */
export async function readNewestReceivedMs(run: Run): Promise<number | null> {
  const rows = await run(
    `select (extract(epoch from received_at) * 1000)::float8 as ms from points order by id desc limit 1`,
  )
  return (rows[0]?.ms as number | undefined) ?? null
}

// For the API

const ROW = `id, user_id, name, platform, color, is_active, paired_at, last_seen_at, created_at`

/** The user's devices that are not deleted, by id, after `after`. `userId` null: everyone's. */
export async function listDevices(
  run: Run,
  userId: number | null,
  after: number,
  countMax: number,
): Promise<DeviceRow[]> {
  const rows = await run(
    `select ${ROW} from devices
     where deleted_at is null and id > $1::int and ($2::int is null or user_id = $2::int)
     order by id limit $3::int`,
    [after, userId, countMax],
  )
  return rows.map(deviceRow)
}

export async function findDevice(run: Run, id: number): Promise<DeviceRow | null> {
  const rows = await run(`select ${ROW} from devices where id = $1::int and deleted_at is null`, [id])
  return rows[0] ? deviceRow(rows[0]) : null
}

/** Creates a device that has no key yet; null when there is no such user, `full` when the user has `countMax`. */
export async function insertDevice(
  run: Run,
  device: NewDevice,
  countMax: number,
): Promise<DeviceRow | null | 'full'> {
  const rows = await run(
    `with owner as materialized (
       select id, count_devices(id) as devices from users where id = $1::int and is_active
     ), added as (
       insert into devices (user_id, name, platform, color)
       select id, $2, $3::device_platform, $4::device_color from owner where devices < $5::int
       returning ${ROW}
     )
     select added.* from owner left join added on true`,
    [device.userId, device.name, device.platform, device.color, countMax],
  )
  if (rows[0] === undefined) return null
  return rows[0].id === null ? 'full' : deviceRow(rows[0])
}

const MAY_BE_PAIRED = `deleted_at is null and is_active
       and exists (select 1 from users u where u.id = devices.user_id and u.is_active)`

/**
 * Gives the device a new key, of which only the hash is kept; null when the device or its user is gone or deactivated. A
 * pairing token ends with it: repeating what a device sent before must not bring back its old key.
 */
export async function writeDeviceKey(run: Run, id: number, keyHash: string): Promise<DeviceRow | null> {
  const rows = await run(
    `update devices set device_key_hash = $2, paired_at = now(), updated_at = now(),
            pairing_token_hash = null, pairing_expires_at = null
     where id = $1::int and ${MAY_BE_PAIRED} returning ${ROW}`,
    [id, keyHash],
  )
  return rows[0] ? deviceRow(rows[0]) : null
}

/**
 * A new pairing token ends the one before. null when the device or its user is gone or deactivated. All moments are
 * of the database's clock, which is the same for every hub.
 */
export async function writePairing(
  run: Run,
  id: number,
  tokenHash: string,
  ttlMs: number,
): Promise<Pairing | null> {
  const rows = await run(
    `update devices set pairing_token_hash = $2, updated_at = now(),
            pairing_expires_at = now() + $3::float8 * interval '1 millisecond'
     where id = $1::int and ${MAY_BE_PAIRED} returning ${ROW}, pairing_expires_at`,
    [id, tokenHash, ttlMs],
  )
  const row = rows[0]
  return row ? { device: deviceRow(row), expiresAt: (row.pairing_expires_at as Date).toISOString() } : null
}

/** The device that a token is for, open or redeemed. Nothing is decided here: its id is a part of its key. */
export async function findPaired(run: Run, tokenHashes: readonly [string, string]): Promise<number | null> {
  const rows = await run(`select id from devices where pairing_token_hash in ($1, $2)`, [...tokenHashes])
  return (rows[0]?.id as number | undefined) ?? null
}

/**
 * Gives the device the key, once: of all that try, one finds the token open, and leaves in its place a hash that only
 * it can name. Whoever can name that one is told the same again, and changes nothing. null: refused.
 */
export async function redeemPairing(run: Run, redemption: Redemption): Promise<DeviceRow | null> {
  const { deviceId, openHash, redeemedHash, keyHash, name, platform } = redemption
  const first = (then: string, column: string) =>
    `${column} = case when pairing_token_hash = $2 then ${then} else ${column} end`
  const rows = await run(
    `update devices set device_key_hash = $4, pairing_token_hash = $3, ${first('now()', 'paired_at')},
            ${first('now()', 'updated_at')}, ${first('coalesce($5, name)', 'name')},
            ${first('coalesce($6::device_platform, platform)', 'platform')}
     where id = $1::int and pairing_expires_at > now()
       and (pairing_token_hash = $2 or (pairing_token_hash = $3 and device_key_hash = $4))
       and ${MAY_BE_PAIRED} returning ${ROW}`,
    [deviceId, openHash, redeemedHash, keyHash, name ?? null, platform ?? null],
  )
  return rows[0] ? deviceRow(rows[0]) : null
}

export async function updateDevice(run: Run, id: number, change: DeviceChange): Promise<DeviceRow | null> {
  const rows = await run(
    `update devices set name = coalesce($2, name), color = coalesce($3::device_color, color),
            is_active = coalesce($4::boolean, is_active), updated_at = now()
     where id = $1::int and deleted_at is null returning ${ROW}`,
    [id, change.name ?? null, change.color ?? null, change.isActive ?? null],
  )
  return rows[0] ? deviceRow(rows[0]) : null
}

/** Soft: the row and its points stay, the key is forgotten. False when there was nothing to delete. */
export async function deleteDevice(run: Run, id: number): Promise<boolean> {
  const result = await run(
    `update devices set deleted_at = now(), updated_at = now(), device_key_hash = null,
            pairing_token_hash = null, pairing_expires_at = null
     where id = $1::int and deleted_at is null`,
    [id],
  )
  return result.count === 1
}

function deviceRow(row: Record<string, unknown>): DeviceRow {
  return {
    id: row.id as number,
    userId: row.user_id as number,
    name: row.name as string,
    platform: row.platform as DevicePlatform,
    color: row.color as DeviceColor,
    isActive: row.is_active as boolean,
    pairedAt: isoOrNull(row.paired_at),
    lastSeenAt: isoOrNull(row.last_seen_at),
    createdAt: (row.created_at as Date).toISOString(),
  }
}

export function isoOrNull(value: unknown): string | null {
  return value instanceof Date ? value.toISOString() : null
}

function accessOf(row: Record<string, unknown>): DeviceAccess {
  return {
    ...profileOf(row),
    id: row.id as number,
    keyHash: row.device_key_hash as string | null,
    isActive: row.is_active as boolean,
    isGone: row.is_gone as boolean,
  }
}

function profileOf(row: Record<string, unknown>): DeviceProfile {
  return {
    name: row.name as string,
    color: row.color as DeviceColor,
    platform: row.platform as DevicePlatform,
  }
}

/** The newest point in wire units, as in messages.ts; null when there is none. */
function newestValues(row: Record<string, unknown>): Float64Array | null {
  if (row.recorded_ms === null) return null
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
