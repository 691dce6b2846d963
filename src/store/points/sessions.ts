/**
 * The statements that write sessions. A session is created by (device, start), changed by its id, and each
 * statement lets the later op win, so that repeating one or reordering two hubs' is harmless.
 */
import {
  confirm,
  forgetId,
  isUnstored,
  type Session,
  SHIFT_MS_MAX,
  type StoredSession,
} from '../../core/sessions.ts'
import type { SessionStatus } from '../../protocol/messages.ts'
import { column, words } from '../line/arrays.ts'
import type { Result, Run } from '../line/run.ts'
import { LAST_POINT, LAST_POINT_ROWS_MAX, NEWEST, readLastPoints } from './lastPoints.ts'

/** The columns of a StoredSession. The op's number rides in the microseconds of `updated_at`. */
const COLUMNS = (s: string) => `
  ${s}.id, ${s}.device_id, ${s}.status,
  (extract(epoch from ${s}.started_at) * 1000)::float8 as started_ms,
  floor(extract(epoch from ${s}.updated_at) * 1000)::float8 as status_ms,
  (extract(microseconds from ${s}.updated_at)::bigint % 1000)::int as status_op,
  (extract(epoch from ${s}.ended_at) * 1000)::float8 as ended_ms`

/** What the database has already for points without a session: an automatic one with a point within the gap. */
const FIND_AUTOMATIC = `
select g.i, exists (select from automatic_sessions a where a.session_id = s.id) as automatic, ${COLUMNS('s')}
from unnest($1::int[], $2::int[], $3::float8[]) as g(i, device_id, started_ms)
cross join lateral (
  (select p.session_id, to_timestamp(g.started_ms / 1000) - p.recorded_at as gap
   from points p join automatic_sessions a on a.session_id = p.session_id
   where p.device_id = g.device_id and p.recorded_at <= to_timestamp(g.started_ms / 1000)
     and p.recorded_at >= to_timestamp((g.started_ms - $4::float8) / 1000)
   order by p.recorded_at desc limit 1)
  union all
  (select p.session_id, p.recorded_at - to_timestamp(g.started_ms / 1000)
   from points p join automatic_sessions a on a.session_id = p.session_id
   where p.device_id = g.device_id and p.recorded_at >= to_timestamp(g.started_ms / 1000)
     and p.recorded_at <= to_timestamp((g.started_ms + $4::float8) / 1000)
   order by p.recorded_at limit 1)
  order by gap limit 1
) near
join sessions s on s.id = near.session_id and s.device_id = g.device_id`

/** What the database has already of sessions that devices named. */
const FIND_NAMED = `
select g.i, exists (select from automatic_sessions a where a.session_id = s.id) as automatic, ${COLUMNS('s')}
from unnest($1::int[], $2::int[], $3::float8[]) as g(i, device_id, started_ms)
join sessions s on s.device_id = g.device_id and s.started_at = to_timestamp(g.started_ms / 1000)`

const GIVEN = `
given as (
  select i, id, device_id, user_id, automatic = 1 as automatic, status,
         to_timestamp(started_ms / 1000) as started_at,
         to_timestamp(ended_ms / 1000) as ended_at,
         to_timestamp(last_ms / 1000) as last_at,
         timestamptz 'epoch' + status_us * interval '1 microsecond' as updated_at
  from unnest($1::int[], $2::int[], $3::int[], $4::int[], $5::int[], $6::session_status[], $7::float8[], $8::float8[],
              $9::bigint[], $10::float8[])
       as u(i, id, device_id, user_id, automatic, status, started_ms, ended_ms, status_us, last_ms)
)`

const CREATE = `
with ${GIVEN},
kept as (
  insert into sessions as s (device_id, user_id, status, started_at, ended_at, updated_at)
  select device_id, user_id, status, started_at, ended_at, updated_at from given order by device_id, started_at
  on conflict (device_id, started_at) do update set
    status = case when s.status <> 'ended' and excluded.updated_at > s.updated_at
                  then excluded.status else s.status end,
    -- The end of what has ended is moved by points alone.
    ended_at = case when s.status = 'ended'
                    then greatest(s.ended_at, (select g.last_at from given g where g.device_id = excluded.device_id
                                               and g.started_at = excluded.started_at))
                    when excluded.status = 'ended' and excluded.updated_at > s.updated_at
                    then excluded.ended_at end,
    updated_at = case when s.status <> 'ended' then greatest(s.updated_at, excluded.updated_at)
                      else s.updated_at end
  returning s.*, xmax = 0 as is_new
),
marked as (
  insert into automatic_sessions (session_id)
  select k.id from kept k join given g using (device_id, started_at) where g.automatic and k.is_new
  on conflict do nothing
),
claimed as (
  delete from automatic_sessions a using kept k join given g using (device_id, started_at)
  where a.session_id = k.id and not g.automatic
)
select g.i, g.automatic and (k.is_new or exists (select from automatic_sessions a where a.session_id = k.id))
         as automatic, k.is_new, ${COLUMNS('k')}
from kept k join given g using (device_id, started_at)`

/**
 * Where a session can start that has a point as early as that. The moment itself may be another session's start, and so is
 * the point of it: what is left of this one is later. A name that a device gave is exact.
 */
const FREE_START = `(
  select min(g.started_at + n * interval '1 millisecond')
  from generate_series(0, case when g.automatic then ${SHIFT_MS_MAX} else 0 end) as n
  where not exists (select from sessions o where o.device_id = s.device_id and o.id <> s.id
                    and o.started_at = g.started_at + n * interval '1 millisecond'))`

/** Only what no device has claimed moves, and only back. */
const IS_MOVED = `(
  g.started_at < s.started_at
  and exists (select from automatic_sessions a where a.session_id = s.id)
  and ${FREE_START} < s.started_at)`

/** What has moved has been active since its new start, so a device that claims it may have paused it before the old one. */
const DECIDED_AT = `case when ${IS_MOVED} then ${FREE_START} else s.updated_at end`

const CHANGE = `
with ${GIVEN},
kept as (
  update sessions s set
    started_at = case when ${IS_MOVED} then ${FREE_START} else s.started_at end,
    status = case when s.status <> 'ended' and g.updated_at > ${DECIDED_AT} then g.status else s.status end,
    ended_at = case when s.status = 'ended' then greatest(s.ended_at, g.last_at)
                    when g.status = 'ended' and g.updated_at > ${DECIDED_AT} then g.ended_at end,
    updated_at = case when s.status = 'ended' then s.updated_at
                      else greatest(${DECIDED_AT}, g.updated_at) end
  from given g
  where s.id = g.id and s.device_id = g.device_id
    -- What its device has named is the session that starts then, and no other.
    and (g.automatic or s.started_at = g.started_at or ${IS_MOVED})
  returning s.*, g.i, g.automatic
),
claimed as (
  delete from automatic_sessions a using kept k where a.session_id = k.id and not k.automatic
)
select k.i, k.automatic and exists (select from automatic_sessions a where a.session_id = k.id) as automatic,
       ${COLUMNS('k')}
from kept k`

/**
 * Writes what the store has yet to learn of these sessions and tells them what it found. Afterwards each has
 * an id. Resolves once committed; rejects with the database's error.
 */
export async function saveSessions(
  run: Run,
  sessions: readonly Session[],
  sessionGapMs: number,
): Promise<void> {
  const unmade = () => sessions.filter((session) => session.id === 0)
  const unstored = () => sessions.filter((session) => session.id !== 0 && isUnstored(session))
  // It may have points that nobody here has seen, and must not end before them.
  await find(
    run,
    FIND_NAMED,
    unmade().filter((session) => !session.automatic && session.status === 'ended'),
  )
  await readLastPoints(run, sessions.filter(hasUnknownEnd))
  // A start that has moved makes room for the session that begins there.
  await write(run, CHANGE, unstored())
  await write(
    run,
    CREATE,
    unmade().filter((session) => !session.automatic),
  )
  // Only now: what a device has claimed is nobody's neighbour any more.
  await find(
    run,
    FIND_AUTOMATIC,
    unmade().filter((session) => session.automatic),
    [sessionGapMs],
  )
  await readLastPoints(run, sessions.filter(hasUnknownEnd))
  await write(run, CHANGE, unstored())
  await write(run, CREATE, unmade())
  // What was found may have changed them: an end that nobody here knew, and that their points have moved.
  await readLastPoints(run, sessions.filter(hasUnknownEnd))
  await write(run, CHANGE, unstored())
}

function hasUnknownEnd(session: Session): boolean {
  return session.id !== 0 && session.status === 'ended' && !session.isLastKnown
}

async function find(
  run: Run,
  statement: string,
  sessions: readonly Session[],
  parameters: readonly number[] = [],
): Promise<void> {
  if (sessions.length === 0) return
  const found = await run(statement, [
    column([...sessions.keys()], (i) => i),
    column(sessions, (session) => session.deviceId),
    column(sessions, (session) => session.startedMs),
    ...parameters,
  ])
  // Revision 0: nothing of ours is written yet, the change follows.
  for (const row of found) confirm(sessions[row.i as number]!, storedSession(row), 0)
}

async function write(run: Run, statement: string, sessions: readonly Session[]): Promise<void> {
  for (let left = sessions; left.length > 0; ) {
    // Two of a hub may be one row, which a statement can change but once.
    const rows = new Map(
      left.map((session) => [session.id || `${session.deviceId} ${session.startedMs}`, session]),
    )
    const part = [...rows.values()]
    left = left.filter((session) => !part.includes(session))
    const revisions = part.map((session) => session.revision)
    const result = await run(statement, sessionParameters(part))
    const isFound = confirmAll(result, part, revisions)
    part.forEach((session, i) => {
      if (!isFound[i]) forgetId(session)
    })
  }
}

function confirmAll(result: Result, sessions: readonly Session[], revisions: number[]): boolean[] {
  const isFound = sessions.map(() => false)
  for (const row of result) {
    const i = row.i as number
    isFound[i] = true
    confirm(sessions[i]!, storedSession(row), revisions[i]!, row.is_new === true)
  }
  return isFound
}

function sessionParameters(sessions: readonly Session[]): string[] {
  return [
    column([...sessions.keys()], (i) => i),
    column(sessions, (session) => session.id),
    column(sessions, (session) => session.deviceId),
    column(sessions, (session) => session.userId),
    column(sessions, (session) => (session.automatic ? 1 : 0)),
    words(sessions.map((session) => session.status)),
    column(sessions, (session) => session.startedMs),
    column(sessions, (session) => session.endedMs),
    column(sessions, (session) => session.statusMs * 1000 + session.statusOp),
    column(sessions, (session) => (Number.isFinite(session.lastMs) ? session.lastMs : null)),
  ]
}

/** A row of COLUMNS. */
export function storedSession(row: Record<string, unknown>): StoredSession {
  return {
    id: row.id as number,
    startedMs: row.started_ms as number,
    automatic: row.automatic as boolean,
    status: row.status as SessionStatus,
    statusMs: row.status_ms as number,
    statusOp: row.status_op as number,
    endedMs: row.ended_ms as number | null,
  }
}

const IS_OPEN = `r.status <> 'ended'`

const READ_RECENT = `
select r.*, exists (select from automatic_sessions a where a.session_id = r.id) as automatic,
       (extract(epoch from last.recorded_at) * 1000)::float8 as last_ms,
       (extract(epoch from last.received_at) * 1000)::float8 as touched_ms,
       case when last.recorded_at is null
            then (select count(*) from (${NEWEST('q.device_id', 'r', IS_OPEN)}) newest) < ${LAST_POINT_ROWS_MAX}
            else true end as is_last_known
from unnest($1::int[]) as q(device_id)
cross join lateral (
  select s.user_id, s.started_at, ${COLUMNS('s')} from sessions s
  where s.id in (
    (select id from sessions o where o.device_id = q.device_id and o.status <> 'ended'
     order by o.started_at desc limit $2::int)
    union
    (select id from sessions o where o.device_id = q.device_id order by o.started_at desc limit $2::int)
  )
) r
left join lateral (
  ${LAST_POINT('q.device_id', 'r', IS_OPEN)}
) last on true`

/** The sessions of each device that are open or started last, up to `perDeviceMax` of each kind. */
export async function readRecentSessions(
  run: Run,
  deviceIds: readonly number[],
  perDeviceMax: number,
): Promise<Session[]> {
  const rows = await run(READ_RECENT, [column(deviceIds, (id) => id), perDeviceMax])
  return rows.map((row) => {
    const stored = storedSession(row)
    // An automatic session was made for a point at its start, whether or not that got here.
    const lastMs =
      (row.last_ms as number | null) ??
      stored.endedMs ??
      (stored.automatic ? stored.startedMs : Number.NEGATIVE_INFINITY)
    return {
      ...stored,
      deviceId: row.device_id as number,
      userId: row.user_id as number,
      firstMs: lastMs === Number.NEGATIVE_INFINITY ? Number.POSITIVE_INFINITY : stored.startedMs,
      lastMs,
      isLastKnown: row.is_last_known as boolean,
      touchedMs: (row.touched_ms as number | null) ?? stored.statusMs,
      isCounted: true,
      revision: 1,
      storedRevision: 1,
      siblings: [],
    }
  })
}
