/** Where points without a session go (D3), as the database has it afterwards, whatever the hub remembers. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { endIdleSessions } from '../../../src/core/device.ts'
import { GAP_MS, HOUR_MS, MINUTE_MS, NOW_MS } from '../../core/frames.ts'
import { describeOnEachStore, forgotten, hubs, sessionsOf } from '../eachStore.ts'
import { writingTo } from '../writing.ts'

const [START, PAUSE, END] = [0, 1, 3] as const
/** Some hours before now, so that later moments are in the past as well. */
const T = NOW_MS - 6 * HOUR_MS

describeOnEachStore('an automatic session', (on) => {
  const open = { automatic: true, status: 'active', endedMs: null }
  const stored = (device: { id: number }) => sessionsOf(on.store.read, device)

  test('is made for points without a session and takes all within the gap', () =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      await writing.send(device, [T, T + GAP_MS, T + 2 * GAP_MS]).stored
      await writing.send(device, [T + 3 * GAP_MS]).stored
      expect(await stored(device)).toMatchObject([{ ...open, startedMs: T, lastMs: T + 3 * GAP_MS }])
    }))

  test('ends at its last point when the device has moved on', () =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      await writing.send(device, [T, T + 1_000]).stored
      await writing.send(device, [T + 1_000 + GAP_MS + 1]).stored
      expect(await stored(device)).toMatchObject([
        { automatic: true, status: 'ended', endedMs: T + 1_000 },
        { ...open, startedMs: T + 1_001 + GAP_MS },
      ])
    }))

  test.each(hubs)('goes on with later points within the gap on %s, and with no others', (_, hubOf) =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      await writing.send(device, [T, T + 1_000]).stored
      await writing.send(await hubOf(on, device), [T + 1_000 + GAP_MS]).stored
      expect(await stored(device)).toMatchObject([{ ...open, startedMs: T, lastMs: T + 1_000 + GAP_MS }])
      await writing.send(await hubOf(on, device), [T + 1_001 + 2 * GAP_MS]).stored
      expect((await stored(device)).map(({ startedMs }) => startedMs)).toEqual([T, T + 1_001 + 2 * GAP_MS])
    }),
  )

  test.each(hubs)('begins earlier with older points within the gap on %s, and with no others', (_, hubOf) =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      await writing.send(device, [T, T + 1_000]).stored
      await writing.send(await hubOf(on, device), [T - GAP_MS]).stored
      expect(await stored(device)).toMatchObject([{ ...open, startedMs: T - GAP_MS, firstMs: T - GAP_MS }])
      await writing.send(await hubOf(on, device), [T - 1 - 2 * GAP_MS]).stored
      expect((await stored(device)).map(({ startedMs }) => startedMs)).toEqual([
        T - 1 - 2 * GAP_MS,
        T - GAP_MS,
      ])
    }),
  )

  test('goes on when an explicit one lies between', () =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      await writing.send(device, [T]).stored
      writing.send(device, [T + MINUTE_MS], T + MINUTE_MS)
      await writing.sendOp(device, T + MINUTE_MS, END, T + 2 * MINUTE_MS).stored
      await writing.send(forgotten(device), [T + 3 * MINUTE_MS]).stored
      expect(await stored(device)).toMatchObject([
        { ...open, startedMs: T, lastMs: T + 3 * MINUTE_MS },
        { automatic: false, startedMs: T + MINUTE_MS, lastMs: T + MINUTE_MS },
      ])
    }))

  test.each(hubs)(
    'starts beside its oldest point on %s where another session starts at that very moment',
    (_, hubOf) =>
      writingTo(on.store, async (writing) => {
        const device = await on.addDevice()
        await writing.send(device, [T + 10 * MINUTE_MS]).stored
        await writing.sendOp(device, T, END, T + MINUTE_MS).stored
        const hub = await hubOf(on, device)
        // The explicit session has ended, so that the point goes to the automatic one within the gap.
        await writing.send(hub, [T]).stored
        const automatic = { ...open, startedMs: T + 1, firstMs: T }
        expect(await stored(device)).toMatchObject([
          { startedMs: T, automatic: false, firstMs: null },
          automatic,
        ])
        // What the device says of a session that starts then is still meant for the explicit one.
        await writing.send(hub, [T + 30_000], T).stored
        expect(await stored(device)).toMatchObject([
          { startedMs: T, automatic: false, status: 'ended', firstMs: T + 30_000 },
          automatic,
        ])
      }),
  )

  test.each(hubs)('becomes the device’s own when it names its start on %s', (_, hubOf) =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      await writing.send(device, [T, T + 1_000]).stored
      const hub = await hubOf(on, device)
      await writing.sendOp(hub, T, PAUSE, T + 2_000).stored
      // Too far away for an automatic session; an explicit one takes it all the same.
      await writing.send(hub, [T + 2 * GAP_MS]).stored
      const claimed = { automatic: false, startedMs: T, status: 'paused', lastMs: T + 2 * GAP_MS }
      expect(await stored(device)).toMatchObject([claimed])
      await writing.send(forgotten(device), [T - 1_000]).stored
      expect(await stored(device)).toMatchObject([{ ...open, startedMs: T - 1_000 }, claimed])
    }),
  )

  test.each(hubs)(
    'is left to the device that claims and ends it on %s by points of the same batch',
    (_, hubOf) =>
      writingTo(on.store, async (writing) => {
        const device = await on.addDevice()
        await writing.send(device, [T]).stored
        const hub = await hubOf(on, device)
        writing.sendOp(hub, T, END, T + MINUTE_MS)
        await writing.send(hub, [T + 2 * MINUTE_MS]).stored
        expect(await stored(device)).toMatchObject([
          { automatic: false, startedMs: T, status: 'ended', endedMs: T + MINUTE_MS, lastMs: T },
          { ...open, startedMs: T + 2 * MINUTE_MS },
        ])
      }),
  )

  test('keeps the start that its device has named when a hub that does not know that learns of an older point', () =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      await writing.send(device, [T]).stored
      await writing.sendOp(forgotten(device), T, PAUSE, T + 1_000).stored
      await writing.send(device, [T - 2_000]).stored
      // It has been paused since then, so that an op from before decides nothing.
      await writing.sendOp(forgotten(device), T, END, T - 1_000).stored
      const claimed = { automatic: false, startedMs: T, status: 'paused' }
      expect(await stored(device)).toMatchObject([claimed])
    }))

  test('stays when its device claims it by a start that another session has, which a hub that is gone has made', () =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      await writing.send(device, [T]).stored
      await writing.sendOp(forgotten(device), T - 3_000, START, T - 3_000).stored
      writing.send(device, [T - 3_000])
      await writing.sendOp(device, T - 3_000, END, T - 1_000).stored
      expect(await stored(device)).toMatchObject([
        { automatic: false, startedMs: T - 3_000, status: 'ended' },
        { ...open, startedMs: T },
      ])
    }))

  test('begins earlier and is claimed and paused before its old start in one batch', () =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      await writing.send(device, [T]).stored
      writing.send(device, [T - 2_000])
      await writing.sendOp(device, T - 2_000, PAUSE, T - 1_000).stored
      expect(await stored(device)).toMatchObject([
        { automatic: false, startedMs: T - 2_000, status: 'paused' },
      ])
    }))

  test('is claimed in the batch that makes it', () =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      writing.send(device, [T])
      await writing.sendOp(device, T, END, T + 1_000).stored
      expect(await stored(device)).toMatchObject([
        { automatic: false, startedMs: T, status: 'ended', endedMs: T + 1_000, lastMs: T },
      ])
    }))

  test.each(hubs)('is active on %s although the last one died before it stored a point of it', (_, hubOf) =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      await writing.send(device, [T]).stored
      await on.store.read('delete from points where device_id = $1::int', [device.id])
      const hub = await hubOf(on, device)
      await writing.send(hub, [T]).stored
      await writing.send(hub, [T + MINUTE_MS]).stored
      expect(await stored(device)).toMatchObject([{ ...open, startedMs: T, lastMs: T + MINUTE_MS }])
    }),
  )

  /** Every session starts with its first point or before, and has not ended before its last. */
  async function expectCovered(device: { id: number }): Promise<void> {
    for (const session of await stored(device)) {
      expect(session.automatic).toBe(true)
      expect(session.startedMs).toBeLessThanOrEqual(session.firstMs ?? Number.NaN)
      if (session.status === 'ended') expect(session.endedMs).toBeGreaterThanOrEqual(session.lastMs!)
    }
  }

  const minutes = (...all: number[]) => all.map((minute) => T + minute * MINUTE_MS)

  test('that two of a hub turn out to be covers the points of both', () =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      await writing.send(device, minutes(6, 0)).stored
      // More than the gap apart, and both within the gap of what the database has.
      await writing.send(forgotten(device), minutes(0, 31)).stored
      await expectCovered(device)
    }))

  test('that grows to the very start of another one covers its points, and starts beside it', () =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      await writing.send(device, minutes(31, 0)).stored
      const hub = forgotten(device)
      // Nearer to the session at 31, which it joins.
      await writing.send(hub, minutes(16)).stored
      await writing.send(hub, minutes(1, 0)).stored
      await expectCovered(device)
      const [first, second] = minutes(0, 31)
      expect(await stored(device)).toMatchObject([
        { ...open, startedMs: first, lastMs: first },
        { ...open, startedMs: first! + 1, lastMs: second },
      ])
    }))

  test('that grows towards another one while it is written covers its points', () =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      await writing.send(device, minutes(64)).stored
      writing.send(device, minutes(96, 71))
      await writing.send(device, minutes(93, 114)).stored
      await expectCovered(device)
    }))

  test('covers its points, in whatever order points and restarts come', () =>
    writingTo(on.store, async (writing) => {
      const step = fc.record({
        at: fc.array(fc.nat(240), { minLength: 1, maxLength: 4 }),
        next: fc.constantFrom(
          'frame',
          'frame',
          'batch',
          'hub that was started',
          'hub that knows nothing',
          'idle hub',
        ),
      })
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 8 }), async (steps) => {
          const device = await on.addDevice()
          let hub = device
          for (const { at, next } of steps) {
            const sent = writing.send(hub, minutes(...at))
            if (next !== 'frame') await sent.stored
            if (next === 'hub that was started') hub = await on.reload(device)
            if (next === 'hub that knows nothing') hub = forgotten(device)
            const ended = next === 'idle hub' ? endIdleSessions(hub, NOW_MS + GAP_MS + 1) : null
            if (ended !== null) writing.offer(hub, 0, 0, ended)
          }
          await writing.send(hub, [T]).stored
          await expectCovered(device)
        }),
        { numRuns: 25 },
      )
    }))
})
