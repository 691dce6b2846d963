/** A server that kills, blocks or refuses: the writer waits, tries again, stores each point once, and says so. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openStore, type Store } from '../../../src/store/open/store.ts'
import { HOUR_MS, NOW_MS } from '../../core/frames.ts'
import { until } from '../../rig/until.ts'
import { addDevice, sessionsOf, timesOf } from '../eachStore.ts'
import { describeOnPostgres, hubActivity, killHub, serverOptions } from '../onPostgres.ts'
import { insertsPoints, startWriting } from '../writing.ts'

const T = NOW_MS - 6 * HOUR_MS
const KILLS = 40

describeOnPostgres('a writer', (on) => {
  let store: Store

  beforeAll(async () => {
    // Time enough to see the writer wait, and for the server to give a statement up before the watchdog does.
    const { options } = serverOptions(on.database.url, { writeTimeoutMs: 8_000 })
    store = await openStore(options, new AbortController().signal)
  })

  afterAll(() => store?.close())

  /** So that no lane meets a connection that was lost before. */
  async function connectAgain(): Promise<void> {
    for (const run of [store.read, ...store.writes])
      await until(() => run('select'), 'the hub connects again')
  }

  test(`whose backends are killed ${KILLS} times stores every point once`, async () => {
    const writing = startWriting({ runs: store.writes })
    const devices = await Promise.all(Array.from({ length: 6 }, () => addDevice(store.read)))
    let kills = 0
    // Each device sends its next frame when the last one is stored, so that there is always something to kill.
    const counts = await Promise.all(
      devices.map(async (device) => {
        let frames = 0
        for (; kills < KILLS || frames < 2; frames++) {
          const times = Array.from({ length: 100 }, (_, i) => T + frames * 100 + i)
          const { stored, kept } = writing.send(device, times, frames % 2 === 0 ? T - HOUR_MS : null)
          if (device === devices[0]) kills += await killHub(on)
          await stored
          expect(kept.rejected).toEqual([])
        }
        return frames * 100
      }),
    )
    expect(kills).toBeGreaterThanOrEqual(KILLS)
    expect(writing.retries).toBeGreaterThan(0)
    expect(await writing.writer.stop(10_000)).toBe(true)
    for (const [i, device] of devices.entries()) {
      expect(await timesOf(store.read, device)).toEqual(Array.from({ length: counts[i]! }, (_, at) => T + at))
      expect(await sessionsOf(store.read, device)).toMatchObject([
        { startedMs: T - HOUR_MS, automatic: false },
      ])
    }
    expect(writing.broken).toEqual([])
    expect(writing.writer.awayLanes).toBe(0)
    for (const lane of [1, 2]) {
      const away = writing.away.filter((one) => one.lane === lane).length
      expect(writing.back.filter((one) => one === lane)).toHaveLength(away)
    }
  })

  describe('that has to wait for a lock', () => {
    test('says once that the database is away and once that it is back, and reports nothing between', async () => {
      const writing = startWriting({ runs: store.writes })
      const device = await addDevice(store.read)
      await writing.send(device, [T], T).stored
      await on.outsider.runScript('begin; lock table points in access exclusive mode')
      const { stored } = writing.send(device, [T + 1, T + 2], T)
      await until(async () => (await hubActivity(on)).some(isWaiting), 'the writer waits for the lock')
      expect(writing.reported).toHaveLength(1)
      await until(() => writing.retries >= 2, 'the server gives up its statement twice')
      expect(writing.reported).toHaveLength(1)
      expect(writing.away).toMatchObject([{ code: '55P03' }])
      expect(writing.writer.awayLanes).toBe(1)
      expect(writing.back).toEqual([])
      await on.outsider.runScript('commit')
      await stored
      expect(await timesOf(store.read, device)).toEqual([T, T + 1, T + 2])
      expect(writing.away).toHaveLength(1)
      expect(writing.back).toEqual([writing.away[0]!.lane])
      await writing.writer.stop(10_000)
    })

    test('tries again when its statement is cancelled', async () => {
      const writing = startWriting({ runs: store.writes })
      const device = await addDevice(store.read)
      await writing.send(device, [T], T).stored
      await on.outsider.runScript('begin; lock table points in access exclusive mode')
      const { stored } = writing.send(device, [T + 1], T)
      await until(async () => (await hubActivity(on)).some(isWaiting), 'the writer waits for the lock')
      await on.outsider.run(
        `select pg_cancel_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'alzy' and wait_event_type = 'Lock'`,
      )
      await until(() => writing.away.length > 0, 'the writer hears of it')
      expect(writing.away).toMatchObject([{ code: '57014' }])
      await on.outsider.runScript('commit')
      await stored
      expect(await timesOf(store.read, device)).toEqual([T, T + 1])
      await writing.writer.stop(10_000)
    })

    test('leaves the other lane alone, where the lock is on a row of its own', async () => {
      const writing = startWriting({ runs: store.writes })
      const devices = [await addDevice(store.read), await addDevice(store.read)]
      await on.outsider.runScript(`begin; select from devices where id = ${devices[0]!.id} for update`)
      const blocked = writing.send(devices[0]!, [T], T)
      await until(async () => (await hubActivity(on)).some(isWaiting), 'one lane waits')
      for (let i = 0; i < 5; i++) await writing.send(devices[1]!, [T + i], T).stored
      expect(await timesOf(store.read, devices[1]!)).toHaveLength(5)
      expect(writing.reported.every(({ device }) => device === devices[1])).toBe(true)
      await on.outsider.runScript('rollback')
      await blocked.stored
      expect(await timesOf(store.read, devices[0]!)).toEqual([T])
      await writing.writer.stop(10_000)
    })
  })

  test('ends a statement on the server that runs for too long, and tries again', async () => {
    const writing = startWriting({ runs: store.writes })
    const device = await addDevice(store.read)
    await on.outsider.runScript(`
      create function crawl() returns trigger language plpgsql as 'begin perform pg_sleep(60); return new; end';
      create trigger crawl before insert on points for each row execute function crawl()`)
    const { stored } = writing.send(device, [T], T)
    await until(() => writing.away.length > 0, 'the statement is given up')
    expect(writing.away).toMatchObject([{ code: '57014' }])
    await on.outsider.runScript('drop trigger crawl on points; drop function crawl')
    await stored
    expect(await timesOf(store.read, device)).toEqual([T])
    await writing.writer.stop(10_000)
  })

  test('writes less at once when a batch is too much for the database', async () => {
    const { options } = serverOptions(on.database.url, { writeTimeoutMs: 500 })
    const slow = await openStore(options, new AbortController().signal)
    const writing = startWriting({ runs: slow.writes })
    const device = await addDevice(store.read)
    await writing.send(device, [T], T).stored
    await on.outsider.runScript(`
      create function crawl() returns trigger language plpgsql as 'begin perform pg_sleep(0.02); return new; end';
      create trigger crawl before insert on points for each row execute function crawl()`)
    const times = Array.from({ length: 40 }, (_, i) => T + 1 + i)
    const { stored, kept } = writing.send(device, times, T)
    await stored
    await on.outsider.runScript('drop trigger crawl on points; drop function crawl')
    // The server gave it up, or, where this machine was busy, the watchdog did before the word of that came.
    expect(writing.away.length).toBeGreaterThan(0)
    for (const { code } of writing.away) expect(['57014', 'WATCHDOG']).toContain(code)
    expect([kept.rejected, writing.broken]).toEqual([[], []])
    expect(await timesOf(store.read, device)).toEqual([T, ...times])
    expect(writing.batches.at(-1)).toMatchObject({ rows: 40, inserted: 40 })
    await writing.writer.stop(10_000)
    await slow.close()
  })

  test('rejects nothing when another hub makes a session where one was to begin', async () => {
    const writing = startWriting({ runs: store.writes })
    const device = await addDevice(store.read)
    await writing.send(device, [T]).stored
    await on.outsider.runScript(`begin; insert into sessions (device_id, user_id, started_at, updated_at)
      select ${device.id}, ${device.userId}, at, at from to_timestamp(${T - 1_000} / 1000.0) as at`)
    const { stored, kept } = writing.send(device, [T - 1_000])
    await until(async () => (await hubActivity(on)).some(isWaiting), 'the writer waits for the other hub')
    await on.outsider.runScript('commit')
    await stored
    expect(kept.rejected).toEqual([])
    expect(await timesOf(store.read, device)).toEqual([T - 1_000, T])
    expect(await sessionsOf(store.read, device)).toMatchObject([
      { startedMs: T - 1_000, automatic: false, firstMs: null },
      { startedMs: T - 999, automatic: true, firstMs: T - 1_000 },
    ])
    expect(await writing.writer.stop(10_000)).toBe(true)
    expect([writing.away, writing.broken]).toEqual([[], []])
  })

  describe('whose database is read-only', () => {
    test.each([
      ['when its connections are made anew', true],
      ['on the connection that it has', false],
    ])('waits, and goes on %s', async (_, killsAgain) => {
      const writing = startWriting({ runs: store.writes })
      const device = await addDevice(store.read)
      const readOnly = `alter database "${on.database.name}" set default_transaction_read_only`
      await on.outsider.run(`${readOnly} = on`)
      expect(await killHub(on)).toBeGreaterThan(0)
      await connectAgain()
      const { stored } = writing.send(device, [T], T)
      await until(() => writing.retries > 2, 'the writer is refused')
      await on.outsider.run(`${readOnly} = off`)
      if (killsAgain) await killHub(on)
      const goesOn = until(() => writing.reported.length > 0, 'the writer goes on')
      // Whatever came of it, the tests that follow need connections that can write.
      await goesOn.catch(() => killHub(on)).then(() => stored)
      await killHub(on)
      await connectAgain()
      await writing.writer.stop(10_000)
      await goesOn
      expect(writing.away.map(({ code }) => code)).toEqual(['25006'])
      expect(writing.back).toHaveLength(1)
      expect(await timesOf(store.read, device)).toEqual([T])
    })
  })

  test('stops for good, and reports nothing, when its own statement is wrong', async () => {
    const writing = startWriting({ runs: store.writes })
    const device = await addDevice(store.read)
    await writing.send(device, [T], T).stored
    await on.outsider.run('alter table points rename column heading to course')
    writing.send(device, [T + 1], T)
    writing.send(device, [T + 2], T)
    await until(() => writing.broken.length > 0, 'the writer meets the fault')
    writing.send(device, [T + 3], T)
    await on.outsider.run('alter table points rename column course to heading')
    expect(await writing.writer.stop(100)).toBe(false)
    expect(writing.broken).toMatchObject([{ code: '42703' }])
    expect(writing.reported.map(({ kept }) => kept.values[0])).toEqual([T])
    expect(writing.backlog.points).toBe(3)
    expect([writing.away, writing.retries]).toEqual([[], 0])
    expect(await timesOf(store.read, device)).toEqual([T])
  })
})

function isWaiting({ waitsFor, query }: { waitsFor: string | null; query: string }): boolean {
  return waitsFor === 'Lock' && (insertsPoints(query) || /insert into sessions|update sessions/.test(query))
}
