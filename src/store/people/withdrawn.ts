/**
 * What of many grants the database takes back: asked for all at once, and answered with those that are withdrawn, so
 * that an ordinary answer is empty.
 */
import type { DeviceGrant, Grant, Provider, Withdrawal } from '../../core/grant.ts'
import { column, hexes } from '../line/arrays.ts'
import type { Run } from '../line/run.ts'

/** Grants in one statement; the embedded database can do nothing else meanwhile. */
const BATCH_MAX = 5_000
/** So much of a key's hash says that it is another key. */
const KEY_MARK_CHARS = 16

/** Those of `grants` that are good no more, and why. Rejects when the database is away. */
export async function readWithdrawn(
  run: Run,
  grants: readonly Grant[],
  nowMs: number,
): Promise<Map<Grant, Withdrawal>> {
  const withdrawn = new Map<Grant, Withdrawal>()
  const of = <Role extends Grant['role']>(...roles: Role[]) =>
    grants.filter((grant): grant is Extract<Grant, { role: Role }> => roles.includes(grant.role as Role))

  await each(of('user', 'admin'), async (batch) => {
    const byUser = grouped(batch, (grant) => `${grant.userId} ${grant.role === 'admin' ? 1 : 0}`)
    const keys = [...byUser.keys()].map((key) => key.split(' ').map(Number) as [number, number])
    for (const row of await readUsers(run, keys)) {
      for (const grant of byUser.get(`${row.id} ${row.is_admin}`) ?? []) withdrawn.set(grant, 'refused')
    }
  })
  await each(
    of('user', 'admin').filter(({ via }) => via !== undefined),
    async (batch) => {
      const byPlace = grouped(batch, ({ userId, via }) => placeOf(userId, via!))
      for (const row of await readProviders(run, [...byPlace.keys()])) {
        for (const grant of byPlace.get(row.place as string) ?? []) withdrawn.set(grant, 'refused')
      }
    },
  )
  await each(of('share'), async (batch) => {
    const byShare = grouped(batch, (grant) => grant.shareId)
    for (const row of await readShares(run, [...byShare.keys()], nowMs)) {
      for (const grant of byShare.get(row.id as number) ?? []) withdrawn.set(grant, 'refused')
    }
  })
  await each(of('device'), async (batch) => {
    const byDevice = grouped(batch, (grant) => grant.deviceId)
    for (const row of await readDevices(run, batch)) {
      for (const grant of byDevice.get(row.id as number) ?? []) {
        withdrawn.set(grant, row.is_gone ? 'gone' : 'refused')
      }
    }
  })
  return withdrawn
}

async function each<One>(all: readonly One[], act: (batch: One[]) => Promise<void>): Promise<void> {
  for (let from = 0; from < all.length; from += BATCH_MAX) await act(all.slice(from, from + BATCH_MAX))
}

function grouped<One, Key>(all: readonly One[], keyOf: (one: One) => Key): Map<Key, One[]> {
  const groups = new Map<Key, One[]>()
  for (const one of all) {
    const group = groups.get(keyOf(one))
    if (group === undefined) groups.set(keyOf(one), [one])
    else group.push(one)
  }
  return groups
}

/** Users who are deactivated, gone, or were admins (1) and are no more. */
function readUsers(run: Run, keys: readonly (readonly [id: number, isAdmin: number])[]) {
  return run(
    `select held.id, held.is_admin from unnest($1::int[], $2::int[]) as held(id, is_admin)
     left join users u on u.id = held.id
     where u.is_active is not true or (held.is_admin = 1 and u.role <> 'admin')`,
    [column(keys, ([id]) => id), column(keys, ([, isAdmin]) => isAdmin)],
  )
}

/** A user and who that is at an issuer, as the database is asked for it. */
function placeOf(userId: number, { issuer, sub }: Provider): string {
  return JSON.stringify([userId, issuer, sub])
}

/** Those that are so no more. */
function readProviders(run: Run, places: readonly string[]) {
  return run(
    `select held.place from jsonb_array_elements_text($1::text::jsonb) as held(place)
     where not exists (
       select from user_providers p
       where p.issuer = held.place::jsonb ->> 1 and p.subject = held.place::jsonb ->> 2
         and p.user_id = (held.place::jsonb ->> 0)::int
     )`,
    [JSON.stringify(places)],
  )
}

/** Shares that were ended, have expired, or whose owner is deactivated. */
function readShares(run: Run, ids: readonly number[], nowMs: number) {
  return run(
    `select held.id from unnest($1::int[]) as held(id)
     left join shares s on s.id = held.id left join users u on u.id = s.user_id
     where u.is_active is not true or s.ended_at is not null
        or s.expires_at <= to_timestamp($2::float8 / 1000)`,
    [column(ids, (id) => id), nowMs],
  )
}

/** Devices that are deleted or deactivated (gone), or have another key, or whose owner is deactivated. */
function readDevices(run: Run, grants: readonly DeviceGrant[]) {
  return run(
    `select held.id, (d.id is null or d.deleted_at is not null or not d.is_active) as is_gone
     from unnest($1::int[], $2::varchar[]) as held(id, mark)
     left join devices d on d.id = held.id left join users u on u.id = d.user_id
     where d.deleted_at is not null or d.is_active is not true or u.is_active is not true
        or left(d.device_key_hash, ${KEY_MARK_CHARS}) is distinct from held.mark`,
    [
      column(grants, ({ deviceId }) => deviceId),
      hexes(grants.map(({ keyHash }) => keyHash.slice(0, KEY_MARK_CHARS))),
    ],
  )
}
