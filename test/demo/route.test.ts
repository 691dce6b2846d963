import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { createRoute, degreesFromNorth, metresBetween } from '../../src/demo/route.ts'
import { surveyTrack, type TimedFix } from '../../src/tracks/read/survey.ts'

const demo = (name: string) => fileURLToPath(new URL(`../../src/demo/tracks/${name}`, import.meta.url))

const fixAt = (seconds: number, lat: number, lng: number, more: Partial<TimedFix> = {}): TimedFix => ({
  recordedMs: seconds * 1_000,
  lat,
  lng,
  line: 1,
  ...more,
})

async function gathered(fixes: AsyncIterable<TimedFix>): Promise<TimedFix[]> {
  const all: TimedFix[] = []
  for await (const fix of fixes) all.push(fix)
  return all
}

async function heldFixes(file: string, splitBy?: string): Promise<TimedFix[][]> {
  const { lanes } = await surveyTrack(demo(file), splitBy)
  return Promise.all(lanes.map((lane) => gathered(lane.fixes())))
}

describe('the demo’s route of one device', () => {
  test('gaps get shorter by the speed, to ten seconds at most, and gaps over a minute are jumped', () => {
    const route = createRoute([fixAt(0, 0, 0), fixAt(20, 0, 0), fixAt(79, 0, 0), fixAt(200, 0, 0)], 5)
    expect(route.map((step) => step.waitMs)).toEqual([2_000, 4_000, 10_000, 2_000])
  })

  test('a lap and a gap over ten minutes begin a new trip, a shorter gap does not', () => {
    const route = createRoute([fixAt(0, 0, 0), fixAt(600, 0, 0), fixAt(1_201, 0, 0)], 5)
    expect(route.map((step) => step.startsTrip)).toEqual([true, false, true])
  })

  test('speed and heading come from the step before when the file has none', () => {
    const [first, second] = createRoute([fixAt(0, 0, 0), fixAt(10, 0, 0.001)], 5)
    expect(first).toMatchObject({ speed: null, heading: null })
    // 0.001° along the equator is 111.195 m.
    expect(second!.speed).toBeCloseTo(11.12, 2)
    expect(second!.heading).toBeCloseTo(90, 6)
  })

  test('the file’s own speed and heading win', () => {
    const [, second] = createRoute([fixAt(0, 0, 0), fixAt(10, 0, 0.001, { speed: 3, heading: 0 })], 5)
    expect(second).toMatchObject({ speed: 3, heading: 0 })
  })

  test('standing still keeps the last heading, and a jump forgets it', () => {
    const route = createRoute(
      [fixAt(0, 0, 0), fixAt(10, 0.001, 0), fixAt(20, 0.001, 0.00001), fixAt(90, 0.5, 0.5)],
      5,
    )
    expect(route.map((step) => step.heading)).toEqual([null, 0, 0, null])
    expect(route[3]!.speed).toBeNull()
  })

  test('fixes that are not later than the one before are left out', () => {
    const route = createRoute([fixAt(5, 1, 1), fixAt(5, 2, 2), fixAt(4, 3, 3), fixAt(6, 4, 4)], 5)
    expect(route.map((step) => step.lat)).toEqual([1, 4])
  })

  test('real buses move every few seconds, at the speed of buses, and only to recorded places', async () => {
    const buses = await heldFixes('liverpool-bus-14.csv', 'vehicle_id')
    expect(buses).toHaveLength(8)
    for (const fixes of buses) {
      const route = createRoute(fixes, 5)
      expect(route.map(({ lat, lng }) => [lat, lng])).toEqual(fixes.map(({ lat, lng }) => [lat, lng]))
      expect(Math.max(...route.map((step) => step.waitMs))).toBeLessThanOrEqual(10_000)
      expect(route.filter((step) => step.startsTrip)).toHaveLength(2)
      expect(Math.max(...route.map((step) => step.speed ?? 0))).toBeLessThan(35)
    }
  })

  test('a day’s walk is one trip with its breaks jumped', async () => {
    const [fixes] = await heldFixes('cerknicko-jezero.gpx')
    const route = createRoute(fixes!, 5)
    expect(route).toHaveLength(296)
    expect(route.reduce((sum, step) => sum + step.waitMs, 0)).toBeLessThan(15 * 60_000)
  })
})

test('distances are those of a sphere, also across the date line, and directions those of a compass', () => {
  const quarterMetres = (Math.PI / 2) * 6_371_008.8
  expect(metresBetween({ lat: 0, lng: 10 }, { lat: 90, lng: 77 })).toBeCloseTo(quarterMetres, 3)
  expect(metresBetween({ lat: 0, lng: 10 }, { lat: 0, lng: 100 })).toBeCloseTo(quarterMetres, 3)
  expect(degreesFromNorth({ lat: 0, lng: 0 }, { lat: -1, lng: 0 })).toBeCloseTo(180)
  expect(degreesFromNorth({ lat: 0, lng: 0 }, { lat: 0, lng: -1 })).toBeCloseTo(270)
  expect(metresBetween({ lat: 0, lng: 179.9995 }, { lat: 0, lng: -179.9995 })).toBeCloseTo(111.2, 1)
})
