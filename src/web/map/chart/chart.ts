/**
 * The map: ground, devices, words and the camera. It draws what it is told and says what was picked; lists, panels and
 * the hub's API are other people's.
 */
import 'maplibre-gl/dist/maplibre-gl.css'
import { effect, signal } from '@preact/signals'
import {
  AttributionControl,
  Map as MapLibreMap,
  ScaleControl,
  setWorkerCount,
  setWorkerUrl,
} from 'maplibre-gl'
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url'
import { systemClock } from '../../../clock.ts'
import type { Theme } from '../../look/theme.ts'
import { ageWords } from '../../look/words.ts'
import { latOf, lngOf, mercatorX, mercatorY } from '../mercator.ts'
import { createMotion } from '../motion.ts'
import type { Bounds } from '../opening.ts'
import type { Watch } from '../watch.ts'
import { createFleet } from './fleet.ts'
import { type GridLine, graticuleOf } from './graticule.ts'
import { createLabels, type DeviceLabel } from './labels.ts'
import { createDeviceLayer } from './layer.ts'
import { addLines, type DrawnWays, drawLines } from './lines.ts'
import {
  type CountryName,
  DARK,
  fetchOutlines,
  fillOutlines,
  LIGHT,
  outlineStyle,
  repaint,
} from './outlines.ts'
import { createTrails } from './trails.ts'

export interface Insets {
  top: number
  right: number
  bottom: number
  left: number
}

export interface ChartOptions {
  container: HTMLElement
  watch: Pick<Watch, 'devices' | 'listen' | 'now' | 'isHearing'>
  theme: Theme
  mapStyle: string | null
  insets: Insets
  onPick: (deviceId: number | null) => void
  /** Someone moved the map by hand. */
  onMoved: () => void
  /** The way that a device has gone, as it appears. */
  onPassed: (deviceId: number, at: { recordedMs: number; lng: number; lat: number }) => void
}

export interface ReplayPlace {
  lng: number
  lat: number
  heading: number | null
}

export type Chart = ReturnType<typeof openChart>

const PICK_PIXELS = 20
const LABELS_MAX = 160
const REFRESH_MS = 1_000
const FIT_ZOOM_MAX = 15.5
const CLOSE_ZOOM_MIN = 13.5
const EASE_MS = 700
/** What of the way to a followed device is left after this long is 1/e. */
const FOLLOW_MS = 220
const TILE_PIXELS = 512

export function openChart({
  container,
  watch,
  theme,
  mapStyle,
  insets,
  onPick,
  onMoved,
  onPassed,
}: ChartOptions) {
  // One is enough for outlines, and each costs memory.
  setWorkerCount(mapStyle === null ? 1 : 2)
  setWorkerUrl(workerUrl)
  const coarse = mapStyle === null ? fetchOutlines('coarse') : null
  const calm = matchMedia('(prefers-reduced-motion: reduce)')
  const motion = createMotion()
  const trails = createTrails()
  const fleet = createFleet({
    motion,
    trails,
    devices: watch.devices,
    isDark: () => theme.isDark.peek(),
    isHearing: () => watch.isHearing,
    isCalm: () => calm.matches,
    elapsedMs: systemClock.elapsed,
    hubNowMs: watch.now,
    onPassed: (deviceId, { x, y, recordedMs }) =>
      onPassed(deviceId, { recordedMs, lng: lngOf(x), lat: latOf(y) }),
  })
  const palette = () => (theme.isDark.peek() ? DARK : LIGHT)
  const map = new MapLibreMap({
    container,
    style: mapStyle ?? outlineStyle(palette()),
    attributionControl: false,
    renderWorldCopies: false,
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    fadeDuration: 0,
    maxZoom: 19,
    center: [10, 30],
    zoom: 1.6,
  })
  map.touchZoomRotate.disableRotation()
  map.keyboard.disableRotation()
  map.addControl(new AttributionControl({ compact: true }), 'bottom-right')
  map.addControl(new ScaleControl({ maxWidth: 90 }), 'bottom-right')
  const words = document.createElement('canvas')
  words.className = 'words'
  words.setAttribute('aria-hidden', 'true')
  map.getCanvasContainer().append(words)
  const labels = createLabels(words)

  const isReady = signal(false)
  let padding = insets
  let countries: CountryName[] = []
  let grid: GridLine[] = []
  let selectedId: number | null = null
  let followedId: number | null = null
  let replaySlot: number | null = null
  let lines: DrawnWays | null = null
  let frame = 0
  let lastFrameMs = 0
  let refreshedMs = 0
  let isClosed = false

  const layer = createDeviceLayer({
    motion,
    trails,
    looks: fleet.looks,
    topSlot: () => replaySlot ?? (selectedId === null ? null : fleet.slotOf(selectedId)),
    onlySlot: () => replaySlot,
    grid: () => grid,
    centre,
    colors: palette,
    viewport,
    markerScale: () => Math.min(1.15, Math.max(0.7, 0.55 + map.getZoom() * 0.045)),
    now: systemClock.elapsed,
  })
  // Devices do not wait for the land to be drawn.
  map.once('style.load', () => {
    addLines(map)
    map.addLayer(layer)
    if (coarse !== null) {
      fillOutlines(map, coarse, (names) => {
        countries = names
        map.triggerRepaint()
      })
    }
    if (lines !== null) drawLines(map, lines)
    container.dataset.ready = 'true'
    isReady.value = true
  })
  map.on('move', rule)
  map.on('resize', rule)
  map.on('render', drawWords)
  map.on('click', (event) => {
    if (replaySlot === null) onPick(pick(event.point.x, event.point.y))
  })
  map.on('mousemove', (event) => {
    const isOver = replaySlot === null && pick(event.point.x, event.point.y) !== null
    map.getCanvas().style.cursor = isOver ? 'pointer' : ''
  })
  map.on('dragstart', moved)
  map.on('wheel', (event) => {
    if (followedId === null) moved(event)
  })
  const stopListening = watch.listen((event) => {
    fleet.hear(event)
    if (event.type === 'state') fleet.refresh()
    map.triggerRepaint()
  })
  const stopTheme = effect(() => {
    theme.isDark.value
    fleet.refresh()
    if (isReady.value && mapStyle === null) repaint(map, palette())
    if (isReady.value && lines !== null) drawLines(map, lines)
    map.triggerRepaint()
  })
  for (const device of watch.devices.values()) fleet.hear({ type: 'updated', devices: [device] })
  const endGrowing = systemClock.every(REFRESH_MS, grow)
  frame = requestAnimationFrame(animate)
  rule()

  return { isReady, select, follow, fit, show, pan, zoom, showWays, replay, setInsets, close }

  function animate(nowMs: number): void {
    frame = requestAnimationFrame(animate)
    const moving = fleet.advance()
    if (followedId !== null) keepInSight(followedId, nowMs - lastFrameMs)
    lastFrameMs = nowMs
    if (moving > 0) map.triggerRepaint()
  }

  /** Also where no frames are drawn, as in a hidden tab, time goes on. */
  function grow(): void {
    if (systemClock.elapsed() - refreshedMs < REFRESH_MS / 2) return
    refreshedMs = systemClock.elapsed()
    fleet.advance()
    fleet.refresh()
    map.triggerRepaint()
  }

  function keepInSight(deviceId: number, passedMs: number): void {
    const slot = fleet.slotOf(deviceId)
    if (slot === null || Number.isNaN(motion.x[slot]!) || map.isZooming()) return
    const from = centre()
    const target = offsetBy(motion.x[slot]!, motion.y[slot]!)
    const share = calm.matches ? 1 : 1 - Math.exp(-Math.min(passedMs, 1_000) / FOLLOW_MS)
    const x = from.x + (target.x - from.x) * share
    const y = from.y + (target.y - from.y) * share
    if (Math.hypot(x - from.x, y - from.y) * worldPixels() < 0.05) return
    map.jumpTo({ center: [lngOf(x), latOf(y)] })
  }

  /** The centre that brings a place into the middle of what is not covered. */
  function offsetBy(x: number, y: number): { x: number; y: number } {
    const pixels = worldPixels()
    return {
      x: x - (padding.left - padding.right) / 2 / pixels,
      y: y - (padding.top - padding.bottom) / 2 / pixels,
    }
  }

  function moved(event: { originalEvent?: unknown }): void {
    if (event.originalEvent !== undefined) onMoved()
  }

  function centre(): { x: number; y: number } {
    const { lng, lat } = map.getCenter()
    return { x: mercatorX(lng), y: mercatorY(lat) }
  }

  function viewport(): { width: number; height: number } {
    const { clientWidth, clientHeight } = map.getContainer()
    return { width: Math.max(1, clientWidth), height: Math.max(1, clientHeight) }
  }

  function worldPixels(): number {
    return TILE_PIXELS * 2 ** map.getZoom()
  }

  function rule(): void {
    if (mapStyle !== null) return
    const { x, y } = centre()
    const { width, height } = viewport()
    const pixels = worldPixels()
    grid = graticuleOf(
      {
        west: Math.max(0, x - width / 2 / pixels),
        east: Math.min(1, x + width / 2 / pixels),
        north: Math.max(0, y - height / 2 / pixels),
        south: Math.min(1, y + height / 2 / pixels),
      },
      pixels,
    )
  }

  function pick(px: number, py: number): number | null {
    const { x, y } = centre()
    const { width, height } = viewport()
    const pixels = worldPixels()
    let best: number | null = null
    let bestDistance = PICK_PIXELS
    for (let slot = 0; slot < motion.slots; slot++) {
      const distance = Math.hypot(
        (motion.x[slot]! - x) * pixels + width / 2 - px,
        (motion.y[slot]! - y) * pixels + height / 2 - py,
      )
      if (distance < bestDistance) [best, bestDistance] = [slot, distance]
    }
    return best === null ? null : (fleet.deviceAt(best)?.deviceId ?? null)
  }

  function drawWords(): void {
    if (isClosed) return
    const { x, y } = centre()
    const { width, height } = viewport()
    const pixels = worldPixels()
    const toX = (at: number) => (at - x) * pixels + width / 2
    const toY = (at: number) => (at - y) * pixels + height / 2
    labels.draw({
      width,
      height,
      palette: palette(),
      devices: replaySlot === null ? deviceLabels(toX, toY, width, height) : [],
      countries: mapStyle === null ? countries : [],
      grid,
      insets: padding,
      pixelsPerDegree: pixels / 360,
      toX,
      toY,
      placeOf: (lng, lat) => ({ x: toX(mercatorX(lng)), y: toY(mercatorY(lat)) }),
      font: '"Geist Variable", system-ui, sans-serif',
    })
  }

  function deviceLabels(
    toX: (x: number) => number,
    toY: (y: number) => number,
    width: number,
    height: number,
  ): DeviceLabel[] {
    const found: DeviceLabel[] = []
    const nowMs = watch.now()
    for (let slot = 0; slot < motion.slots; slot++) {
      const [px, py] = [toX(motion.x[slot]!), toY(motion.y[slot]!)]
      if (!(px > -20 && px < width + 20 && py > -20 && py < height + 20)) continue
      const device = fleet.deviceAt(slot)
      if (device === undefined) continue
      const isSelected = device.deviceId === selectedId
      // So many that no name would find room: the one that matters, then.
      if (found.length >= LABELS_MAX && !isSelected) continue
      const isOld = (fleet.looks[slot]?.state ?? 0) >= 2
      const age = isOld && device.last !== null ? `${ageWords(nowMs - device.last.recordedMs)} ago` : null
      found.push({ name: device.name, age, x: px, y: py, isSelected })
    }
    if (found.length >= LABELS_MAX) return found.filter(({ isSelected }) => isSelected)
    return found.sort((a, b) => Number(b.isSelected) - Number(a.isSelected))
  }

  function select(deviceId: number | null): void {
    selectedId = deviceId
    fleet.select(deviceId)
    map.triggerRepaint()
  }

  function follow(deviceId: number | null): void {
    followedId = deviceId
    if (deviceId === null) return
    map.stop()
    if (map.getZoom() < CLOSE_ZOOM_MIN) show(deviceId)
  }

  function fit(bounds: Bounds, isAtOnce = false): void {
    const { west, south, east, north } = bounds
    const { width, height } = viewport()
    // On a small screen the panels may leave less than nothing.
    const roomX = Math.max(0, width - padding.left - padding.right - 60) / 2
    const roomY = Math.max(0, height - padding.top - padding.bottom - 60) / 2
    const margin = Math.min(48, roomX, roomY)
    map.fitBounds(
      [
        [west, south],
        [east, north],
      ],
      {
        padding: {
          top: padding.top + margin,
          right: padding.right + margin,
          bottom: padding.bottom + margin,
          left: padding.left + margin,
        },
        maxZoom: FIT_ZOOM_MAX,
        animate: !isAtOnce && !calm.matches,
        duration: EASE_MS,
      },
    )
  }

  /** Brings a device into sight, close enough to see it move. */
  function show(deviceId: number): void {
    const slot = fleet.slotOf(deviceId)
    if (slot === null || Number.isNaN(motion.x[slot]!)) return
    const zoom = Math.max(map.getZoom(), CLOSE_ZOOM_MIN)
    const pixels = TILE_PIXELS * 2 ** zoom
    const x = motion.x[slot]! - (padding.left - padding.right) / 2 / pixels
    const y = motion.y[slot]! - (padding.top - padding.bottom) / 2 / pixels
    map.easeTo({ center: [lngOf(x), latOf(y)], zoom, duration: EASE_MS, animate: !calm.matches })
  }

  function pan(dx: number, dy: number): void {
    map.panBy([dx, dy], { animate: !calm.matches })
  }

  function zoom(by: 1 | -1): void {
    if (by === 1) map.zoomIn({ animate: !calm.matches })
    else map.zoomOut({ animate: !calm.matches })
  }

  function showWays(ways: Omit<DrawnWays, 'casing'> | null): void {
    lines = { whole: [], played: [], color: '#000000', ...ways, casing: palette().halo }
    if (isReady.peek()) drawLines(map, lines)
  }

  /** With a place only that is shown, and no device where it is now; null goes back to live. */
  function replay(place: ReplayPlace | null, color: readonly [number, number, number] = [0, 0, 0]): void {
    if (place === null) {
      if (replaySlot !== null) motion.remove(replaySlot)
      if (replaySlot !== null) fleet.looks[replaySlot] = null
      replaySlot = null
    } else {
      replaySlot ??= motion.add()
      const { lng, lat, heading } = place
      motion.place(replaySlot, { x: mercatorX(lng), y: mercatorY(lat), heading })
      fleet.looks[replaySlot] = { color, state: heading === null ? 1 : 0, accuracy: 0, size: 1.4 }
    }
    map.triggerRepaint()
  }

  function setInsets(next: Insets): void {
    padding = next
    map.triggerRepaint()
  }

  function close(): void {
    isClosed = true
    cancelAnimationFrame(frame)
    endGrowing()
    stopListening()
    stopTheme()
    map.remove()
  }
}
