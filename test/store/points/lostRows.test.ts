/** Rows that the hub believes in and the database has lost, as after a failover to a replica that was behind. */
import { describe, expect, test } from 'vitest'
import type { Device } from '../../../src/core/device.ts'
import { HOUR_MS, MINUTE_MS, NOW_MS } from '../../core/frames.ts'
import { describeOnEachStore, lettersOf, pointsOf, sessionsOf, timesOf } from '../eachStore.ts'
import { createTap, insertsPoints, startWriting, writingTo } from '../writing.ts'

const FOREIGN_KEY = '23503'
const [PAUSE, END] = [1, 3] as const
const T = NOW_MS - 6 * HOUR_MS

describeOnEachStore('the writer, when the database has lost', (on) => {
  async function lose(device: Device): Promise<void> {
    await on.store.read('delete from points where device_id = $1::int', [device.id])
    await on.store.read('delete from sessions where device_id = $1::int', [device.id])
  }

  async function loseDevice(device: Device): Promise<void> {
    await lose(device)
    await on.store.read('delete from devices where id = $1::int', [device.id])
  }

  describe('sessions,', () => {
    test('creates them again for the points that belong to them', () =>
      writingTo(on.store, async (writing) => {
        const [device, other] = [await on.addDevice(), await on.addDevice()]
        writing.sendOp(device, T, PAUSE, T + 5)
        writing.send(device, [T + 1], T)
        writing.send(device, [T + HOUR_MS], T + HOUR_MS)
        await writing.send(other, [T]).stored
        await writing.writer.stop(10_000)
        for (const one of [device, other]) await lose(one)

        const again = startWriting({ runs: on.store.writes })
        const sent = [
          again.send(device, [T + 2, T + 3], T),
          again.send(other, [T + 1]),
          again.send(device, [T + HOUR_MS + 1], T + HOUR_MS),
        ]
        await Promise.all(sent.map(({ stored }) => stored))
        expect(sent.flatMap(({ kept }) => kept.rejected)).toEqual([])
        const sessions = await sessionsOf(on.store.read, device)
        expect(sessions).toMatchObject([
          { startedMs: T, status: 'paused', automatic: false, firstMs: T + 2, lastMs: T + 3 },
          { startedMs: T + HOUR_MS, status: 'active', firstMs: T + HOUR_MS + 1 },
        ])
        expect(await sessionsOf(on.store.read, other)).toMatchObject([{ automatic: true, firstMs: T + 1 }])
        expect(await again.writer.stop(10_000)).toBe(true)
        expect([again.broken, again.away]).toEqual([[], []])
      }))

    test('stores what was lost with them when it is sent again, each point once', () =>
      writingTo(on.store, async (writing) => {
        const device = await on.addDevice()
        const times = Array.from({ length: 50 }, (_, i) => T + i * 1_000)
        await writing.send(device, times).stored
        await lose(device)
        await writing.send(device, times.slice(20)).stored
        await writing.send(device, times).stored
        expect(await timesOf(on.store.read, device)).toEqual(times)
        expect(await sessionsOf(on.store.read, device)).toMatchObject([{ startedMs: T, automatic: true }])
      }))

    test('creates one again whose op is the first thing that comes', () =>
      writingTo(on.store, async (writing) => {
        const device = await on.addDevice()
        await writing.send(device, [T + 1], T).stored
        await lose(device)
        await writing.sendOp(device, T, END, T + MINUTE_MS).stored
        expect(await sessionsOf(on.store.read, device)).toMatchObject([
          { startedMs: T, status: 'ended', endedMs: T + MINUTE_MS },
        ])
      }))

    test('that go between two statements of one batch, creates them again', async () => {
      const tap = createTap(on.store.writes[1]!)
      const writing = startWriting({ runs: [on.store.writes[0]!, tap.run] })
      const [device, other] = [await on.addDevice(), await on.addDevice()]
      let losses = 0
      tap.before = async (text) => {
        if (!insertsPoints(text) || losses > 0) return
        losses += 1
        await lose(device)
      }
      const sent = [writing.send(device, [T + 1, T + 2], T), writing.send(other, [T + 1], T)]
      await Promise.all(sent.map(({ stored }) => stored))
      expect(losses).toBe(1)
      expect(await timesOf(on.store.read, device)).toEqual([T + 1, T + 2])
      expect(await timesOf(on.store.read, other)).toEqual([T + 1])
      expect(sent.flatMap(({ kept }) => kept.rejected)).toEqual([])
      expect(await writing.writer.stop(10_000)).toBe(true)
    })
  })

  describe('a session, and has given its id to one of another device,', () => {
    async function idOf(device: Device): Promise<number> {
      return (await sessionsOf(on.store.read, device))[0]!.id
    }

    /** The session that `device` has at T; a new one of `other` has its id afterwards. */
    async function giveAway(device: Device, other: Device): Promise<number> {
      const id = await idOf(device)
      await lose(device)
      await on.store.read(
        `insert into sessions (id, device_id, user_id, started_at, updated_at)
         select $1::int, $2::int, $3::int, at, at from to_timestamp($4::float8 / 1000) as at`,
        [id, other.id, other.userId, T + MINUTE_MS],
      )
      return id
    }

    test.each([
      ['a session that it named', T],
      ['an automatic one', null],
    ])('makes another one for the points of %s', (_, session) =>
      writingTo(on.store, async (writing) => {
        const [device, other] = [await on.addDevice(), await on.addDevice()]
        await writing.send(device, [T], session).stored
        const id = await giveAway(device, other)
        const sent = [writing.send(device, [T + 1, T + 2], session), writing.send(device, [T + 3], session)]
        await Promise.all(sent.map(({ stored }) => stored))
        expect(sent.flatMap(({ kept }) => kept.rejected)).toEqual([])
        expect(await timesOf(on.store.read, device)).toEqual([T + 1, T + 2, T + 3])
        const sessions = await sessionsOf(on.store.read, device)
        expect(sessions).toMatchObject([{ automatic: session === null, firstMs: T + 1, lastMs: T + 3 }])
        expect(sessions[0]!.id).not.toBe(id)
        // Viewers have to be told.
        expect(writing.batches.at(-1)!.sessions.map((one) => one.id)).toEqual([sessions[0]!.id])
        expect(await sessionsOf(on.store.read, other)).toMatchObject([{ id, firstMs: null }])
      }),
    )

    test('changes nothing of that one with an op that is meant for the lost one', () =>
      writingTo(on.store, async (writing) => {
        const [device, other] = [await on.addDevice(), await on.addDevice()]
        await writing.send(device, [T], T).stored
        const id = await giveAway(device, other)
        await writing.sendOp(device, T, END, T + HOUR_MS).stored
        expect(await sessionsOf(on.store.read, other)).toMatchObject([{ id, status: 'active' }])
        expect(await sessionsOf(on.store.read, device)).toMatchObject([{ startedMs: T, status: 'ended' }])
      }))

    test('does not let anybody else put a point of one device into a session of another', async () => {
      const [device, other] = [await on.addDevice(), await on.addDevice()]
      await writingTo(on.store, async (writing) => {
        await Promise.all([device, other].map((one) => writing.send(one, [T], T).stored))
      })
      const id = await idOf(other)
      const moved = on.store.read('update points set session_id = $1::int where device_id = $2::int', [
        id,
        device.id,
      ])
      await expect(moved).rejects.toMatchObject({ code: FOREIGN_KEY })
    })
  })

  test('something else that points refer to, refuses them as dead letters', () =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      await writing.send(device, [T], T).stored
      await on.store.read('create table zones (id int primary key)')
      await on.store.read('alter table points add column zone int')
      await on.store.read('alter table points add foreign key (zone) references zones')
      await on.store.read('alter table points alter column zone set default 7')
      const { kept, stored } = writing.send(device, [T + 1, T + 2], T)
      const { seq } = await stored
      await on.store.read('alter table points drop column zone')
      expect(kept.rejected).toEqual([
        [seq, 0, 5],
        [seq, 1, 5],
      ])
      const letters = await lettersOf(on.store.read, device)
      expect(letters.map(({ sqlstate }) => sqlstate)).toEqual([FOREIGN_KEY, FOREIGN_KEY])
      await writing.send(device, [T + 3], T).stored
      expect(await timesOf(on.store.read, device)).toEqual([T, T + 3])
    }))

  describe('a device,', () => {
    test('refuses its points as dead letters and stores those of the others', () =>
      writingTo(on.store, async (writing) => {
        const devices = await Promise.all(Array.from({ length: 5 }, on.addDevice))
        const lost = devices[2]!
        // One that the hub has stored before, and one that it has not.
        for (const isStored of [true, false]) {
          const at = T + (isStored ? 0 : HOUR_MS)
          if (isStored) await Promise.all(devices.map((device) => writing.send(device, [at], at).stored))
          if (isStored) await loseDevice(lost)
          const sent = devices.map((device) => writing.send(device, [at + 1, at + 2], at))
          const entries = await Promise.all(sent.map(({ stored }) => stored))
          for (const [i, { kept }] of sent.entries()) {
            const { seq } = entries[i]!
            const refused = [
              [seq, 0, 5],
              [seq, 1, 5],
            ]
            expect(kept.rejected.sort((a, b) => a[1] - b[1])).toEqual(devices[i] === lost ? refused : [])
          }
          for (const device of devices) {
            if (device === lost) continue
            expect((await timesOf(on.store.read, device)).slice(-2)).toEqual([at + 1, at + 2])
          }
        }
        const letters = await lettersOf(on.store.read, lost)
        expect(letters.map(({ recordedMs, sqlstate }) => [recordedMs, sqlstate])).toEqual(
          [T + 1, T + 2, T + HOUR_MS + 1, T + HOUR_MS + 2].map((at) => [at, FOREIGN_KEY]),
        )
        expect(await pointsOf(on.store.read, lost)).toEqual([])
      }))

    test('needs few statements to tell it from the others', async () => {
      const tap = createTap(on.store.writes[1]!)
      const writing = startWriting({ runs: [on.store.writes[0]!, tap.run] })
      const devices = await Promise.all(Array.from({ length: 20 }, on.addDevice))
      const times = Array.from({ length: 50 }, (_, i) => T + i + 1)
      await Promise.all(devices.map((device) => writing.send(device, [T], T).stored))
      await loseDevice(devices[7]!)
      const before = tap.statements.length
      await Promise.all(devices.map((device) => writing.send(device, times, T).stored))
      const refused = writing.batches.at(-1)!.refused
      expect([...refused]).toEqual([[devices[7]!.id, 50]])
      // Each of its fifty rows is found by halving, and each halving asks for the session once.
      const few = 2 * 50 + 2 * Math.ceil(Math.log2(1_000)) + 10
      expect(tap.statements.slice(before).filter(insertsPoints).length).toBeLessThanOrEqual(few)
      expect(tap.statements.length - before).toBeLessThanOrEqual(6 * few)
      await writing.writer.stop(10_000)
    })
  })
})
