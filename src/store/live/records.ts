/** Devices as viewers are shown them when the hub does not hold them, and which there are to show. It reads no key. */
import type { DeviceRecord } from '../../protocol/encode.ts'
import { column } from '../line/arrays.ts'
import type { Run } from '../line/run.ts'
import { NEWEST_POINT, NEWEST_POINT_COLUMNS, newestPointOf } from '../points/newest.ts'
import { LAST_SEEN_MS, PROFILE, profileOf } from './profile.ts'

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

/** Offline, and nothing counted yet; unknown, deleted and deactivated ones are left out. */
export async function readRecords(run: Run, ids: readonly number[]): Promise<DeviceRecord[]> {
  const rows = await run(
    `select d.id, d.user_id, ${PROFILE}, ${LAST_SEEN_MS}, ${NEWEST_POINT_COLUMNS}
     from devices d ${NEWEST_POINT}
     where d.id = any($1::int[]) and d.deleted_at is null and d.is_active`,
    [column(ids, (id) => id)],
  )
  return rows.map((row) => ({
    ...profileOf(row),
    deviceId: row.id as number,
    userId: row.user_id as number,
    online: false,
    lastSeenMs: row.last_seen_ms as number | null,
    epoch: 0,
    n: 0,
    last: newestPointOf(row),
  }))
}
