/** Clocks that jump: that of the hub, under its feet, and those of the devices. */
import { afterAll, expect } from 'vitest'
import { openClock } from '../rig/clock.ts'
import { LIVE, SNAP, SUB } from '../rig/points.ts'
import { until } from '../rig/until.ts'
import { openDevice, openViewer, type ViewerWire } from '../rig/wire.ts'
import { type Stage, scenario } from './scenario.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Of the protocol: further ahead of the hub than this is no time (D8). */
const AHEAD_MS_MAX = DAY_MS
const FUTURE = 2
/** Of the protocol: a hub that is so far behind what it stored lets nobody in (D8); and further ahead is never live (D9). */
const MINUTE_MS = 60_000
/** More than a device may send at once here, so that it depends on what it may send in the long run. */
const FRAMES = 300
const POINTS_MAX = 3

const [ahead, behind] = [openClock(), openClock()]
afterAll(() => {
  ahead?.remove()
  behind?.remove()
})

const onHubClock = (clock: typeof ahead) => ({
  missing: clock === null ? 'libfaketime is not installed' : null,
  // Rates count by the clock as well, and a clock that jumps must lock nobody out.
  env: {
    ...clock?.env,
    ALZY_DEVICE_FRAMES_BURST: '200',
    ALZY_DEVICE_FRAMES_PER_S: '500',
    // Far less than a jump, and more than this process may be busy with something else.
    ALZY_SEEN_LATE_MS: '20000',
  },
  device: { pace: { everyMs: [5, 15], points: [1, POINTS_MAX] } } as const,
  devices: 4,
  tryMs: 150_000,
})

let aheadMs = 0
let viewer: ViewerWire
let spareKey = ''

scenario(
  {
    ...onHubClock(ahead),
    fault: 'clock of the hub jumps ahead by seconds, an hour, a day and more, and stays there',
    tries: { short: 3, long: 9 },
  },
  async (on, number) => {
    if (number === 1) await prepare(on)
    const demoted = await on.hub.metric('alzy_viewers_demoted_total')
    aheadMs += [5_000, HOUR_MS, 25 * HOUR_MS][number % 3]!
    ahead!.set(aheadMs)
    expect(Math.abs((await hubAheadMs(on)) - aheadMs)).toBeLessThan(MINUTE_MS)
    await goOn(on)
    // A device that comes back is welcome.
    const { welcomes } = on.devices[0]!.counts
    on.devices[0]!.crash()
    await until(() => on.devices[0]!.counts.welcomes > welcomes, 'the device to be back')
    // Viewers answered in time, whatever the clock says.
    expect(await on.hub.metric('alzy_viewers_demoted_total')).toBe(demoted)
    expect(await on.hub.metric('alzy_viewers_live')).toBe(1)
  },
)

scenario(
  {
    ...onHubClock(behind),
    fault: 'clock of the hub jumps back by seconds, an hour, a day and more, and is set right again',
    tries: { short: 3, long: 9 },
  },
  async (on, number) => {
    if (number === 1) await prepare(on)
    const backMs = [5_000, HOUR_MS, 25 * HOUR_MS][number % 3]!
    behind!.set(-backMs)
    // Those that are connected stay, and lose nothing by it.
    await goOn(on)
    if (backMs < MINUTE_MS) {
      expect(Math.abs((await hubAheadMs(on)) + backMs)).toBeLessThan(MINUTE_MS)
    } else {
      const { closes } = on.devices[0]!
      const refused = closes.get(1013) ?? 0
      on.devices[0]!.crash()
      await until(
        () => (closes.get(1013) ?? 0) > refused,
        'a device to be sent away by a hub without a clock',
      )
    }
    expect(viewer.isOpen()).toBe(true)
    on.heals()
    behind!.set(0)
  },
)

/** The hub's clock as WELCOME says it, to a device that does nothing else. */
async function hubAheadMs(on: Stage): Promise<number> {
  const socket = await openDevice(on.url(), { deviceKey: spareKey })
  const { serverNowMs } = await socket.welcome
  await socket.close()
  return serverNowMs - Date.now()
}

async function prepare(on: Stage): Promise<void> {
  spareKey = (await on.hub.addDevice(on.user)).deviceKey
  viewer = await watch(on)
}

/** A viewer whose token lasts as long as the clock may jump. */
async function watch(on: Stage): Promise<ViewerWire> {
  const ttlS = (80 * DAY_MS) / 1000
  const { json } = await on.hub.request('POST', `/v1/users/${on.user.id}/tokens`, { ttlS })
  const opened = await openViewer(on.url(), { token: json.token })
  await opened.welcome
  opened.send([SUB])
  await opened.snapshot()
  return opened
}

/** Every device sends more than it may send at once, and has it acknowledged. */
async function goOn(on: Stage): Promise<void> {
  const acknowledged = () =>
    on.devices.map(({ ledger }) => ledger.notes.findLastIndex((note) => note.acknowledgedMs !== null))
  const before = acknowledged()
  const hasMore = () => acknowledged().every((last, i) => last > before[i]! + FRAMES * POINTS_MAX)
  await until(hasMore, 'every device to have had much more acknowledged', 120_000)
}

/** By device, for the scenario below. */
const aheadOf: number[] = []
const JUMPS_MS = [-25 * HOUR_MS, -HOUR_MS, -5_000, 5_000, HOUR_MS, 20 * HOUR_MS]

scenario(
  {
    fault: 'clocks of devices jump by seconds, hours and a day, ahead and back, and one is days ahead',
    tries: { short: 6, long: 40 },
    device: (i) => ({
      now: () => Date.now() + (aheadOf[i] ?? 0),
      refusalOf: (ms) => (ms > Date.now() + AHEAD_MS_MAX ? FUTURE : null),
    }),
  },
  async (on, number) => {
    if (number === 1) viewer = await watch(on)
    const { notes } = on.devices[0]!.ledger
    const before = notes.length
    on.devices.forEach((_, i) => {
      aheadOf[i] = i === 0 ? 3 * DAY_MS : on.chance.pick(JUMPS_MS)
    })
    // The rest is up to the device: its times go on increasing, also when its clock goes back.
    const hasJumped = (i: number) =>
      on.devices[i]!.ledger.notes.at(-1)!.recordedMs > Date.now() + aheadOf[i]! - 2 * MINUTE_MS
    await until(() => on.devices.every((_, i) => hasJumped(i)), 'every device to record by its clock')
    const isRejected = () => notes.slice(before).some(({ rejection }) => rejection === FUTURE)
    await until(isRejected, 'a point that is days ahead to be rejected')
    const late = await watch(on)
    const shown = [...timesShown(viewer), ...timesShown(late)]
    expect(shown.length).toBeGreaterThan(0)
    for (const ms of shown) expect(ms).toBeLessThan(Date.now() + 2 * MINUTE_MS)
    late.terminate()
    await late.closed
  },
)

/** Of every point that a viewer was shown, as the last position of a device or live. */
function timesShown({ frames }: ViewerWire): number[] {
  return frames.flatMap((frame) => {
    if (frame[0] === SNAP) {
      const lasts = (frame[3] as unknown[][]).map((device) => device[9] as number[] | null | undefined)
      return lasts.flatMap((last) => (last == null ? [] : [last[2]!]))
    }
    if (frame[0] === LIVE) return (frame[6] as number[][]).map(([dtMs]) => (frame[5] as number) + dtMs!)
    return []
  })
}
