/** Sessions as the database has them afterwards (D2), whatever order frames, hubs and restarts come in. */
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Device, endIdleSessions } from '../../../src/core/device.ts'
import { createFleet } from '../../../src/core/fleet.ts'
import type { SessionOp } from '../../../src/protocol/messages.ts'
import { readCredentials } from '../../../src/store/live/credentials.ts'
import { readIdleDevices, readLastPoints } from '../../../src/store/points/lastPoints.ts'
import { createSweep } from '../../../src/upkeep/sweep.ts'
import { GAP_MS, HOUR_MS, IDLE_MS, LIMITS, MINUTE_MS, NOW_MS } from '../../core/frames.ts'
import { until } from '../../rig/until.ts'
import { describeOnEachStore, forgotten, hubs, pointsOf, sessionsOf, timesOf } from '../eachStore.ts'
import { startWriting, type Writing, writingTo } from '../writing.ts'

const [START, PAUSE, RESUME, END] = [0, 1, 2, 3] as const
const STATUS_AFTER = ['active', 'paused', 'active', 'ended'] as const
/** Some hours before now, so that later moments are in the past as well. */
const T = NOW_MS - 6 * HOUR_MS

describeOnEachStore('a session that the device names', (on) => {
  test('exists before its points, active, even if it was never announced', () =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      await writing.send(device, [T + 1, T + 2], T).stored
      const [session, ...others] = await sessionsOf(on.store.read, device)
      expect(others).toEqual([])
      expect(session).toMatchObject({ startedMs: T, status: 'active', endedMs: null, automatic: false })
      const points = await pointsOf(on.store.read, device)
      expect(points.map(({ sessionId }) => sessionId)).toEqual([session!.id, session!.id])
    }))

  test.each(['in one batch', 'in four'])('is started, paused, resumed and ended %s', (batches) =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      for (const [op, at] of [[START, 0] as const, [PAUSE, 5] as const, [RESUME, 7] as const]) {
        const { stored } = writing.sendOp(device, T, op, T + at)
        if (batches === 'in one batch') continue
        await stored
        expect(await sessionsOf(on.store.read, device)).toMatchObject([
          { status: STATUS_AFTER[op], endedMs: null },
        ])
      }
      await writing.sendOp(device, T, END, T + 9).stored
      expect(await sessionsOf(on.store.read, device)).toMatchObject([
        { startedMs: T, status: 'ended', endedMs: T + 9, automatic: false },
      ])
    }),
  )

  test('ends in the same state however its ops are ordered, repeated, batched and spread over hubs', () =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      let startMs = T
      const op = fc.tuple(fc.constantFrom<SessionOp>(START, PAUSE, RESUME), fc.nat(4))
      const turn = fc.record({ pick: fc.nat(), isNewHub: fc.boolean(), waits: fc.boolean() })
      const plan = fc.record({
        ops: fc.array(op, { minLength: 1, maxLength: 5 }),
        // An end is final, so only one that comes last in time means the same in every order.
        endsAt: fc.option(fc.integer({ min: 5, max: 9 })),
        turns: fc.array(turn, { minLength: 12, maxLength: 12 }),
      })
      await fc.assert(
        fc.asyncProperty(plan, async ({ ops, endsAt, turns }) => {
          startMs += MINUTE_MS
          const all = endsAt === null ? ops : [...ops, [END, endsAt] as const]
          const unsent = [...all]
          let hub = device
          const underWay: Promise<unknown>[] = []
          for (const { pick, isNewHub, waits } of turns) {
            if (isNewHub) {
              // A batch is of one hub. Two of them in one would leave open which of the two wrote last.
              await Promise.all(underWay.splice(0))
              hub = forgotten(device)
            }
            // Each op once, in some order, and then some of them again.
            const [next] =
              unsent.length > 0 ? unsent.splice(pick % unsent.length, 1) : [all[pick % all.length]!]
            const { stored } = writing.sendOp(hub, startMs, next![0], startMs + next![1])
            underWay.push(stored)
            if (waits) await stored
          }
          await writing.sendOp(hub, startMs, START, startMs).stored
          const [lastOp, lastAt] = [[START, 0] as const, ...all].reduce((last, one) =>
            one[1] > last[1] || (one[1] === last[1] && one[0] > last[0]) ? one : last,
          )
          expect((await sessionsOf(on.store.read, device)).at(-1)).toMatchObject({
            startedMs: startMs,
            status: STATUS_AFTER[lastOp],
            endedMs: lastOp === END ? startMs + lastAt : null,
          })
          // And so has the hub that wrote last.
          expect(hub.book.sessions.find(({ startedMs }) => startedMs === startMs)).toMatchObject({
            status: STATUS_AFTER[lastOp],
            endedMs: lastOp === END ? startMs + lastAt : null,
          })
        }),
        { numRuns: 25 },
      )
    }))

  test.each(hubs)('is what the greater of two ops of one moment says, when one comes to %s', (_, hubOf) =>
    writingTo(on.store, async (writing) => {
      for (const ops of [[PAUSE, RESUME] as const, [RESUME, PAUSE] as const]) {
        const device = await on.addDevice()
        await writing.sendOp(device, T, ops[0], T + 5).stored
        await writing.sendOp(await hubOf(on, device), T, ops[1], T + 5).stored
        expect(await sessionsOf(on.store.read, device)).toMatchObject([{ status: 'active' }])
      }
    }),
  )

  test('stays ended, whatever comes later and whichever hub it comes to', () =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      await writing.sendOp(device, T, END, T + MINUTE_MS).stored
      for (const [, hubOf] of hubs) {
        const hub = await hubOf(on, device)
        await writing.sendOp(hub, T, RESUME, T + HOUR_MS).stored
        await writing.sendOp(hub, T, END, T + 2 * HOUR_MS).stored
        expect(await sessionsOf(on.store.read, device)).toMatchObject([
          { status: 'ended', endedMs: T + MINUTE_MS },
        ])
      }
    }))

  describe.each(hubs)('that has ended and gets late points on %s', (_, hubOf) => {
    test('ends with the last of them', () =>
      writingTo(on.store, async (writing) => {
        const device = await on.addDevice()
        writing.send(device, [T + 1_000], T)
        await writing.sendOp(device, T, END, T + MINUTE_MS).stored
        const hub = await hubOf(on, device)
        await writing.send(hub, [T + 90_000, T + 2 * MINUTE_MS, T + 100_000], T).stored
        expect(await sessionsOf(on.store.read, device)).toMatchObject([
          { status: 'ended', endedMs: T + 2 * MINUTE_MS, lastMs: T + 2 * MINUTE_MS },
        ])
      }))

    test('ends when it did if they are from before its end', () =>
      writingTo(on.store, async (writing) => {
        const device = await on.addDevice()
        await writing.sendOp(device, T, END, T + MINUTE_MS).stored
        await writing.send(await hubOf(on, device), [T + 30_000], T).stored
        expect(await sessionsOf(on.store.read, device)).toMatchObject([
          { status: 'ended', endedMs: T + MINUTE_MS, lastMs: T + 30_000 },
        ])
      }))
  })

  test('is one session when two hubs create it at the same moment', () =>
    writingTo(on.store, async (writing) => {
      const other = startWriting({ runs: on.store.writes })
      const device = await on.addDevice()
      const second = forgotten(device)
      await Promise.all([
        writing.send(device, [T + 1], T).stored,
        other.send(second, [T + 2], T).stored,
        other.sendOp(second, T, PAUSE, T + 3).stored,
      ])
      expect(await other.writer.stop(10_000)).toBe(true)
      expect(await sessionsOf(on.store.read, device)).toMatchObject([
        { startedMs: T, status: 'paused', firstMs: T + 1, lastMs: T + 2 },
      ])
    }))

  describe('and that is idle', () => {
    const limits = { sessionGapMs: GAP_MS, sessionIdleMs: IDLE_MS }
    const begunMs = NOW_MS - 3 * IDLE_MS

    async function isIdle(deviceIds: number[], nowMs: number): Promise<boolean[]> {
      const found = await readIdleDevices(on.store.read, nowMs, limits, 10_000)
      return deviceIds.map((id) => found.includes(id))
    }

    test('is found after a day, and an automatic one after the gap', () =>
      writingTo(on.store, async (writing) => {
        const devices = await Promise.all(Array.from({ length: 4 }, on.addDevice))
        const [automatic, explicit, paused, ended] = devices
        writing.send(automatic!, [begunMs], null, begunMs)
        writing.send(explicit!, [begunMs], begunMs, begunMs)
        writing.sendOp(paused!, begunMs, PAUSE)
        writing.sendOp(ended!, begunMs, END)
        await writing.writer.stop(10_000)
        const ids = devices.map(({ id }) => id)
        expect(await isIdle(ids, begunMs + GAP_MS)).toEqual([false, false, false, false])
        expect(await isIdle(ids, begunMs + GAP_MS + 1)).toEqual([true, false, false, false])
        expect(await isIdle(ids, begunMs + IDLE_MS)).toEqual([true, false, false, false])
        expect(await isIdle(ids, begunMs + IDLE_MS + 1)).toEqual([true, true, true, false])
        expect(await readIdleDevices(on.store.read, NOW_MS, limits, 2)).toHaveLength(2)
      }))

    test('counts from when its last point came, if that is later than the point itself', () =>
      writingTo(on.store, async (writing) => {
        const device = await on.addDevice()
        await writing.send(device, [begunMs], null, begunMs + HOUR_MS).stored
        expect(await isIdle([device.id], begunMs + HOUR_MS + GAP_MS)).toEqual([false])
        expect(await isIdle([device.id], begunMs + HOUR_MS + GAP_MS + 1)).toEqual([true])
      }))

    test('is ended at its last point by a hub that has just started, and is idle no more', () =>
      writingTo(on.store, async (writing) => {
        const device = await on.addDevice()
        await writing.send(device, [begunMs, begunMs + 1_000], null, begunMs + 2_000).stored
        const hub = await on.reload(device)
        expect(endIdleSessions(hub, begunMs + 2_000 + GAP_MS)).toBeNull()
        const kept = endIdleSessions(hub, begunMs + 2_001 + GAP_MS)!
        await writing.offer(hub, 0, 0, kept).stored
        expect(await sessionsOf(on.store.read, device)).toMatchObject([
          { automatic: true, status: 'ended', endedMs: begunMs + 1_000 },
        ])
        expect(await isIdle([device.id], NOW_MS)).toEqual([false])
      }))
  })

  describe('and whose last point lies behind a day of another one', () => {
    const begunMs = NOW_MS - 3 * IDLE_MS
    /** Each begins then, with a last point a second later; the day that follows has a point each second. */
    const [restarted, unknown, idle, fresh] = [0, 1, 2, 3].map((i) => begunMs + i * 10_000) as [
      number,
      number,
      number,
      number,
    ]
    const dayMs = begunMs + MINUTE_MS
    const dayPoints = 86_400
    let device: Device

    beforeAll(async () => {
      device = await on.addDevice()
      await writingTo(on.store, async (writing) => {
        for (const startMs of [restarted, unknown, idle, fresh]) {
          const lastReceivedMs = startMs === fresh ? NOW_MS - IDLE_MS : begunMs
          writing.send(device, [startMs], startMs, begunMs)
          writing.send(device, [startMs + 1_000], startMs, lastReceivedMs)
        }
        await writing.send(device, [dayMs], dayMs, begunMs).stored
      })
      const parts = 8
      for (let part = 0; part < parts; part++) {
        await on.store.read(
          `insert into points (device_id, session_id, lat, lng, geom, recorded_at, received_at)
           select device_id, session_id, lat, lng, geom, recorded_at + i * interval '1 s', received_at + i * interval '1 s'
           from points, generate_series($3::int, $4::int) i
           where device_id = $1::int and recorded_at = to_timestamp($2::float8 / 1000)`,
          [device.id, dayMs, (part * dayPoints) / parts + 1, ((part + 1) * dayPoints) / parts],
        )
      }
      expect(await timesOf(on.store.read, device)).toHaveLength(dayPoints + 9)
    })

    async function sessionAt(startMs: number): Promise<unknown> {
      return (await sessionsOf(on.store.read, device)).find(({ startedMs }) => startedMs === startMs)
    }

    test('is not known to be idle before somebody has looked for that point', async () => {
      const hub = await on.reload(device)
      const ended = endIdleSessions(hub, NOW_MS)!.changed.map(({ startedMs }) => startedMs)
      expect(ended).toEqual([dayMs])
    })

    test.each([
      ['a hub that was started since', restarted, () => on.reload(device)],
      ['a hub that has never heard of it', unknown, async () => forgotten(device)],
    ])('ends with that point when an earlier end comes to %s', (_, startMs, hubOf) =>
      writingTo(on.store, async (writing) => {
        await writing.sendOp(await hubOf(), startMs, END, startMs + 500).stored
        expect(await sessionAt(startMs)).toMatchObject({ status: 'ended', endedMs: startMs + 1_000 })
      }),
    )

    test('ends with that point when it is idle, on a hub that has just started, and not while that is fresh', () =>
      writingTo(on.store, async (writing) => {
        await sweepOnce(writing, NOW_MS)
        expect(await sessionAt(idle)).toMatchObject({ status: 'ended', endedMs: idle + 1_000 })
        expect(await sessionAt(dayMs)).toMatchObject({ status: 'ended', endedMs: dayMs + dayPoints * 1_000 })
        expect(await sessionAt(fresh)).toMatchObject({ status: 'active' })
        await sweepOnce(writing, NOW_MS + 1)
        expect(await sessionAt(fresh)).toMatchObject({ status: 'ended', endedMs: fresh + 1_000 })
      }))

    /** What a hub does now and then that has just started and holds no device. */
    async function sweepOnce(writing: Writing, nowMs: number): Promise<void> {
      const limits = { sessionGapMs: GAP_MS, sessionIdleMs: IDLE_MS }
      const fleet = createFleet({ ...LIMITS, idleDevicesMax: 10 })
      const sweep = createSweep({
        fleet,
        backlog: writing.backlog,
        records: {
          findIdle: async (atMs, countMax) => {
            const ids = await readIdleDevices(on.store.read, atMs, limits, countMax, device.id - 1)
            return ids.filter((id) => id === device.id)
          },
          findLastPoints: (sessions) => readLastPoints(on.store.read, sessions),
          readDevice: async (id) => (await readCredentials(on.store.read, [id]))[0],
        },
        watchChanges: () => () => false,
        clock: { now: () => nowMs },
      })
      await sweep()
      await until(() => writing.backlog.frames === 0, 'what the sweep found is stored')
    }
  })
})
