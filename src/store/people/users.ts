/** What the hub reads and writes of users. */
import { codeOf } from '../../core/blame.ts'
import type { NewUser } from '../../core/directory.ts'
import type { UserChangeJson, UserJson } from '../../protocol/http.ts'
import { column } from '../line/arrays.ts'
import { iso, isoOrNull } from '../line/moments.ts'
import type { Run } from '../line/run.ts'

const ROW = `id, name, email, role, is_active, providers, created_at, last_login_at`
const TAKEN = '23505'

export async function findUser(run: Run, id: number): Promise<UserJson | null> {
  const rows = await run(`select ${ROW} from users where id = $1::int`, [id])
  return rows[0] ? userRow(rows[0]) : null
}

/** Users by id, after `after`; with `email` the one of that address, whatever its case. */
export async function listUsers(
  run: Run,
  email: string | null,
  after: number,
  countMax: number,
): Promise<UserJson[]> {
  const rows = await run(
    `select ${ROW} from users where id > $1::int and ($2::varchar is null or lower(email) = lower($2::varchar))
     order by id limit $3::int`,
    [after, email, countMax],
  )
  return rows.map(userRow)
}

/** null when the address is taken. */
export async function insertUser(run: Run, user: NewUser): Promise<UserJson | null> {
  const rows = await run(
    `insert into users (name, email, role) values ($1, $2, $3::user_role)
     on conflict do nothing returning ${ROW}`,
    [user.name, user.email, user.role],
  )
  return rows[0] ? userRow(rows[0]) : null
}

/** null when there is no such user; `taken` when somebody else is one of `providers`. */
export async function updateUser(
  run: Run,
  id: number,
  change: UserChangeJson,
): Promise<UserJson | null | 'taken'> {
  const providers = change.providers === undefined ? null : JSON.stringify(change.providers)
  try {
    const rows = await run(
      `update users set name = coalesce($2, name), role = coalesce($3::user_role, role),
              is_active = coalesce($4::boolean, is_active), providers = coalesce($5::text::jsonb, providers),
              updated_at = now()
       where id = $1::int returning ${ROW}`,
      [id, change.name ?? null, change.role ?? null, change.isActive ?? null, providers],
    )
    return rows[0] ? userRow(rows[0]) : null
  } catch (error) {
    if (codeOf(error) === TAKEN) return 'taken'
    throw error
  }
}

/** Who is known under that subject of an OpenID issuer. */
export async function findUserAt(run: Run, issuer: string, sub: string): Promise<UserJson | null> {
  const rows = await run(
    `select ${ROW} from users
     where id = (select user_id from user_providers where issuer = $1 and subject = $2)`,
    [issuer, sub],
  )
  return rows[0] ? userRow(rows[0]) : null
}

/**
 * Makes the active user of that address known under the subject. null when there is none, when the user is
 * somebody else at that issuer already, or when the subject is somebody else here.
 */
export async function linkUser(
  run: Run,
  email: string,
  issuer: string,
  sub: string,
): Promise<UserJson | null> {
  try {
    const rows = await run(
      `update users set updated_at = now(),
              providers = providers || jsonb_build_object($2::text, jsonb_build_object('sub', $3::text))
       where lower(email) = lower($1::varchar) and is_active and providers -> $2::text is null
       returning ${ROW}`,
      [email, issuer, sub],
    )
    return rows[0] ? userRow(rows[0]) : null
  } catch (error) {
    if (codeOf(error) === TAKEN) return null
    throw error
  }
}

/** Moves `last_login_at` forward, never back. */
export async function writeLastLogin(run: Run, logins: ReadonlyMap<number, number>): Promise<void> {
  // In order of id, so that two hubs never wait for each other.
  const rows = [...logins].sort((a, b) => a[0] - b[0])
  await run(
    `update users set last_login_at = greatest(last_login_at, to_timestamp(l.ms / 1000))
     from unnest($1::int[], $2::float8[]) as l(id, ms) where users.id = l.id`,
    [column(rows, ([id]) => id), column(rows, ([, ms]) => ms)],
  )
}

function userRow(row: Record<string, unknown>): UserJson {
  return {
    id: row.id as number,
    name: row.name as string,
    email: row.email as string,
    role: row.role as UserJson['role'],
    isActive: row.is_active as boolean,
    providers: row.providers as UserJson['providers'],
    createdAt: iso(row.created_at),
    lastLoginAt: isoOrNull(row.last_login_at),
  }
}
