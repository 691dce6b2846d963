/** What the pages compute of what they are told: replays, lines, lists, figures. */
import { expect, test } from 'vitest'
import type { DeviceView } from '../../src/client/browser.ts'
import type { SessionsJson } from '../../src/protocol/http.ts'
import { CHARTS, createSamples } from '../../src/web/admin/figures.ts'
import { meaningsIn, plain } from '../../src/web/admin/meanings.ts'
import { tokenIn } from '../../src/web/hub/credential.ts'
import { ageWords, compassWords, countWords, distanceWords, speedWords } from '../../src/web/look/words.ts'
import { graticuleOf } from '../../src/web/map/chart/graticule.ts'
import { deviceWords } from '../../src/web/map/deviceWords.ts'
import { orderedDevices } from '../../src/web/map/order.ts'
import { createReplay } from '../../src/web/map/replay.ts'
import { withNewest } from '../../src/web/map/sessionList.ts'
import { waysOf } from '../../src/web/map/trail.ts'
import { codeIn } from '../../src/web/track/pairing.ts'
import { isWorthAPoint } from '../../src/web/track/thinning.ts'

const point = (seconds: number, lng: number, speed: number | null = null) => ({
  recordedAt: new Date(seconds * 1_000).toISOString(),
  lat: 0,
  lng,
  accuracy: null,
  speed,
  heading: null,
  altitude: null,
  source: 'gps' as const,
  sessionId: 1,
})

/** Metres of a degree on the equator. */
const DEGREE = 111_195

test('a replay knows place, speed and distance at any moment', () => {
  const replay = createReplay([point(0, 0), point(100, 0.01), point(200, 0.03)])
  expect(replay.distanceM / DEGREE).toBeCloseTo(0.03, 4)
  const moment = replay.at(150_000)
  expect(moment.lng).toBeCloseTo(0.02)
  expect(moment.distanceM / DEGREE).toBeCloseTo(0.02, 4)
  expect(moment.heading).toBeCloseTo(90)
  expect(moment.speed).toBeCloseTo((0.015 * DEGREE) / 100, 0)
  expect(moment.index).toBe(1)
  expect(replay.at(-5).lng).toBe(0)
  expect(replay.at(1e9).lng).toBeCloseTo(0.03)
})

test('in a silence the device waits where it was last seen', () => {
  const replay = createReplay([point(0, 0), point(1_000, 1)])
  expect(replay.at(500_000).lng).toBe(0)
  expect(replay.speeds(3)).toEqual([0, 0, expect.any(Number)])
})

test('points of the same moment make nobody fast', () => {
  const replay = createReplay([point(0, 0), point(100, 0.01), point(100.001, 0.011)])
  expect(replay.at(100_001).speed).toBeCloseTo((0.01 * DEGREE) / 100, 4)
})

test('no line is drawn through a silence', () => {
  const points = [0, 10, 1_000, 1_010].map((seconds) => ({
    recordedMs: seconds * 1_000,
    lng: seconds,
    lat: 0,
  }))
  expect(waysOf(points)).toEqual([
    [
      [0, 0],
      [10, 0],
    ],
    [
      [1_000, 0],
      [1_010, 0],
    ],
  ])
})

test('devices are listed with those first that are there, numbers in names by their value', () => {
  const device = (deviceId: number, name: string, online: boolean) =>
    ({ deviceId, name, online }) as DeviceView
  const devices = [device(1, 'Bus 10', true), device(2, 'Bus 9', true), device(3, 'Ant', false)]
  expect(orderedDevices(devices, '').map(({ name }) => name)).toEqual(['Bus 9', 'Bus 10', 'Ant'])
  expect(orderedDevices(devices, ' bus 1').map(({ name }) => name)).toEqual(['Bus 10'])
})

test('sessions that are read again take the place of those that are listed, and older ones stay', () => {
  const page = (next: string | null, ...minutes: [minute: number, id: number][]) =>
    ({
      next,
      sessions: minutes.map(([minute, id]) => ({ id, startedAt: new Date(minute * 60_000).toISOString() })),
    }) as unknown as SessionsJson
  const ids = ({ sessions }: SessionsJson) => sessions.map(({ id }) => id)
  const first = withNewest(null, page('a', [50, 5], [40, 4]))
  const held = { sessions: [...first.sessions, ...page(null, [30, 3]).sessions], next: 'b' }
  const again = withNewest(held, page('c', [60, 6], [50, 5]))
  expect(ids(again)).toEqual([6, 5, 4, 3])
  expect(again.next).toBe('b')
  // Two automatic sessions became one.
  expect(ids(withNewest(held, page('c', [50, 5], [35, 4])))).toEqual([5, 4, 3])
  expect(withNewest(first, page('c', [50, 5], [40, 4])).next).toBe('c')
  expect(withNewest(held, page(null))).toEqual(page(null))
})

test('who does not hear the hub calls nobody online', () => {
  const last = { recordedMs: 100_000, speed: 5, heading: 90 }
  const words = (device: object, isHearing: boolean) => {
    const { state, detail } = deviceWords(device as DeviceView, 102_000, isHearing)
    return [state, detail]
  }
  expect(words({ last, online: true }, true)).toEqual(['online', '18 km/h E · 2 s ago'])
  expect(words({ last, online: true }, false)).toEqual(['unknown', 'position is 2 s old'])
  expect(words({ last: null, online: true }, false)).toEqual(['unknown', 'no position yet'])
  expect(words({ last: { ...last, speed: null }, online: true }, true)).toEqual(['online', '2 s ago'])
})

test('points are as many as the hub asked for, and more at a jump', () => {
  const last = { lat: 50, lng: 8, atMs: 100_000 }
  expect(isWorthAPoint(null, last, 15_000)).toBe(true)
  expect(isWorthAPoint(last, { ...last, atMs: 105_000 }, 15_000)).toBe(false)
  expect(isWorthAPoint(last, { ...last, atMs: 114_000 }, 15_000)).toBe(true)
  expect(isWorthAPoint(last, { ...last, lat: 50.01, atMs: 101_000 }, 15_000)).toBe(true)
  expect(isWorthAPoint(last, { ...last, lat: 50.01, atMs: 99_000 }, 15_000)).toBe(false)
})

test('codes and tokens are found in links, and taken bare', () => {
  expect(codeIn(' abc ')).toBe('abc')
  expect(codeIn('https://hub.example.org/track#pair=abc')).toBe('abc')
  expect(tokenIn('http://127.0.0.1:9001/#token=a.b.c')).toBe('a.b.c')
  expect(tokenIn(' a.b.c\n')).toBe('a.b.c')
})

test('the graticule has round lines in sight, with names', () => {
  const lines = graticuleOf({ west: 0.5, east: 0.51, north: 0.33, south: 0.34 }, 100_000)
  expect(lines.filter(({ axis }) => axis === 'lng').map(({ label }) => label)).toEqual([
    '0.0°',
    '0.5° E',
    '1.0° E',
    '1.5° E',
    '2.0° E',
    '2.5° E',
    '3.0° E',
    '3.5° E',
  ])
  expect(lines.filter(({ axis }) => axis === 'lat').every(({ y0 }) => y0 >= 0.33 && y0 <= 0.34)).toBe(true)
})

test('rates come from counts, and a hub that was started anew begins anew', () => {
  const samples = createSamples()
  const points = CHARTS[0]!
  samples.add({ atS: 10, stats: { pointsReceived: 100, uptimeS: 50 } })
  samples.add({ atS: 12, stats: { pointsReceived: 140, uptimeS: 52 } })
  expect(samples.series(points)).toEqual([[12], [20], [0], [0]])
  samples.add({ atS: 13, stats: { pointsReceived: 3, uptimeS: 0 } })
  expect(samples.series(points)).toEqual([[], [], [], []])
})

test('what figures mean is read from /metrics', () => {
  const meanings = meaningsIn(
    '# HELP alzy_points_received_total Points in them\n# HELP alzy_devices Device connections\n',
  )
  expect(meanings.get('pointsReceived')).toBe('Points in them')
  expect(meanings.get('devices')).toBe('Device connections')
  expect(plain('pointsReceived')).toBe('points received')
})

test('figures in words', () => {
  expect([speedWords(1), speedWords(10), speedWords(null)]).toEqual(['3.6 km/h', '36 km/h', '–'])
  expect([distanceWords(999), distanceWords(1_234)]).toEqual(['999 m', '1.2 km'])
  expect([ageWords(-5), ageWords(59_999), ageWords(7_200_000)]).toEqual(['0 s', '59 s', '2 h'])
  expect([compassWords(359), compassWords(91), compassWords(225)]).toEqual(['N', 'E', 'SW'])
  expect([countWords(0.25), countWords(12_345), countWords(25_000_000)]).toEqual(['0.3', '12 345', '25.0 M'])
})
