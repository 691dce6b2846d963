/**
 * The demo's devices: a bus line, two walkers and a car, whose recorded tracks are sent again and again as
 * if they happened now. Where device keys come from, and what hub this is, is the demo command's business.
 */
import { setMaxListeners } from 'node:events'
import { fileURLToPath } from 'node:url'
import { createDeviceClient, type DeviceClient } from '../client/node.ts'
import { type Clock, systemClock, wait } from '../clock.ts'
import { DEVICE_COLORS, type DeviceColor, type DevicePlatform } from '../protocol/messages.ts'
import { surveyTrack, type TimedFix } from '../tracks/read/survey.ts'
import { createRoute, type Step } from './route.ts'

export interface DemoFleetOptions {
  /** The hub's address. */
  url: string
  /** A key for the device of this name, which is made if it is missing. */
  deviceKeyFor(name: string, color: DeviceColor, platform: DevicePlatform): Promise<string>
  /** A device that cannot go on says why, in one line; the others do. */
  onProblem?: (message: string) => void
  clock?: Pick<Clock, 'now' | 'after'>
  connect?: typeof createDeviceClient
}

export interface DemoFleet {
  /** The names of all devices. */
  devices: string[]
  /** Ends the sessions, waits for the last acknowledgements (at most 5 s), and closes. */
  close(): Promise<void>
}

interface Part {
  file: string
  splitBy?: string
  platform: DevicePlatform
  /** Name of the device, given the value of the column that the file is split by. */
  nameOf(value: string): string
  /** How many times faster than recorded, so that something moves every few seconds. */
  speed: number
}

// A bus reports every 25 s, a walker every 10 s, the car every second or four.
const PARTS: readonly Part[] = [
  {
    file: 'liverpool-bus-14.csv',
    splitBy: 'vehicle_id',
    platform: 'android',
    nameOf: (vehicle) => `Bus ${vehicle}`,
    speed: 5,
  },
  { file: 'cerknicko-jezero.gpx', platform: 'ios', nameOf: () => 'Walk at Cerknica', speed: 5 },
  { file: 'korita-zbevnica.gpx', platform: 'ios', nameOf: () => 'Walk on Žbevnica', speed: 5 },
  { file: 'around-visnjan-with-car.gpx', platform: 'web', nameOf: () => 'Car at Višnjan', speed: 2 },
]

interface Member {
  name: string
  platform: DevicePlatform
  route: Step[]
  /** Index of the step to begin with. */
  from: number
}

/**
 * Connects every device and begins to send; resolves when all have their keys. Rejects when a key cannot be
 * had or a track cannot be read.
 */
export async function createDemoFleet(options: DemoFleetOptions): Promise<DemoFleet> {
  const {
    url,
    deviceKeyFor,
    onProblem = () => {},
    clock = systemClock,
    connect = createDeviceClient,
  } = options
  const stop = new AbortController()
  // Every device waits on it, and more than ten listeners would look like a leak.
  setMaxListeners(0, stop.signal)
  const members = await loadMembers()
  const keys: string[] = []
  for (const [i, { name, platform }] of members.entries()) {
    keys.push(await deviceKeyFor(name, DEVICE_COLORS[i % DEVICE_COLORS.length]!, platform))
  }
  const clients = members.map(({ name }, i) => opened(name, keys[i]!))
  const drives = members.map((member, i) => drive(member, clients[i]!))
  return { devices: members.map(({ name }) => name), close }

  async function close(): Promise<void> {
    stop.abort()
    await Promise.all(drives)
    await Promise.all(clients.map((client) => client.close()))
  }

  function opened(name: string, deviceKey: string): DeviceClient {
    return connect({
      url,
      deviceKey,
      name: 'alzy demo',
      onEvent: (event) => {
        if (event.type !== 'state' || event.state.name !== 'stopped' || stop.signal.aborted) return
        onProblem(`${name} has stopped: ${event.state.reason} (${event.state.code})`)
      },
    })
  }

  /** One device, round and round, a session for each trip. */
  async function drive({ route, from }: Member, client: DeviceClient): Promise<void> {
    let session: number | null = null
    for (let i = from; ; i = (i + 1) % route.length) {
      const step = route[i]!
      if (session !== null) await wait(clock, step.waitMs, stop.signal)
      if (stop.signal.aborted) break
      const nowMs = clock.now()
      if (session === null || step.startsTrip) {
        if (session !== null) tell(client, 'end', session, nowMs)
        session = nowMs
        tell(client, 'start', session, nowMs)
      }
      const { lat, lng, accuracy, speed, heading, altitude } = step
      // Without room the hub has been away for long, and a demo has nothing that must not be lost.
      client.tryRecord({ recordedMs: nowMs, session, lat, lng, accuracy, speed, heading, altitude })
    }
    if (session !== null) tell(client, 'end', session, clock.now())
  }
}

function tell(client: DeviceClient, op: 'start' | 'end', session: number, atMs: number): void {
  // It rejects only when the client has stopped, which the client tells as an event.
  client.session(op, { session, atMs }).catch(() => {})
}

async function loadMembers(): Promise<Member[]> {
  const members: Member[] = []
  for (const { file, splitBy, platform, nameOf, speed } of PARTS) {
    const { lanes } = await surveyTrack(trackPath(file), splitBy)
    for (const [i, lane] of lanes.entries()) {
      const fixes: TimedFix[] = []
      for await (const fix of lane.fixes()) fixes.push(fix)
      const route = createRoute(fixes, speed)
      // The vehicles of a line begin spread over it, not all at the terminus.
      const from = Math.floor((i * route.length) / lanes.length)
      members.push({ name: nameOf(lane.name), platform, route, from })
    }
  }
  return members
}

/** The tracks are not compiled: they lie in `src`, seen from `src/demo` and `dist/demo` alike. */
function trackPath(file: string): string {
  return fileURLToPath(new URL(`../../src/demo/tracks/${file}`, import.meta.url))
}
