/** What the API reads and writes of devices. */
import type { NewDevice, Redemption } from '../../core/directory.ts'
import type { DeviceChangeJson, DeviceJson, PairingJson } from '../../protocol/http.ts'
import { iso, isoOrNull } from '../line/moments.ts'
import type { Run } from '../line/run.ts'

const ROW = `id, user_id, name, platform, color, is_active, paired_at, last_seen_at, created_at`

/** The user's devices that are not deleted, by id, after `after`. `userId` null: everyone's. */
export async function listDevices(
  run: Run,
  userId: number | null,
  after: number,
  countMax: number,
): Promise<DeviceJson[]> {
  const rows = await run(
    `select ${ROW} from devices
     where deleted_at is null and id > $1::int and ($2::int is null or user_id = $2::int)
     order by id limit $3::int`,
    [after, userId, countMax],
  )
  return rows.map(deviceRow)
}

export async function findDevice(run: Run, id: number): Promise<DeviceJson | null> {
  const rows = await run(`select ${ROW} from devices where id = $1::int and deleted_at is null`, [id])
  return rows[0] ? deviceRow(rows[0]) : null
}

/** Creates a device that has no key yet; null when there is no such user, `full` when the user has `countMax`. */
export async function insertDevice(
  run: Run,
  device: NewDevice,
  countMax: number,
): Promise<DeviceJson | null | 'full'> {
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
export async function writeDeviceKey(run: Run, id: number, keyHash: string): Promise<DeviceJson | null> {
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
): Promise<Pick<PairingJson, 'device' | 'expiresAt'> | null> {
  const rows = await run(
    `update devices set pairing_token_hash = $2, updated_at = now(),
            pairing_expires_at = now() + $3::float8 * interval '1 millisecond'
     where id = $1::int and ${MAY_BE_PAIRED} returning ${ROW}, pairing_expires_at`,
    [id, tokenHash, ttlMs],
  )
  const row = rows[0]
  return row ? { device: deviceRow(row), expiresAt: iso(row.pairing_expires_at) } : null
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
export async function redeemPairing(run: Run, redemption: Redemption): Promise<DeviceJson | null> {
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

export async function updateDevice(
  run: Run,
  id: number,
  change: DeviceChangeJson,
): Promise<DeviceJson | null> {
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

function deviceRow(row: Record<string, unknown>): DeviceJson {
  return {
    id: row.id as number,
    userId: row.user_id as number,
    name: row.name as string,
    platform: row.platform as DeviceJson['platform'],
    color: row.color as DeviceJson['color'],
    isActive: row.is_active as boolean,
    pairedAt: isoOrNull(row.paired_at),
    lastSeenAt: isoOrNull(row.last_seen_at),
    createdAt: iso(row.created_at),
  }
}
