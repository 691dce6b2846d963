import { expect, test } from 'vitest'
import type { DeviceView, SeenPoint } from '../../src/client/browser.ts'
import { createFleet } from '../../src/web/map/chart/fleet.ts'
import { createTrails } from '../../src/web/map/chart/trails.ts'
import { freshnessOf } from '../../src/web/map/freshness.ts'
import { mercatorX, mercatorY } from '../../src/web/map/mercator.ts'
import {
  courseBetween,
  createMotion,
  turnBetween,
  type Vertex,
  verticesOf,
} from '../../src/web/map/motion.ts'
import { boundsOf, openingOf } from '../../src/web/map/opening.ts'

const at = (x: number, y: number, heading: number | null = null): Vertex => ({ x, y, heading, recordedMs: 0 })

function moving() {
  const motion = createMotion()
  const slot = motion.add()
  const passed: [x0: number, y0: number, x1: number, y1: number][] = []
  return {
    motion,
    slot,
    passed,
    advance: (nowMs: number) =>
      motion.advance(nowMs, (_slot, x0, y0, { x, y }) => void passed.push([x0, y0, x, y])),
    get place() {
      return [motion.x[slot]!, motion.y[slot]!]
    },
  }
}

test('the first point is where the marker is, at once', () => {
  const one = moving()
  expect(one.place).toEqual([Number.NaN, Number.NaN])
  one.motion.glide(one.slot, [at(0.5, 0.25)], 1_000, 0)
  expect(one.place).toEqual([0.5, 0.25])
  expect(one.advance(10_000)).toBe(0)
  expect(one.passed).toEqual([])
})

test('a marker glides to the next point in about the time between the points, and then rests', () => {
  const one = moving()
  one.motion.place(one.slot, at(0.5, 0.5))
  one.motion.glide(one.slot, [at(0.6, 0.5)], 1_000, 0)
  expect(one.advance(550)).toBe(1)
  expect(one.place[0]).toBeCloseTo(0.55)
  expect(one.passed).toEqual([])
  one.advance(1_100)
  expect(one.place).toEqual([0.6, 0.5])
  expect(one.passed).toEqual([[0.5, 0.5, 0.6, 0.5]])
  expect(one.advance(1_200)).toBe(0)
})

test('points that came together are all passed, each at its share of the way', () => {
  const one = moving()
  one.motion.place(one.slot, at(0, 0))
  one.motion.glide(one.slot, [at(0.1, 0), at(0.1, 0.3)], 1_000, 0)
  one.advance(276)
  expect(one.passed).toHaveLength(1)
  expect(one.place[0]).toBeCloseTo(0.1)
  one.advance(5_000)
  expect(one.passed).toEqual([
    [0, 0, 0.1, 0],
    [0.1, 0, 0.1, 0.3],
  ])
})

test('a point that comes early is reached without a jump: the marker goes on from where it is', () => {
  const one = moving()
  one.motion.place(one.slot, at(0, 0))
  one.motion.glide(one.slot, [at(0.1, 0)], 1_000, 0)
  one.advance(550)
  const [before] = one.place
  one.motion.glide(one.slot, [at(0.2, 0)], 1_000, 550)
  one.advance(551)
  expect(one.place[0]! - before!).toBeGreaterThan(0)
  expect(one.place[0]! - before!).toBeLessThan(0.001)
  one.advance(550 + 1_100)
  expect(one.place[0]).toBeCloseTo(0.2)
  // The line behind it has no hole.
  expect(one.passed).toEqual([
    [0, 0, 0.1, 0],
    [0.1, 0, 0.2, 0],
  ])
})

test('a marker that is hopelessly behind, as in a hidden tab, is put where the device is', () => {
  const one = moving()
  one.motion.place(one.slot, at(0, 0))
  for (let i = 1; i <= 100; i++) one.motion.glide(one.slot, [at(i / 1_000, 0)], 1_000, 0)
  expect(one.place[0]).toBeGreaterThan(0.06)
})

test('slots are used again, and there are as many as are needed', () => {
  const motion = createMotion()
  const slots = Array.from({ length: 1_000 }, () => motion.add())
  for (const slot of slots) motion.place(slot, at(slot / 1_000, 0.5))
  expect(slots.every((slot) => motion.x[slot] === slot / 1_000)).toBe(true)
  motion.remove(7)
  expect(motion.x[7]).toBeNaN()
  expect(motion.add()).toBe(7)
  expect(motion.slots).toBe(1_000)
})

test('the direction is what the device says, else that of the way; noise has none', () => {
  const point = {
    accuracy: null,
    speed: null,
    altitude: null,
    source: 'gps',
    session: 1,
    recordedMs: 1,
  } as const
  const before = { ...point, lat: 50, lng: 8, heading: null }
  const [said, computed, none] = verticesOf(
    [
      { ...point, lat: 50.01, lng: 8, heading: 77 },
      { ...point, lat: 50.01, lng: 8.01, heading: null },
      { ...point, lat: 50.01, lng: 8.0100001, heading: null },
    ],
    before,
  )
  expect(said!.heading).toBe(77)
  expect(computed!.heading).toBeCloseTo(90)
  expect(none!.heading).toBeNull()
  expect(courseBetween(0, 0, 0, -1)).toBe(0)
  expect(courseBetween(0, 0, -1, 0)).toBe(270)
  expect(turnBetween(350, 10)).toBe(20)
  expect(turnBetween(10, 350)).toBe(-20)
})

test('Mercator has the world from 0 to 1', () => {
  expect([mercatorX(-180), mercatorX(0), mercatorX(180)]).toEqual([0, 0.5, 1])
  expect(mercatorY(0)).toBeCloseTo(0.5)
  expect(mercatorY(85.0511287798)).toBeCloseTo(0)
})

test('of a device that is gone no trail is left', () => {
  const [motion, trails] = [createMotion(), createTrails()]
  const point = (recordedMs: number, lng: number) =>
    ({ recordedMs, lng, lat: 1, session: 1, accuracy: null, speed: 5, heading: null }) as SeenPoint
  const device = { deviceId: 1, color: 'blue', online: true, last: point(1_000, 1) } as DeviceView
  let nowMs = 0
  const fleet = createFleet({
    motion,
    trails,
    devices: new Map([[1, device]]),
    isDark: () => false,
    isHearing: () => true,
    isCalm: () => false,
    elapsedMs: () => nowMs,
    hubNowMs: () => 1_000,
    onPassed: () => {},
  })
  fleet.hear({ type: 'points', device, points: [point(1_000, 1)], session: 1 })
  fleet.hear({ type: 'points', device, points: [point(2_000, 1.01)], session: 1 })
  nowMs = 5_000
  fleet.advance()
  expect(trails.ranges(nowMs)).toEqual([{ first: 0, count: 1 }])
  fleet.hear({ type: 'gone', deviceId: 1 })
  expect(trails.ranges(nowMs)).toEqual([])
})

test('nothing old looks like new', () => {
  const last = { recordedMs: 1_000, lat: 1, lng: 1, accuracy: null, speed: 5, heading: null, altitude: null }
  const device = { online: true, last: { ...last, source: 'gps', session: 1 } as const }
  expect(freshnessOf(device, 2_000, true)).toBe('moving')
  expect(freshnessOf({ ...device, last: { ...device.last, speed: 0 } }, 2_000, true)).toBe('still')
  expect(freshnessOf(device, 100_000, true)).toBe('stale')
  expect(freshnessOf(device, 2_000, false)).toBe('stale')
  expect(freshnessOf({ ...device, online: false }, 2_000, true)).toBe('offline')
  expect(freshnessOf({ online: true, last: null }, 2_000, true)).toBe('unplaced')
})

test('the map opens on the neighbourhood in which most is going on, and says how much is elsewhere', () => {
  const liverpool = [53.4, 53.41, 53.45].map((lat) => ({ lat, lng: -2.95, isFresh: true }))
  const istria = [45.2, 45.21, 45.3, 45.31].map((lat) => ({ lat, lng: 13.9, isFresh: false }))
  expect(openingOf([...istria, ...liverpool])).toEqual({
    bounds: { west: -2.95, east: -2.95, south: 53.4, north: 53.45 },
    elsewhere: 4,
  })
  expect(openingOf([])).toBeNull()
  expect(boundsOf([])).toBeNull()
})
