/** Devices as HELLO needs them: whether one may connect, and what the hub has to know of it from then on. */
import type { DeviceAccess, DeviceCredentials } from '../../core/device.ts'
import type { Session } from '../../core/sessions.ts'
import { column } from '../line/arrays.ts'
import type { Run } from '../line/run.ts'
import { NEWEST_POINT, NEWEST_POINT_COLUMNS, newestPointOf } from '../points/newest.ts'
import { readRecentSessions } from '../points/sessions.ts'
import { LAST_SEEN_MS, PROFILE, profileOf } from './profile.ts'

const RECENT_SESSIONS = 64

const ACCESS = `
  d.id, ${PROFILE}, d.device_key_hash,
  (d.deleted_at is null and d.is_active and u.is_active) as is_active,
  (d.deleted_at is not null or not d.is_active) as is_gone`

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
  const rows = await run(
    `select ${ACCESS}, d.user_id, ${LAST_SEEN_MS}, ${NEWEST_POINT_COLUMNS}
     from devices d join users u on u.id = d.user_id ${NEWEST_POINT}
     where d.id = any($1::int[])`,
    [column(ids, (id) => id)],
  )
  const sessions = new Map<number, Session[]>(ids.map((id) => [id, []]))
  for (const session of await readRecentSessions(run, ids, RECENT_SESSIONS)) {
    sessions.get(session.deviceId)?.push(session)
  }
  return rows.map((row) => ({
    ...accessOf(row),
    userId: row.user_id as number,
    lastSeenMs: row.last_seen_ms as number | null,
    newest: newestPointOf(row),
    sessions: sessions.get(row.id as number) ?? [],
  }))
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
