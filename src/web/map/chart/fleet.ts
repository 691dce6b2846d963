/**
 * Devices as the chart draws them: which slot of the motion is whose, in which colour and state. It turns what the
 * hub says into glides and jumps, and judges once a second how old everything has become.
 */
import type { DeviceView, SeenPoint, ViewerEvent } from '../../../client/browser.ts'
import { bytesOf, colorOf } from '../../look/colors.ts'
import { type Freshness, freshnessOf } from '../freshness.ts'
import { unitsPerMetre } from '../mercator.ts'
import { GAP_MS, type Motion, type Vertex, verticesOf } from '../motion.ts'
import type { Look } from './layer.ts'
import type { Trails } from './trails.ts'

export interface FleetOptions {
  motion: Motion
  trails: Trails
  devices: ReadonlyMap<number, DeviceView>
  isDark: () => boolean
  isHearing: () => boolean
  /** Nobody wants to see things move by themselves. */
  isCalm: () => boolean
  /** A clock that never jumps. */
  elapsedMs: () => number
  /** The hub's clock. */
  hubNowMs: () => number
  /** The way that a device has gone, as it appears. */
  onPassed: (deviceId: number, vertex: Vertex) => void
}

interface Shown {
  slot: number
  /** The newest point that was taken. */
  last: SeenPoint | null
  session: number | null
}

const STATES: Readonly<Record<Freshness, number>> = { moving: 0, still: 1, stale: 2, offline: 3, unplaced: 3 }
const SELECTED_SIZE = 1.4

export type Fleet = ReturnType<typeof createFleet>

export function createFleet(options: FleetOptions) {
  const { motion, trails, devices } = options
  const shown = new Map<number, Shown>()
  const idOf: (number | undefined)[] = []
  const looks: (Look | null)[] = []
  let selectedId: number | null = null

  return { looks, hear, refresh, advance, slotOf, deviceAt, select }

  function hear(event: ViewerEvent): void {
    switch (event.type) {
      case 'points':
        move(event.device, event.points)
        break
      case 'updated':
      case 'snapshot':
        for (const device of event.devices) move(device, device.last === null ? [] : [device.last])
        break
      case 'device':
      case 'presence':
        move(event.device, [])
        break
      case 'gone':
        remove(event.deviceId)
    }
  }

  function move(device: DeviceView, points: readonly SeenPoint[]): void {
    const one = shown.get(device.deviceId) ?? enter(device)
    const before = one.last
    const newer = points.filter(({ recordedMs }) => before === null || recordedMs > before.recordedMs)
    const last = newer.at(-1)
    if (last !== undefined) {
      const vertices = verticesOf(newer, before)
      if (before === null || isGap(one, before, newer) || options.isCalm())
        motion.place(one.slot, vertices.at(-1)!)
      else motion.glide(one.slot, vertices, last.recordedMs - before.recordedMs, options.elapsedMs())
      one.last = last
      one.session = last.session
    }
    dress(device, one.slot)
  }

  /** Nobody knows the way between: it is not drawn as one. */
  function isGap(one: Shown, before: SeenPoint, points: readonly SeenPoint[]): boolean {
    const first = points[0]!
    return one.session !== first.session || first.recordedMs - before.recordedMs > GAP_MS
  }

  function enter({ deviceId }: DeviceView): Shown {
    const one: Shown = { slot: motion.add(), last: null, session: null }
    shown.set(deviceId, one)
    idOf[one.slot] = deviceId
    return one
  }

  function remove(deviceId: number): void {
    const one = shown.get(deviceId)
    if (one === undefined) return
    motion.remove(one.slot)
    looks[one.slot] = null
    idOf[one.slot] = undefined
    shown.delete(deviceId)
    // Nobody knows which stretches were its own, and where it went is not to be seen any more.
    trails.clear()
  }

  function dress(device: DeviceView, slot: number): void {
    const freshness = freshnessOf(device, options.hubNowMs(), options.isHearing())
    const y = motion.y[slot]!
    looks[slot] = {
      color: bytesOf(colorOf(device.color, options.isDark())),
      state: STATES[freshness],
      accuracy: (device.last?.accuracy ?? 0) * (Number.isNaN(y) ? 0 : unitsPerMetre(y)),
      size: device.deviceId === selectedId ? SELECTED_SIZE : 1,
    }
  }

  /** What was fresh may have become stale; colours may be those of another theme. */
  function refresh(): void {
    for (const [deviceId, { slot }] of shown) {
      const device = devices.get(deviceId)
      if (device !== undefined) dress(device, slot)
    }
  }

  function advance(): number {
    const nowMs = options.elapsedMs()
    return motion.advance(nowMs, (slot, x0, y0, vertex) => {
      const look = looks[slot]
      const deviceId = idOf[slot]
      if (look == null || deviceId === undefined) return
      trails.add(x0, y0, vertex.x, vertex.y, nowMs, look.color)
      options.onPassed(deviceId, vertex)
    })
  }

  function slotOf(deviceId: number): number | null {
    return shown.get(deviceId)?.slot ?? null
  }

  function deviceAt(slot: number): DeviceView | undefined {
    const deviceId = idOf[slot]
    return deviceId === undefined ? undefined : devices.get(deviceId)
  }

  function select(deviceId: number | null): void {
    selectedId = deviceId
    refresh()
  }
}
