/**
 * Smooth movement: points come in jerks, markers glide. Each device plays the points it got over about the time that
 * passed between them, so that it arrives when the next one is due; only a gap or a new session makes it jump.
 * Positions are Mercator units (0…1) in doubles. It knows neither maps nor the clock.
 */
import type { SeenPoint } from '../../client/browser.ts'
import { mercatorX, mercatorY } from './mercator.ts'

export interface Vertex {
  x: number
  y: number
  heading: number | null
  recordedMs: number
}

/** The way from a place to the next vertex, done. */
export type Passed = (slot: number, x0: number, y0: number, vertex: Vertex) => void

/** Between points that lie further apart in time nobody knows what happened. */
export const GAP_MS = 60_000
const GLIDE_MS_MIN = 250
const GLIDE_MS_MAX = 15_000
/** A little longer than the last interval, so that the next point finds the marker still on its way. */
const STRETCH = 1.1
/** How fast a marker turns: the share of the difference that is left after this long is 1/e. */
const TURN_MS = 180
const SLOTS_MIN = 256
/** A marker so far behind, as in a tab that was hidden, does not catch up by running. */
const WAY_VERTICES_MAX = 64

const NOWHERE = { x: Number.NaN, y: Number.NaN, heading: null }

interface Timed extends Vertex {
  atMs: number
}

export type Motion = ReturnType<typeof createMotion>

export function createMotion() {
  let capacity = SLOTS_MIN
  /** What is shown now. */
  let x = new Float64Array(capacity)
  let y = new Float64Array(capacity)
  let heading = new Float32Array(capacity).fill(Number.NaN)
  /** The last vertex that was passed: where the line behind the marker begins. */
  let behindX = new Float64Array(capacity)
  let behindY = new Float64Array(capacity)
  let fromX = new Float64Array(capacity)
  let fromY = new Float64Array(capacity)
  let fromMs = new Float64Array(capacity)
  let targetHeading = new Float32Array(capacity).fill(Number.NaN)
  const ways: Timed[][] = []
  const free: number[] = []
  let slots = 0
  let lastMs = 0

  return {
    add,
    remove,
    place,
    glide,
    advance,
    get slots() {
      return slots
    },
    get x() {
      return x
    },
    get y() {
      return y
    },
    get heading() {
      return heading
    },
    get behindX() {
      return behindX
    },
    get behindY() {
      return behindY
    },
  }

  /** A place for one more device; its number stays. */
  function add(): number {
    const slot = free.pop() ?? slots++
    if (slot >= capacity) grow()
    ways[slot] = []
    place(slot, NOWHERE)
    return slot
  }

  function remove(slot: number): void {
    place(slot, NOWHERE)
    free.push(slot)
  }

  /** At once, without a way. */
  function place(slot: number, vertex: Omit<Vertex, 'recordedMs'>): void {
    ways[slot]!.length = 0
    x[slot] = behindX[slot] = fromX[slot] = vertex.x
    y[slot] = behindY[slot] = fromY[slot] = vertex.y
    heading[slot] = targetHeading[slot] = vertex.heading ?? Number.NaN
  }

  /** Through what is left of the old way and then `vertices`, in about `intervalMs`. */
  function glide(slot: number, vertices: readonly Vertex[], intervalMs: number, nowMs: number): void {
    if (Number.isNaN(x[slot]!) || ways[slot]!.length > WAY_VERTICES_MAX) return place(slot, vertices.at(-1)!)
    const way: Timed[] = [...ways[slot]!, ...vertices.map((vertex) => ({ ...vertex, atMs: 0 }))]
    fromX[slot] = x[slot]!
    fromY[slot] = y[slot]!
    fromMs[slot] = nowMs
    const durationMs = Math.min(Math.max(intervalMs * STRETCH, GLIDE_MS_MIN), GLIDE_MS_MAX)
    schedule(way, x[slot]!, y[slot]!, nowMs, durationMs)
    ways[slot] = way
    targetHeading[slot] = way[0]!.heading ?? targetHeading[slot]!
  }

  /** Moves every device to where it is at `nowMs`. Returns how many are under way. */
  function advance(nowMs: number, passed: Passed): number {
    const turn = 1 - Math.exp(-Math.max(0, nowMs - lastMs) / TURN_MS)
    lastMs = nowMs
    let moving = 0
    for (let slot = 0; slot < slots; slot++) {
      const way = ways[slot]!
      if (way.length === 0) continue
      moving += 1
      while (way.length > 0 && way[0]!.atMs <= nowMs) pass(slot, way.shift()!, passed)
      turnTo(slot, way.length === 0 ? 1 : turn)
      if (way.length === 0) continue
      const next = way[0]!
      const part = (nowMs - fromMs[slot]!) / (next.atMs - fromMs[slot]!)
      x[slot] = fromX[slot]! + (next.x - fromX[slot]!) * part
      y[slot] = fromY[slot]! + (next.y - fromY[slot]!) * part
    }
    return moving
  }

  function pass(slot: number, vertex: Timed, passed: Passed): void {
    passed(slot, behindX[slot]!, behindY[slot]!, vertex)
    x[slot] = behindX[slot] = fromX[slot] = vertex.x
    y[slot] = behindY[slot] = fromY[slot] = vertex.y
    fromMs[slot] = vertex.atMs
    const following = ways[slot]![0] ?? vertex
    targetHeading[slot] = following.heading ?? targetHeading[slot]!
  }

  function turnTo(slot: number, share: number): void {
    const target = targetHeading[slot]!
    if (Number.isNaN(heading[slot]!) || Number.isNaN(target)) heading[slot] = target
    else heading[slot] = heading[slot]! + turnBetween(heading[slot]!, target) * share
  }

  function grow(): void {
    capacity *= 2
    x = larger(x, capacity)
    y = larger(y, capacity)
    behindX = larger(behindX, capacity)
    behindY = larger(behindY, capacity)
    fromX = larger(fromX, capacity)
    fromY = larger(fromY, capacity)
    fromMs = larger(fromMs, capacity)
    heading = larger32(heading, capacity)
    targetHeading = larger32(targetHeading, capacity)
  }
}

/** Each vertex gets the moment at which it is reached, by its distance along the way. */
function schedule(way: Timed[], x: number, y: number, nowMs: number, durationMs: number): void {
  let total = 0
  let [lastX, lastY] = [x, y]
  const distances = way.map((vertex) => {
    total += Math.hypot(vertex.x - lastX, vertex.y - lastY)
    lastX = vertex.x
    lastY = vertex.y
    return total
  })
  for (const [i, vertex] of way.entries()) {
    const share = total === 0 ? (i + 1) / way.length : distances[i]! / total
    vertex.atMs = nowMs + Math.max(share * durationMs, 1)
  }
}

/** The vertices of points as they came, with the direction of travel where a device does not say. */
export function verticesOf(points: readonly SeenPoint[], before: SeenPoint | null): Vertex[] {
  let [lastX, lastY] =
    before === null ? [Number.NaN, Number.NaN] : [mercatorX(before.lng), mercatorY(before.lat)]
  return points.map(({ lng, lat, heading, recordedMs }) => {
    const [x, y] = [mercatorX(lng), mercatorY(lat)]
    const course = courseBetween(lastX, lastY, x, y)
    lastX = x
    lastY = y
    return { x, y, heading: heading ?? course, recordedMs }
  })
}

/** About a metre and a half at the equator: less is noise. */
const MOVED_MIN = 4e-8

export function courseBetween(x0: number, y0: number, x1: number, y1: number): number | null {
  const [dx, dy] = [x1 - x0, y1 - y0]
  if (!(Math.hypot(dx, dy) > MOVED_MIN)) return null
  return ((Math.atan2(dx, -dy) * 180) / Math.PI + 360) % 360
}

/** The shorter way round, −180…180. */
export function turnBetween(from: number, to: number): number {
  return ((((to - from) % 360) + 540) % 360) - 180
}

function larger(array: Float64Array, length: number): Float64Array<ArrayBuffer> {
  const next = new Float64Array(length)
  next.set(array)
  return next
}

function larger32(array: Float32Array, length: number): Float32Array<ArrayBuffer> {
  const next = new Float32Array(length).fill(Number.NaN)
  next.set(array)
  return next
}
