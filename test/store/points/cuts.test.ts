/** A line to the server that is cut or frozen at every moment of a batch: stored once, reported once it is. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Device } from '../../../src/core/device.ts'
import { openStore, type Store } from '../../../src/store/open/store.ts'
import { HOUR_MS, NOW_MS } from '../../core/frames.ts'
import { type Action, type CutKind, type FaultProxy, startProxy } from '../../rig/proxy.ts'
import { sharedPostgres } from '../../rig/sharedPostgres.ts'
import { until } from '../../rig/until.ts'
import { addDevice, sessionsOf, timesOf } from '../eachStore.ts'
import { describeOnPostgres, serverOptions, urlAt } from '../onPostgres.ts'
import { startWriting, type Writing } from '../writing.ts'

const T = NOW_MS - 6 * HOUR_MS
/** In a statement it stands as text, where a proxy can see it. */
const MARKED_E7 = 421_357_986
const KINDS: readonly CutKind[] = ['fin', 'rst']

/** At which chunk of the marked statement, and how much of it passes. */
interface Moment {
  direction: 'up' | 'down'
  passing: (bytes: number) => number
  /** Whether the statement has been carried out by then. */
  isDone: boolean
}
const MOMENTS: [string, Moment][] = [
  ['before the statement is sent', { direction: 'up', passing: () => 0, isDone: false }],
  ['in the middle of the statement', { direction: 'up', passing: (bytes) => bytes >> 1, isDone: false }],
  ['when it was carried out and nobody knows', { direction: 'down', passing: () => 0, isDone: true }],
  ['after the answer began', { direction: 'down', passing: () => 3, isDone: true }],
]

describeOnPostgres('a writer whose line is', (on) => {
  let proxy: FaultProxy
  let store: Store

  beforeAll(async () => {
    proxy = await startProxy({ host: '127.0.0.1', port: (await sharedPostgres()).port })
    const { options } = serverOptions(urlAt(on.database.url, proxy.port), { writeTimeoutMs: 2_500 })
    store = await openStore(options, new AbortController().signal)
  })

  afterEach(() => {
    proxy.hook(null)
    proxy.thaw()
  })

  afterAll(async () => {
    await store?.close()
    await proxy?.close()
  })

  /** Asks for the fault once, at a moment of the first statement that has the mark in it. */
  function breakAt(mark: string, { direction, passing }: Moment, afterwards: CutKind | 'hold'): void {
    let marked = 0
    proxy.hook((way, chunk, connection): Action | undefined => {
      if (way === 'up' && chunk.includes(mark)) marked = connection.number
      if (connection.number !== marked || way !== direction) return undefined
      proxy.hook(null)
      return { forwardBytes: passing(chunk.length), afterwards }
    })
  }

  /** A writer that has written for the device before. */
  async function start(): Promise<{ writing: Writing; device: Device }> {
    const writing = startWriting({ runs: store.writes })
    const device = await addDevice(store.read)
    await writing.send(device, [T], T).stored
    return { writing, device }
  }

  async function expectStoredOnce(writing: Writing, device: Device, isDone: boolean): Promise<void> {
    expect(writing.retries).toBeGreaterThan(0)
    expect(writing.away).toHaveLength(1)
    expect(writing.back).toHaveLength(1)
    expect(await writing.writer.stop(10_000)).toBe(true)
    expect(writing.broken).toEqual([])
    expect(await timesOf(store.read, device)).toEqual([T, T + 1, T + 2])
    expect(await sessionsOf(store.read, device)).toMatchObject([{ startedMs: T }])
    // What was carried out at the first try is a duplicate at the second.
    expect(writing.batches.at(-1)).toMatchObject({ rows: 2, inserted: isDone ? 0 : 2 })
  }

  describe.each(KINDS)('cut by a %s', (kind) => {
    test.each(MOMENTS)('%s', async (_, moment) => {
      const { writing, device } = await start()
      const cuts = proxy.counts.cut
      breakAt(String(MARKED_E7), moment, kind)
      const { stored, kept } = writing.send(device, [{ recordedMs: T + 1, lat: MARKED_E7 }, T + 2], T)
      await stored
      expect(proxy.counts.cut).toBe(cuts + 1)
      expect(kept.rejected).toEqual([])
      await expectStoredOnce(writing, device, moment.isDone)
    })

    test('while nothing is written', async () => {
      const { writing, device } = await start()
      expect(proxy.cut(kind)).toBeGreaterThan(0)
      await until(() => proxy.connections.size === 0, 'nobody is connected any more')
      await writing.send(device, [T + 1, T + 2], T).stored
      expect(await writing.writer.stop(10_000)).toBe(true)
      expect(await timesOf(store.read, device)).toEqual([T, T + 1, T + 2])
    })

    test('when a session was made and nobody knows', async () => {
      const { writing, device } = await start()
      const cuts = proxy.counts.cut
      const startedMs = T + 421_357
      // The session is looked for, and made, with its start as text.
      breakAt(String(startedMs), { direction: 'down', passing: () => 0, isDone: true }, kind)
      await writing.send(device, [startedMs + 1], startedMs).stored
      expect(proxy.counts.cut).toBe(cuts + 1)
      expect(writing.retries).toBeGreaterThan(0)
      expect(await sessionsOf(store.read, device)).toMatchObject([
        { startedMs: T, lastMs: T },
        { startedMs, lastMs: startedMs + 1, automatic: false },
      ])
      await writing.writer.stop(10_000)
    })
  })

  describe('frozen', () => {
    test.each(MOMENTS)('%s', async (_, moment) => {
      const { writing, device } = await start()
      const frozen = proxy.counts.frozen
      breakAt(String(MARKED_E7), moment, 'hold')
      await writing.send(device, [{ recordedMs: T + 1, lat: MARKED_E7 }, T + 2], T).stored
      expect(proxy.counts.frozen).toBe(frozen + 1)
      expect(writing.away).toMatchObject([{ code: 'WATCHDOG' }])
      await expectStoredOnce(writing, device, moment.isDone)
    })

    test('for longer, says once that the database is away, and goes on when it thaws', async () => {
      const { writing, device } = await start()
      const { heldBytes } = proxy.counts
      proxy.freeze()
      const { stored } = writing.send(device, [T + 1, T + 2], T)
      await until(() => writing.retries >= 2, 'the watchdog has barked twice')
      expect(proxy.counts.heldBytes).toBeGreaterThan(heldBytes)
      expect(writing.away.map(({ code }) => code)).toEqual(['WATCHDOG'])
      expect(writing.back).toEqual([])
      expect(writing.reported).toHaveLength(1)
      expect(writing.writer.awayLanes).toBe(1)
      proxy.thaw()
      await stored
      expect(writing.back).toEqual([writing.away[0]!.lane])
      expect(writing.away).toHaveLength(1)
      expect(await timesOf(store.read, device)).toEqual([T, T + 1, T + 2])
      expect(await writing.writer.stop(10_000)).toBe(true)
    })
  })

  test('refused waits until somebody listens again', async () => {
    const { writing, device } = await start()
    await proxy.refuse()
    proxy.cut('rst')
    const { stored } = writing.send(device, [T + 1, T + 2], T)
    await until(() => writing.retries >= 3, 'nobody listens')
    expect(writing.reported).toHaveLength(1)
    await proxy.accept()
    await stored
    expect(writing.away).toHaveLength(1)
    expect(writing.back).toHaveLength(1)
    expect(await timesOf(store.read, device)).toEqual([T, T + 1, T + 2])
    await writing.writer.stop(10_000)
  })
})
