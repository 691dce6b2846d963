/** What the hub reads and writes of shares. */
import type { NewShare, ShareRow } from '../../core/directory.ts'
import { column } from '../line/arrays.ts'
import { iso, isoOrNull } from '../line/moments.ts'
import type { Run } from '../line/run.ts'

const ROW = `id, user_id, device_ids, created_at, expires_at, ended_at`

/** Whose devices these are; one that is deleted or never was is left out. */
export async function findOwners(
  run: Run,
  deviceIds: readonly number[],
): Promise<{ id: number; userId: number }[]> {
  const rows = await run(
    'select id, user_id from devices where id = any($1::int[]) and deleted_at is null order by id',
    [column(deviceIds, (id) => id)],
  )
  return rows.map((row) => ({ id: row.id as number, userId: row.user_id as number }))
}

/** `full` when the user has `countMax` shares that go on. */
export async function insertShare(
  run: Run,
  share: NewShare,
  nowMs: number,
  countMax: number,
): Promise<ShareRow | 'full'> {
  const rows = await run(
    `insert into shares (user_id, device_ids, created_at, expires_at)
     select $1::int, $2::int[], to_timestamp($3::float8 / 1000), to_timestamp($4::float8 / 1000)
     where count_shares($1::int, to_timestamp($3::float8 / 1000)) < $5::int
     returning ${ROW}`,
    [share.userId, column(share.deviceIds, (id) => id), nowMs, share.expiresMs, countMax],
  )
  return rows[0] ? shareRow(rows[0]) : 'full'
}

export async function findShare(run: Run, id: number): Promise<ShareRow | null> {
  const rows = await run(`select ${ROW} from shares where id = $1::int`, [id])
  return rows[0] ? shareRow(rows[0]) : null
}

/** The user's shares, ended ones too, by id, after `after`. `userId` null: everyone's. */
export async function listShares(
  run: Run,
  userId: number | null,
  after: number,
  countMax: number,
): Promise<ShareRow[]> {
  const rows = await run(
    `select ${ROW} from shares where id > $1::int and ($2::int is null or user_id = $2::int)
     order by id limit $3::int`,
    [after, userId, countMax],
  )
  return rows.map(shareRow)
}

/** Ended once, it stays as it ended. */
export async function endShare(run: Run, id: number, nowMs: number): Promise<void> {
  await run(
    `update shares set ended_at = to_timestamp($2::float8 / 1000) where id = $1::int and ended_at is null`,
    [id, nowMs],
  )
}

function shareRow(row: Record<string, unknown>): ShareRow {
  return {
    id: row.id as number,
    userId: row.user_id as number,
    deviceIds: idsOf(row.device_ids),
    createdAt: iso(row.created_at),
    expiresAt: iso(row.expires_at),
    endedAt: isoOrNull(row.ended_at),
  }
}

/** `{1,2}`: the driver, which may not ask for the types of arrays, leaves them as the text they came as. */
function idsOf(text: unknown): number[] {
  return (text as string).slice(1, -1).split(',').map(Number)
}
