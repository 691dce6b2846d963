/** Retention, seen from outside: what is too old is refused and deleted, all else stays, while devices go on writing. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { describeOnEachDatabase } from '../rig/eachDatabase.ts'
import { startHub, type TestHub } from '../rig/hub.ts'
import { createPostgres } from '../rig/kinds.ts'
import { POINTS, pointsFrame, SESSION, SUB } from '../rig/points.ts'
import { postgresMissing } from '../rig/sharedPostgres.ts'
import { until } from '../rig/until.ts'
import { welcomedDevice, welcomedViewer } from '../rig/welcomed.ts'

const DAY_MS = 24 * 3_600_000
const HOUR_MS = 3_600_000
/** Several starts of the embedded database, and many small statements with rests between. */
const GIVE_UP_MS = 600_000
const RETENTION = {
  ALZY_RETENTION_DAYS: '10',
  ALZY_RETENTION_SWEEP_MS: '200',
  // Few, so that there are many statements between which the writer has its turn.
  ALZY_RETENTION_ROWS_MAX: '7',
}
const [START, PAUSED, END] = [0, 1, 3]

/** Frames of one device; each resolves with what was rejected, once it is acknowledged. */
async function sender(hub: TestHub, device: { deviceKey: string }) {
  const socket = await welcomedDevice(hub.ws, device)
  let seq = 0
  return { ...socket, send }

  async function send(frame: (seq: number) => unknown[]): Promise<unknown[]> {
    seq += 1
    const own = seq
    socket.send(frame(own))
    const { rejected } = await socket.ack(own)
    return rejected.filter(([of]) => of === own).map(([, index, reason]) => [index, reason])
  }
}

/** Retention has been through with everything that was there when this was called. */
async function swept(hub: TestHub): Promise<void> {
  const from = Date.now()
  // The second one began after the first was through.
  for (let i = 0; i < 2; i++) {
    const last = Math.max(from, await hub.metric('alzy_retention_finished_ms'))
    await until(
      async () => (await hub.metric('alzy_retention_finished_ms')) > last,
      'retention is through',
      60_000,
    )
  }
}

describeOnEachDatabase('retention', { ALZY_SESSION_SWEEP_MS: '200' }, (on) => {
  test('deletes what is older and nothing else, while a device goes on writing', {
    timeout: GIVE_UP_MS,
  }, async () => {
    const now = Date.now()
    const user = await on.hub.addUser()
    const [old, busy] = [await on.hub.addDevice(user, 'Old'), await on.hub.addDevice(user, 'Busy')]
    const quiet = await on.hub.addDevice(user, 'Quiet')
    const [ended, empty, running] = [now - 20 * DAY_MS, now - 18 * DAY_MS, now - 15 * DAY_MS]
    const past = await sender(on.hub, old)
    await past.send((seq) => [SESSION, seq, ended, START, ended])
    for (let i = 0; i < 5; i++) await past.send((seq) => pointsFrame(seq, ended + i * HOUR_MS, 40, ended))
    await past.send((seq) => [SESSION, seq, ended, END, ended + 5 * HOUR_MS])
    // It has no points, but goes on: somebody paused it an hour ago.
    await past.send((seq) => [SESSION, seq, empty, START, empty])
    await past.send((seq) => [SESSION, seq, empty, PAUSED, now - HOUR_MS])
    await past.send((seq) => [SESSION, seq, running, START, running])
    await past.send((seq) => pointsFrame(seq, running, 40, running))
    // So lately that it is not idle yet, however long this test takes.
    await past.send((seq) => pointsFrame(seq, now - 12 * HOUR_MS, 40, running))
    await past.close()
    const silent = await sender(on.hub, quiet)
    await silent.send((seq) => pointsFrame(seq, now - 12 * DAY_MS, 40))
    expect(await silent.send((seq) => [POINTS, seq, null, now + 2 * DAY_MS, [[0, 1, 1]]])).toEqual([[0, 2]])
    await silent.close()
    await until(
      async () => (await on.hub.metric('alzy_points_stored_total')) === 320,
      'all points are stored',
    )
    await on.rows(`update rejected_points set received_at = received_at - interval '20 days'`)

    await on.restart(RETENTION)
    const live = await sender(on.hub, busy)
    let frames = 0
    const isDone = () => on.hub.metric('alzy_points_expired_total').then((count) => count >= 280)
    // From before the first deletion to after the last one; whatever is acknowledged has to be there.
    for (let after = 0; after < 10; frames++) {
      expect(await live.send((seq) => pointsFrame(seq, now + frames * 10))).toEqual([])
      if (after > 0 || (frames % 5 === 0 && (await isDone()))) after += 1
    }
    // The session of the quiet device is automatic: it can go only once the hub has found it idle and ended it.
    const areSessionsGone = async () => (await on.hub.metric('alzy_sessions_expired_total')) >= 2
    await until(areSessionsGone, 'both old sessions to be gone', 60_000)
    await swept(on.hub)
    expect(await on.hub.metric('alzy_points_expired_total')).toBe(280)
    expect(await on.hub.metric('alzy_rejected_points_expired_total')).toBe(1)
    expect(await on.hub.metric('alzy_sessions_expired_total')).toBe(2)

    const viewer = await welcomedViewer(on.hub.ws, user)
    viewer.send([SUB])
    const devices = await viewer.snapshot()
    const lastOf = (id: number) => devices.find(([deviceId]) => deviceId === id)![9] as unknown[] | null
    expect(lastOf(quiet.id) ?? null).toBeNull()
    expect(lastOf(old.id)?.slice(0, 3)).toEqual([running, 'active', now - 12 * HOUR_MS + 39_000])
    await viewer.close()
    await live.close()

    const left = await on.rows(
      `select device_id as id, count(*)::int as count, min(recorded_at) as first from points group by 1 order by 1`,
    )
    expect(left.map(({ id, count }) => [id, count])).toEqual([
      [old.id, 40],
      [busy.id, frames],
    ])
    const sessions = await on.rows(
      `select device_id as id, (extract(epoch from started_at) * 1000)::float8 as started from sessions
       where device_id <> $1::int order by id`,
      [busy.id],
    )
    expect(sessions).toEqual([
      { id: old.id, started: empty },
      { id: old.id, started: running },
    ])
    expect(await on.rows('select count(*)::int as count from rejected_points')).toEqual([{ count: 0 }])
  })

  test('refuses what is older with reason 3, and keeps the rest of the frame', {
    timeout: GIVE_UP_MS,
  }, async () => {
    await on.restart(RETENTION)
    const now = Date.now()
    const device = await on.hub.addDevice(await on.hub.addUser())
    const socket = await sender(on.hub, device)
    const point = (ms: number) => [ms - now, 525_200_000, 134_050_000]
    const times = [now - 20 * DAY_MS, now - 10 * DAY_MS - HOUR_MS, now - 10 * DAY_MS + HOUR_MS, now]
    expect(await socket.send((seq) => [POINTS, seq, null, now, times.map(point)])).toEqual([
      [0, 3],
      [1, 3],
    ])
    const session = now - 11 * DAY_MS
    expect(await socket.send((seq) => pointsFrame(seq, now + 1, 1, session))).toEqual([[-1, 3]])
    expect(await socket.send((seq) => [SESSION, seq, session, START, session])).toEqual([[-1, 3]])
    expect(await socket.send((seq) => [SESSION, seq, now, START, session])).toEqual([[-1, 3]])
    expect(await on.hub.metric('alzy_points_rejected_too_old_total')).toBe(3)
    await swept(on.hub)
    await socket.close()
    const [row] = await on.rows(
      `select (select count(*)::int from points where device_id = $1::int) as points,
              (select count(*)::int from rejected_points where device_id = $1::int and reason = 3) as rejected`,
      [device.id],
    )
    // What was refused for its age is kept for a person to look at.
    expect(row).toEqual({ points: 2, rejected: 3 })
  })

  test('lets a trip go on that began before the limit', { timeout: GIVE_UP_MS }, async () => {
    await on.restart()
    const now = Date.now()
    const began = now - 30 * DAY_MS
    const device = await on.hub.addDevice(await on.hub.addUser())
    const before = await sender(on.hub, device)
    await before.send((seq) => [SESSION, seq, began, START, began])
    await before.send((seq) => pointsFrame(seq, now - 1_000, 1, began))
    await before.close()
    await on.restart(RETENTION)
    const socket = await sender(on.hub, device)
    expect(await socket.send((seq) => pointsFrame(seq, now, 1, began))).toEqual([])
    expect(await socket.send((seq) => [SESSION, seq, began, END, now + 1])).toEqual([])
    expect(await socket.send((seq) => pointsFrame(seq, now + 2, 1, began))).toEqual([[-1, 3]])
    await swept(on.hub)
    await socket.close()
    const rows = await on.rows(
      `select s.status, count(p.id)::int as points from sessions s join points p on p.session_id = s.id
       where s.device_id = $1::int group by s.id`,
      [device.id],
    )
    expect(rows).toEqual([{ status: 'ended', points: 2 }])
  })
})

const run = promisify(execFile)
const missing = postgresMissing === null ? '' : ` (${postgresMissing})`

describe.skipIf(missing !== '')(`retention of partitioned points${missing}`, () => {
  test('deletes what is older from whatever table it is in', { timeout: GIVE_UP_MS }, async () => {
    const database = await createPostgres()
    let hub = await startHub({ database })
    const now = Date.now()
    const device = await hub.addDevice(await hub.addUser())
    const first = await sender(hub, device)
    await first.send((seq) => pointsFrame(seq, now - 40 * DAY_MS, 40))
    await first.send((seq) => pointsFrame(seq, now - 20 * DAY_MS, 40))
    await first.send((seq) => pointsFrame(seq, now - DAY_MS, 40))
    await first.close()
    const step = fileURLToPath(new URL('../../sql/scale/partition_points.sql', import.meta.url))
    await run('psql', [database.env.DATABASE_URL!, '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', step])
    await hub.end()
    hub = await startHub({ database, env: { ...RETENTION, ALZY_SESSION_SWEEP_MS: '200' } })
    await until(
      async () => (await hub.metric('alzy_points_expired_total')) === 80,
      'they are deleted',
      60_000,
    )
    const second = await sender(hub, device)
    expect(await second.send((seq) => pointsFrame(seq, now, 1))).toEqual([])
    await swept(hub)
    await second.close()
    expect(await hub.metric('alzy_sessions_expired_total')).toBe(2)
    expect(await hub.end()).toBe(0)
    const [indexes] = await database.query(
      `select count(*)::int as count from pg_index where indrelid = 'points'::regclass
       and indexrelid = 'points_session'::regclass and indisvalid`,
    )
    expect(indexes).toEqual({ count: 1 })
    expect(await database.query('select count(*)::int as count from points')).toEqual([{ count: 41 }])
    await database.drop()
  })
})
