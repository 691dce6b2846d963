import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock, wait } from '../../src/clock.ts'
import { createPace } from '../../src/tracks/pace.ts'
import { play, until } from '../../src/tracks/play.ts'
import { SPLIT_VALUES_MAX, surveyTrack, type TimedFix } from '../../src/tracks/read/survey.ts'

const demo = (name: string) => fileURLToPath(new URL(`../../src/demo/tracks/${name}`, import.meta.url))

/** A clock that stands still except while somebody waits. */
function createTestClock(startMs: number) {
  let nowMs = startMs
  const waits: number[] = []
  return {
    waits,
    now: () => nowMs,
    after: (delayMs: number, act: () => void) => {
      waits.push(delayMs)
      nowMs += delayMs
      queueMicrotask(act)
      return () => {}
    },
  }
}

async function* fixesAt(...times: number[]): AsyncGenerator<TimedFix> {
  for (const recordedMs of times) yield { recordedMs, lat: 1, lng: 2, line: 1 }
}

/** When each fix was handed over, and the time it carried. */
async function played(
  times: number[],
  plan: { speed: number; shift: 'now' | 'none'; firstMs?: number; stampFromMs?: number },
) {
  const clock = createTestClock(1_000_000)
  const pace = createPace({ firstMs: times[0]!, startMs: clock.now(), ...plan })
  const sent: [atMs: number, recordedMs: number][] = []
  await play(fixesAt(...times), pace, clock, new AbortController().signal, async (fix) => {
    sent.push([clock.now(), fix.recordedMs])
  })
  return sent
}

describe('the pace of a replay', () => {
  test('at speed 1 the gaps are as recorded, and so are the times', async () => {
    expect(await played([5_000, 6_500, 16_500], { speed: 1, shift: 'none' })).toEqual([
      [1_000_000, 5_000],
      [1_001_500, 6_500],
      [1_011_500, 16_500],
    ])
  })

  test('speed 10 makes gaps ten times shorter but leaves the recorded times alone', async () => {
    expect(await played([5_000, 15_000], { speed: 10, shift: 'none' })).toEqual([
      [1_000_000, 5_000],
      [1_001_000, 15_000],
    ])
  })

  test('speed 0 waits for nothing', async () => {
    const sent = await played([5_000, 6_500, 9_999_999], { speed: 0, shift: 'none' })
    expect(sent.map(([atMs]) => atMs)).toEqual([1_000_000, 1_000_000, 1_000_000])
  })

  test('with shift now the first fix is recorded now and the recorded gaps stay', async () => {
    expect(await played([5_000, 6_500, 16_500], { speed: 2, shift: 'now' })).toEqual([
      [1_000_000, 1_000_000],
      [1_000_750, 1_001_500],
      [1_005_750, 1_011_500],
    ])
  })

  test('a file whose stamps must come after those of another begins later in stamps, not in sending', async () => {
    expect(await played([5_000], { speed: 1, shift: 'now', stampFromMs: 2_000_000 })).toEqual([
      [1_000_000, 2_000_000],
    ])
  })

  test('a fix that is older than the one before goes at once, repeated ones go together', async () => {
    expect(await played([5_000, 8_000, 6_000, 8_000, 9_000], { speed: 1, shift: 'none' })).toEqual([
      [1_000_000, 5_000],
      [1_003_000, 8_000],
      [1_003_000, 6_000],
      [1_003_000, 8_000],
      [1_004_000, 9_000],
    ])
  })

  test('time that the taker needs is not waited for once more', async () => {
    const clock = createTestClock(0)
    const pace = createPace({ firstMs: 0, startMs: 0, speed: 1, shift: 'none' })
    const sentMs: number[] = []
    await play(fixesAt(0, 1_000, 2_000, 9_000), pace, clock, new AbortController().signal, async () => {
      sentMs.push(clock.now())
      await wait(clock, 1_500)
    })
    expect(sentMs).toEqual([0, 1_500, 3_000, 9_000])
  })

  test('an abort while waiting ends it without another fix, and closes the file', async () => {
    const stop = new AbortController()
    const clock = {
      now: () => 0,
      after: () => {
        queueMicrotask(() => stop.abort())
        return () => {}
      },
    }
    const pace = createPace({ firstMs: 0, startMs: 0, speed: 1, shift: 'none' })
    const sent: number[] = []
    let closed = false
    await play(source(), pace, clock, stop.signal, async (fix) => {
      sent.push(fix.recordedMs)
    })
    expect(sent).toEqual([0])
    expect(closed).toBe(true)

    async function* source() {
      try {
        yield* fixesAt(0, 60_000, 120_000)
      } finally {
        closed = true
      }
    }
  })

  test('a gap of months is waited for in pieces that a timer can hold', async () => {
    const clock = createTestClock(0)
    const gapMs = 60 * 24 * 3_600_000
    await until(gapMs, clock, new AbortController().signal)
    expect(clock.now()).toBe(gapMs)
    expect(Math.max(...clock.waits)).toBeLessThan(2 ** 31)
  })

  test('the clock of the system stops waiting when it is told to', async () => {
    const stop = new AbortController()
    const waiting = until(systemClock.now() + 3_600_000, systemClock, stop.signal)
    stop.abort()
    await waiting
    expect(stop.signal.aborted).toBe(true)
  })
})

describe('the survey before a replay', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'alzy-survey-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  const stored = async (name: string, content: string) => {
    await writeFile(join(folder, name), content)
    return join(folder, name)
  }

  test('fixes without a time are counted and not among those to play', async () => {
    const survey = await surveyTrack(demo('korita-zbevnica.gpx'))
    expect(survey).toMatchObject({ fixes: 871, untimed: 358 })
    expect(survey.lanes).toHaveLength(1)
    const [lane] = survey.lanes
    expect(lane).toMatchObject({ count: 513, firstMs: Date.parse('2010-10-03T09:36:30Z') })
    for (const _ of [1, 2]) {
      let count = 0
      for await (const fix of lane!.fixes()) count += fix.recordedMs > 0 ? 1 : 0
      expect(count).toBe(513)
    }
  })

  test('a bus line is split into its vehicles, each with its own beginning and end', async () => {
    const survey = await surveyTrack(demo('liverpool-bus-14.csv'), 'vehicle_id')
    expect(survey.lanes.map((lane) => [lane.name, lane.count])).toEqual([
      ['4716', 136],
      ['4720', 278],
      ['4722', 110],
      ['4733', 245],
      ['4803', 183],
      ['4836', 187],
      ['4841', 159],
      ['4842', 235],
    ])
    expect(survey.lanes[1]).toMatchObject({
      firstMs: Date.parse('2026-01-26T16:03:21Z'),
      lastMs: Date.parse('2026-01-26T18:11:58Z'),
    })
    const fixes: TimedFix[] = []
    for await (const fix of survey.lanes[0]!.fixes()) fixes.push(fix)
    expect(fixes).toHaveLength(136)
    expect(fixes[1]).toEqual({
      recordedMs: Date.parse('2026-01-26T15:57:24Z'),
      lat: 53.445026,
      lng: -2.923543,
      heading: 53,
      line: 3,
    })
  })

  test('first is the first of the file, last the latest', async () => {
    const file = await stored(
      'order.csv',
      'lat,lng,time\n1,2,\n1,2,1000000020\n1,2,1000000090\n1,2,1000000010\n',
    )
    const { lanes } = await surveyTrack(file)
    expect(lanes).toMatchObject([{ count: 3, firstMs: 1_000_000_020_000, lastMs: 1_000_000_090_000 }])
  })

  test('a file without any time leaves nothing to play', async () => {
    const file = await stored(
      'untimed.gpx',
      '<gpx><trk><trkseg><trkpt lat="1" lon="2"/></trkseg></trk></gpx>',
    )
    expect(await surveyTrack(file)).toMatchObject({ fixes: 1, untimed: 1, lanes: [] })
  })

  test.each([
    ['bus', 'no column bus; it has lat, lng, time, tram'],
    ['constructor', 'no column constructor; it has lat, lng, time, tram'],
  ])('to split by %s, which is no column, is refused', async (column, reason) => {
    const file = await stored('trams.csv', 'lat,lng,time,tram\n1,2,1000000000,7\n')
    await expect(surveyTrack(file, column)).rejects.toThrow(`${file}: ${reason}`)
  })

  test('an empty value to split by is refused with its line', async () => {
    const file = await stored('gaps.csv', 'lat,lng,time,tram\n1,2,1000000000,7\n1,2,1000000001,\n')
    await expect(surveyTrack(file, 'tram')).rejects.toThrow(`${file}, line 3: column tram is empty`)
  })

  test('GPX cannot be split by a column', async () => {
    const file = demo('cerknicko-jezero.gpx')
    await expect(surveyTrack(file, 'tram')).rejects.toThrow(`${file}: no column tram; GPX has no columns`)
  })

  test('a column with a value of its own in every line is refused', async () => {
    const file = demo('liverpool-bus-14.csv')
    await expect(surveyTrack(file, 'id')).rejects.toThrow(
      `${file}: column id has more than ${SPLIT_VALUES_MAX} different values`,
    )
  })

  test('the last line is read before anything may be sent', async () => {
    const file = await stored('late.csv', `lat,lng,time\n${'1,2,1000000000\n'.repeat(3_000)}1,2,soon\n`)
    await expect(surveyTrack(file)).rejects.toThrow(`${file}, line 3002: bad time "soon"`)
  })
})
