/** What the hub reads and writes of users. */
import type { NewUser, UserRow } from '../core/directory.ts'
import type { UserRole } from '../protocol/messages.ts'
import { column } from './arrays.ts'
import type { Run } from './connection.ts'
import { isoOrNull } from './devices.ts'

const ROW = `id, name, email, role, is_active, created_at, last_login_at`

export async function findUser(run: Run, id: number): Promise<UserRow | null> {
  const rows = await run(`select ${ROW} from users where id = $1::int`, [id])
  return rows[0] ? userRow(rows[0]) : null
}

/** Users by id, after `after`; with `email` the one of that address, whatever its case. */
export async function listUsers(
  run: Run,
  email: string | null,
  after: number,
  countMax: number,
): Promise<UserRow[]> {
  const rows = await run(
    `select ${ROW} from users where id > $1::int and ($2::varchar is null or lower(email) = lower($2::varchar))
     order by id limit $3::int`,
    [after, email, countMax],
  )
  return rows.map(userRow)
}

/** null when the address is taken. */
export async function insertUser(run: Run, user: NewUser): Promise<UserRow | null> {
  const rows = await run(
    `insert into users (name, email, role) values ($1, $2, $3::user_role)
     on conflict do nothing returning ${ROW}`,
    [user.name, user.email, user.role],
  )
  return rows[0] ? userRow(rows[0]) : null
}

/** What each of these users may do; one who is not there is left out. */
export async function readRights(
  run: Run,
  ids: readonly number[],
): Promise<Map<number, { role: UserRole; isActive: boolean }>> {
  const rows = await run('select id, role, is_active from users where id = any($1::int[])', [
    column(ids, (id) => id),
  ])
  return new Map(
    rows.map((row) => [row.id as number, { role: row.role as UserRole, isActive: row.is_active as boolean }]),
  )
}

function userRow(row: Record<string, unknown>): UserRow {
  return {
    id: row.id as number,
    name: row.name as string,
    email: row.email as string,
    role: row.role as UserRole,
    isActive: row.is_active as boolean,
    createdAt: (row.created_at as Date).toISOString(),
    lastLoginAt: isoOrNull(row.last_login_at),
  }
}
