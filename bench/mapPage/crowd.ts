/** So many devices around one city, each with a new point every second: the same for whoever draws them. */
import { DEVICE_COLORS, type DeviceView, type SeenPoint, type ViewerEvent } from '../../src/client/browser.ts'

const CENTRE = { lat: 52.52, lng: 13.405 }
const SPREAD_DEGREES = 0.12
const SPEED_MPS = 12
const METRES_PER_DEGREE = 111_195
const TURN_DEGREES = 40
/** Points come spread over the second, as from devices that know nothing of each other. */
const SLICES = 50
const SECOND_MS = 1_000

export type Hear = (event: ViewerEvent) => void

export function createCrowd(count: number) {
  const devices = new Map<number, DeviceView>()
  const headings = new Map<number, number>()
  for (let deviceId = 1; deviceId <= count; deviceId++) {
    headings.set(deviceId, chance(deviceId) * 360)
    const lat = CENTRE.lat + (chance(deviceId * 3) - 0.5) * SPREAD_DEGREES
    const lng = CENTRE.lng + (chance(deviceId * 7) - 0.5) * SPREAD_DEGREES * 2
    devices.set(deviceId, {
      deviceId,
      userId: 1,
      name: `Device ${deviceId}`,
      color: DEVICE_COLORS[deviceId % DEVICE_COLORS.length]!,
      platform: 'android',
      online: true,
      lastSeenMs: Date.now(),
      session: { startedMs: 1, status: 'active' },
      last: point(lat, lng, headings.get(deviceId)!),
    })
  }
  return { devices, start }

  function start(hear: Hear): void {
    let slice = 0
    setInterval(() => {
      slice += 1
      for (let deviceId = 1 + (slice % SLICES); deviceId <= count; deviceId += SLICES) {
        hear(step(devices.get(deviceId)!, slice))
      }
    }, SECOND_MS / SLICES)
  }

  function step(device: DeviceView, slice: number): ViewerEvent {
    const heading = headings.get(device.deviceId)! + (chance(device.deviceId + slice) - 0.5) * TURN_DEGREES
    headings.set(device.deviceId, heading)
    const radians = (heading * Math.PI) / 180
    const { lat, lng } = device.last!
    const metres = SPEED_MPS / METRES_PER_DEGREE
    device.last = point(lat + Math.cos(radians) * metres, lng + Math.sin(radians) * metres * 1.6, heading)
    return { type: 'points', device, session: 1, points: [device.last] }
  }
}

function point(lat: number, lng: number, heading: number): SeenPoint {
  return {
    recordedMs: Date.now(),
    lat,
    lng,
    accuracy: 8,
    speed: SPEED_MPS,
    heading: ((heading % 360) + 360) % 360,
    altitude: null,
    source: 'gps',
    session: 1,
  }
}

/** 0…1, the same for the same seed. */
function chance(seed: number): number {
  const x = Math.sin(seed * 12.9898) * 43_758.5453
  return x - Math.floor(x)
}
