/** The scene: the chart of the live map, or a DOM marker of MapLibre for each device, under the same crowd. */
import { Map as MapLibreMap, Marker, setWorkerUrl } from 'maplibre-gl'
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url'
import { colorOf } from '../../src/web/look/colors.ts'
import { createTheme } from '../../src/web/look/theme.ts'
import { openChart } from '../../src/web/map/chart/chart.ts'
import { DARK, LIGHT, outlineStyle } from '../../src/web/map/chart/outlines.ts'
import { latOf, lngOf } from '../../src/web/map/mercator.ts'
import { createMotion, verticesOf } from '../../src/web/map/motion.ts'
import { boundsOf } from '../../src/web/map/opening.ts'
import { createCrowd } from './crowd.ts'

const asked = new URLSearchParams(location.search)
const crowd = createCrowd(Number(asked.get('devices')))
const ground = document.querySelector<HTMLElement>('#ground')!
const bounds = boundsOf([...crowd.devices.values()].map(({ last }) => last!))!
let frames = 0

if (asked.get('draw') === 'markers') drawMarkers()
else drawChart()
requestAnimationFrame(function count() {
  frames += 1
  requestAnimationFrame(count)
})
Object.assign(window, { framesDrawn: () => frames })

function drawChart(): void {
  const chart = openChart({
    container: ground,
    watch: {
      devices: crowd.devices,
      now: Date.now,
      isHearing: true,
      listen: (hear) => {
        crowd.start(hear)
        return () => true
      },
    },
    theme: createTheme(),
    mapStyle: null,
    insets: { top: 0, right: 0, bottom: 0, left: 0 },
    onPick: () => {},
    onMoved: () => {},
    onPassed: () => {},
  })
  chart.fit(bounds, true)
}

/** As most maps do it: an element for each, moved in every frame. */
function drawMarkers(): void {
  setWorkerUrl(workerUrl)
  const isDark = matchMedia('(prefers-color-scheme: dark)').matches
  const map = new MapLibreMap({
    container: ground,
    style: outlineStyle(isDark ? DARK : LIGHT),
    attributionControl: false,
    bounds: [bounds.west, bounds.south, bounds.east, bounds.north],
  })
  const motion = createMotion()
  const markers = new Map(
    [...crowd.devices.values()].map((device) => [device.deviceId, markerOf(device.color)]),
  )
  const slots = new Map<number, number>()
  const before = new Map([...crowd.devices.values()].map(({ deviceId, last }) => [deviceId, last!]))
  for (const { deviceId, last } of crowd.devices.values()) {
    slots.set(deviceId, motion.add())
    motion.place(slots.get(deviceId)!, verticesOf([last!], null)[0]!)
    markers.get(deviceId)!.setLngLat([last!.lng, last!.lat]).addTo(map)
  }
  crowd.start((event) => {
    if (event.type !== 'points') return
    const { deviceId } = event.device
    const vertices = verticesOf(event.points, before.get(deviceId)!)
    motion.glide(slots.get(deviceId)!, vertices, 1_000, performance.now())
    before.set(deviceId, event.points[0]!)
  })
  requestAnimationFrame(function move(nowMs) {
    motion.advance(nowMs, () => {})
    for (const [deviceId, slot] of slots) {
      const marker = markers.get(deviceId)!
      marker.setLngLat([lngOf(motion.x[slot]!), latOf(motion.y[slot]!)])
      marker.setRotation(motion.heading[slot]!)
    }
    requestAnimationFrame(move)
  })
  map.on('load', () => {
    ground.dataset.ready = 'true'
  })
}

function markerOf(color: Parameters<typeof colorOf>[0]): Marker {
  const element = document.createElement('div')
  Object.assign(element.style, {
    width: '14px',
    height: '14px',
    borderRadius: '50% 50% 50% 0',
    border: '2px solid white',
    background: colorOf(color, false),
  })
  return new Marker({ element })
}
