import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createDeviceClient } from '../../src/client/node.ts'
import type { Clock } from '../../src/clock.ts'
import { createRate, duration, grouped, progressLine, showProgress } from '../../src/commands/progress.ts'
import { type ReplayOptions, type ReplaySummary, replay } from '../../src/commands/replay.ts'
import { REASON } from '../../src/protocol/messages.ts'
import { type ObedientHub, openObedientHub } from './obedientHub.ts'
import { createTestIo } from './terminal.ts'

const demo = (name: string) => fileURLToPath(new URL(`../../src/demo/tracks/${name}`, import.meta.url))
const KEY = 'alzy_5_key'

let folder: string
let hub: ObedientHub
let tty: ReturnType<typeof createTestIo>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'alzy-replay-'))
})
afterAll(() => rm(folder, { recursive: true }))
beforeEach(async () => {
  hub = await openObedientHub()
  tty = createTestIo()
})
afterEach(() => hub.close())

async function stored(name: string, content: string): Promise<string> {
  await writeFile(join(folder, name), content)
  return join(folder, name)
}

/** A CSV file of fixes at these seconds after 2020-01-01. */
const SINCE_MS = Date.UTC(2020, 0, 1)
const csv = (...seconds: number[]) =>
  ['lat,lng,time', ...seconds.map((s, i) => `${i % 90},2,${SINCE_MS + s * 1_000}`)].join('\n')

const run = (files: string[], options: ReplayOptions = {}) =>
  replay(files, { url: hub.url, key: KEY, speed: 0, json: true, ...options }, tty.io)

const summary = (): ReplaySummary => JSON.parse(tty.texts.stdout)

describe('a track of one device', () => {
  test('every fix with a time arrives as it was recorded, and the summary says so', async () => {
    expect(await run([demo('korita-zbevnica.gpx')])).toBe(0)
    const points = hub.points.get(KEY)!
    expect(points).toHaveLength(513)
    expect(points[0]).toMatchObject({ recordedMs: Date.parse('2010-10-03T09:36:30Z'), session: null })
    expect(points.at(-1)).toMatchObject({ lat: 45.4524537, lng: 14.0182151, altitude: 770.63 })
    expect(summary()).toMatchObject({
      files: [{ file: demo('korita-zbevnica.gpx'), fixes: 871, untimed: 358 }],
      devices: [{ name: '', deviceId: 5, acknowledged: 513, rejected: 0 }],
      points: 513,
      sent: 513,
      acknowledged: 513,
      rejected: 0,
      notAcknowledged: 0,
      interrupted: false,
    })
  })

  test('without --json the summary is one line for people', async () => {
    expect(await run([demo('korita-zbevnica.gpx')], { json: false })).toBe(0)
    expect(tty.texts.stdout).toMatch(
      /^513 of 513 points acknowledged, 1 device, \d+\.\d s, .* points\/s, 358 fixes without time skipped\n$/,
    )
  })

  test('more fixes than the window holds all arrive, in the order of the file', async () => {
    const file = await stored('many.csv', csv(...Array.from({ length: 25_000 }, (_, i) => i)))
    expect(await run([file])).toBe(0)
    const times = hub.points.get(KEY)!.map((point) => (point.recordedMs - SINCE_MS) / 1_000)
    expect(times).toEqual(Array.from({ length: 25_000 }, (_, i) => i))
  })

  test('unordered and repeated times are sent as they are', async () => {
    expect(await run([await stored('order.csv', csv(30, 10, 10, 20))])).toBe(0)
    const points = hub.points.get(KEY)!
    expect(points.map((point) => [(point.recordedMs - SINCE_MS) / 1_000, point.lat])).toEqual([
      [30, 0],
      [10, 1],
      [10, 2],
      [20, 3],
    ])
  })

  test('points that the hub rejects are counted by reason, and the exit code says it', async () => {
    hub.manners.reject = ({ recordedMs }) => (recordedMs === SINCE_MS + 2_000 ? REASON.tooOld : null)
    expect(await run([await stored('old.csv', csv(1, 2, 3))])).toBe(1)
    expect(summary()).toMatchObject({
      acknowledged: 2,
      rejected: 1,
      rejectedByReason: { tooOld: 1 },
      notAcknowledged: 0,
    })
  })
})

describe('pace and shift', () => {
  /** A clock that jumps to where somebody waits for. */
  function createJumpingClock(startMs: number): Pick<Clock, 'now' | 'after'> {
    let nowMs = startMs
    return {
      now: () => nowMs,
      after: (delayMs, act) => {
        nowMs += delayMs
        queueMicrotask(act)
        return () => {}
      },
    }
  }

  const NOW_MS = Date.UTC(2026, 5, 1, 12)

  async function runAt(
    clock: Pick<Clock, 'now' | 'after'>,
    files: string[],
    options: ReplayOptions,
  ): Promise<number[]> {
    const parts = { clock, connect: createDeviceClient }
    await replay(files, { url: hub.url, key: KEY, json: true, ...options }, tty.io, parts)
    return hub.points.get(KEY)!.map((point) => point.recordedMs)
  }

  test('at speed 2 an hour takes half of it, and recorded times are kept', async () => {
    const clock = createJumpingClock(NOW_MS)
    const file = await stored('hour.csv', csv(0, 60, 3_600))
    expect(await runAt(clock, [file], { speed: 2 })).toEqual([0, 60, 3_600].map((s) => SINCE_MS + s * 1_000))
    expect(summary().elapsedMs).toBe(1_800_000)
  })

  test('with shift now the file begins now and keeps its gaps', async () => {
    const file = await stored('gaps.csv', csv(500, 560, 4_100))
    expect(await runAt(createJumpingClock(NOW_MS), [file], { shift: 'now' })).toEqual([
      NOW_MS,
      NOW_MS + 60_000,
      NOW_MS + 3_600_000,
    ])
    expect(tty.texts.stderr).not.toContain('note:')
  })

  test('two files at a high speed share no moment, and what lies ahead of now is pointed out', async () => {
    const files = [await stored('one.csv', csv(0, 100)), await stored('two.csv', csv(0, 7_200))]
    expect(await runAt(createJumpingClock(NOW_MS), files, { shift: 'now', speed: 10 })).toEqual([
      NOW_MS,
      NOW_MS + 100_000,
      NOW_MS + 100_001,
      NOW_MS + 100_001 + 7_200_000,
    ])
    expect(tty.texts.stderr).toContain(
      `note: at this speed the last point of ${files[1]} is stamped 1 h 49 min`,
    )
    expect(tty.texts.stderr).toContain(`${files[0]} is stamped 1 min 30 s ahead`)
  })
})

describe('a file split by a column', () => {
  const split = { key: undefined, splitBy: 'vehicle_id', email: 'ana@example.org', token: 'T' }

  test('each value becomes a device, and one that is there by name is used again', async () => {
    hub.devices.push({ id: 1, userId: 7, name: '4733', color: 'red' })
    expect(await run([demo('liverpool-bus-14.csv')], split)).toBe(0)
    const names = ['4716', '4720', '4722', '4733', '4803', '4836', '4841', '4842']
    expect(hub.devices.map((device) => device.name).sort()).toEqual(names)
    expect(hub.requests).toContain('POST /v1/devices/1/key')
    expect(hub.requests.filter((request) => request === 'POST /v1/devices')).toHaveLength(7)
    expect(hub.points.get('alzy_1_replaced')).toHaveLength(245)
    expect([...hub.points.values()].reduce((sum, points) => sum + points.length, 0)).toBe(1_533)
    expect(summary().devices).toContainEqual({ name: '4733', deviceId: 1, acknowledged: 245, rejected: 0 })
  })

  test('a user that is not there is named, and no device is made', async () => {
    const email = 'nobody@example.org'
    await expect(run([demo('liverpool-bus-14.csv')], { ...split, email })).rejects.toThrow(
      'no user with the email nobody@example.org',
    )
    expect(hub.devices).toEqual([])
  })

  test('a device whose key is refused ends the replay with its name', async () => {
    hub.manners.refusedKeys.add('alzy_2_made')
    await expect(run([demo('liverpool-bus-14.csv')], split)).rejects.toThrow(
      'device 4720: the hub refuses the device key',
    )
  })
})

describe('an end before the end', () => {
  test('Ctrl-C stops sending, takes the last acknowledgements, and exits with 130', async () => {
    hub.manners.isSilent = true
    hub.manners.heard = () => tty.interrupt()
    const file = await stored('long.csv', csv(0, 1, 3_600, 7_200))
    expect(await run([file], { speed: 1 })).toBe(130)
    expect(hub.points.get(KEY)!.length).toBeLessThan(4)
    const told = summary()
    expect(told).toMatchObject({ interrupted: true, points: 4, acknowledged: hub.points.get(KEY)!.length })
    expect(told.notAcknowledged).toBe(4 - told.acknowledged)
  })

  test('Ctrl-C also ends a replay that waits for room', async () => {
    hub.manners.isSilent = true
    hub.manners.heard = () => tty.interrupt()
    const file = await stored('many.csv', csv(...Array.from({ length: 25_000 }, (_, i) => i)))
    expect(await run([file])).toBe(130)
    expect(summary()).toMatchObject({ interrupted: true, acknowledged: hub.points.get(KEY)!.length })
  })

  test('Ctrl-C before the files are read means that nothing was sent', async () => {
    tty.interrupt()
    await expect(run([demo('cerknicko-jezero.gpx')])).rejects.toThrow('interrupted before anything was sent')
    expect(hub.connections).toBe(0)
  })

  test('a file with a bad line is refused before the hub hears of it', async () => {
    const file = await stored('bad.csv', `${csv(1, 2, 3)}\nnorth,2,\n`)
    await expect(run([demo('cerknicko-jezero.gpx'), file])).rejects.toThrow(
      `${file}, line 5: bad latitude "north"`,
    )
    expect(hub.connections).toBe(0)
  })

  test('a file without any time is refused', async () => {
    const file = await stored('untimed.csv', 'lat,lng,time\n1,2,\n3,4,\n')
    await expect(run([file])).rejects.toThrow(`${file}: none of its 2 fixes has a time`)
  })

  test('a hub that is not there is named with its address', async () => {
    const { url } = hub
    await hub.close()
    const failed = replay([demo('cerknicko-jezero.gpx')], { url, key: KEY, speed: 0 }, tty.io)
    await expect(failed).rejects.toThrow(
      new RegExp(`^hub not reachable at ${url} \\(.*ECONNREFUSED.*\\): is it running\\?$`),
    )
    hub = await openObedientHub()
  })

  test('a key that the hub refuses is told', async () => {
    hub.manners.refusedKeys.add(KEY)
    await expect(run([demo('cerknicko-jezero.gpx')])).rejects.toThrow('the hub refuses the device key')
    expect(tty.texts.stdout).toBe('')
  })

  test.each<[string, ReplayOptions]>([
    ['replay needs either --key KEY, or --split-by COLUMN with --email E', { key: undefined }],
    ['replay needs either --key KEY, or --split-by COLUMN with --email E', { splitBy: 'tram' }],
    ['--split-by needs --email E', { key: undefined, splitBy: 'tram' }],
    ['--split-by needs the token of an admin', { key: undefined, splitBy: 'tram', email: 'a@b.c' }],
    ['--speed must be 0 or a number above it', { speed: -1 }],
    ['--speed must be 0 or a number above it', { speed: Number.NaN }],
    ['hub:9001 is no address of a hub; one looks like http://127.0.0.1:9001', { url: 'hub:9001' }],
  ])('%s', async (message, options) => {
    await expect(run([demo('cerknicko-jezero.gpx')], options)).rejects.toThrow(message)
  })
})

describe('progress', () => {
  test('one line says how far, how fast and how long', () => {
    const counts = { points: 108_607, sent: 2_500, acknowledged: 2_400, rejected: 1, untimed: 358 }
    expect(progressLine(counts, 1_234.4, 86_000).replaceAll('\u202F', ' ')).toBe(
      '2 500 of 108 607 sent, 2 400 acknowledged, 1 rejected, 358 without time skipped, 1 234/s, 1 min 26 s left',
    )
    const slow = { points: 3, sent: 1, acknowledged: 0, rejected: 0, untimed: 0 }
    expect(progressLine(slow, 0.25, null)).toBe('1 of 3 sent, 0 acknowledged, 0.3/s')
  })

  test('the rate is that of the last 15 s, so that an outage is forgotten', () => {
    const rate = createRate(0)
    expect(rate.perSecond(0, 0)).toBe(0)
    expect(rate.perSecond(5_000, 100)).toBe(20)
    expect(rate.perSecond(10_000, 100)).toBe(10)
    expect(rate.perSecond(40_000, 100)).toBe(0)
    expect(rate.perSecond(45_000, 1_100)).toBeCloseTo(1_000 / 35)
    expect(rate.perSecond(60_000, 2_600)).toBe(100)
  })

  test.each([
    [0, '0 s'],
    [1_200, '2 s'],
    [3_599_000, '59 min 59 s'],
    [7_500_000, '2 h 5 min'],
    [3_553_200_000, '41 d 3 h'],
  ])('%d ms are %s', (ms, text) => {
    expect(duration(ms)).toBe(text)
  })

  test('digits are grouped by thousands', () => {
    expect([7, 999, 1_000, 1_234_567].map(grouped)).toEqual(['7', '999', '1\u202F000', '1\u202F234\u202F567'])
  })

  test('on a terminal the redrawn line makes way for what must stay', () => {
    Object.assign(tty.io.stderr, { isTTY: true, columns: 40 })
    const progress = showProgress(tty.io.stderr, () => 'x'.repeat(100))
    progress.say('note')
    progress.stop()
    expect(tty.texts.stderr).toBe('\r\u001b[2Knote\n\r\u001b[2K')
  })
})
