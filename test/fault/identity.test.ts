/** Devices that do more than they have to: everything again, overlapping, two with one key, takeovers in a row. */
import { expect } from 'vitest'
import type { Note } from '../rig/ledger.ts'
import { until } from '../rig/until.ts'
import { startVirtualDevice } from '../rig/virtualDevice.ts'
import { openDevice } from '../rig/wire.ts'
import { type Stage, scenario } from './scenario.ts'

const POINTS = 2
/** Of the wire; the hub's default. */
const BATCH_POINTS_MAX = 200
/** Elsewhere replaced devices wait longer; here they would only wait for the replay. */
const REPLACED_MS = 150
/** Of the devices beside the replay. */
const reconnect = { baseMs: 25, capMs: 500, replacedMs: REPLACED_MS }

scenario(
  {
    fault: 'everything that was ever stored sent again, in other frames, beside what is new',
    tries: { short: 3, long: 40 },
    devices: 3,
    device: { reconnect },
  },
  async (on) => {
    const [duplicates, takeovers] = [await duplicatesOf(on), await on.hub.metric('alzy_takeovers_total')]
    const at = on.chance.whole(0, on.devices.length - 1)
    const stored = on.devices[at]!.ledger.notes.filter((note) => note.acknowledgedMs !== null)
    // The device itself comes back and takes over; then the replay does, where it was interrupted.
    reconnect.replacedMs = REPLACED_MS
    for (let done = 0; done < stored.length; ) {
      const before = done
      done = await replay(on, on.keys[at]!.deviceKey, stored, before)
      // On a busy machine a connection, a commit and its ACK take longer than the device waits.
      if (done === before) reconnect.replacedMs *= 2
    }
    on.heals()
    expect(await on.hub.metric('alzy_takeovers_total')).toBeGreaterThan(takeovers)
    expect((await duplicatesOf(on)) - duplicates).toBeGreaterThanOrEqual(stored.length)
  },
)

/** Sends what is stored, from there on; returns how far it is acknowledged. */
async function replay(on: Stage, deviceKey: string, stored: readonly Note[], from: number): Promise<number> {
  const socket = await openDevice(on.url(), { deviceKey })
  // Or before the WELCOME.
  await socket.welcome.catch(() => {})
  let seq = 0
  let done = from
  while (done < stored.length && socket.isOpen()) {
    const first = stored[done]!
    let to = done + 1
    const most = on.chance.whole(1, BATCH_POINTS_MAX)
    while (to - done < most && stored[to]?.sessionMs === first.sessionMs) to += 1
    const points = stored
      .slice(done, to)
      .map(({ recordedMs, values }) => [recordedMs - first.recordedMs, ...values])
    socket.send([POINTS, ++seq, first.sessionMs, first.recordedMs, points])
    const isAcknowledged = await socket.ack(seq).then(
      () => true,
      () => false,
    )
    if (!isAcknowledged) break
    // Overlapping: some of them go once more with the next frame.
    done = to === stored.length ? to : Math.max(done + 1, to - on.chance.whole(0, 5))
  }
  socket.terminate()
  await socket.closed
  return done
}

scenario(
  {
    fault: 'two devices with one key, each taking over from the other',
    tries: { short: 3, long: 30 },
    devices: 2,
    device: { reconnect: { baseMs: 10, capMs: 100, replacedMs: 100 } },
  },
  async (on, number) => {
    const takeovers = await on.hub.metric('alzy_takeovers_total')
    const replaced = on.devices[0]!.closes.get(4409) ?? 0
    const { id, deviceKey } = on.keys[0]!
    const twin = startVirtualDevice({
      id,
      deviceKey,
      url: on.url,
      chance: on.chance.fork(`twin ${number}`),
      reconnect: { baseMs: 10, capMs: 100, replacedMs: 100 },
      // Far from the other's: two points with one time are one point, and the first content stays.
      now: () => Date.now() - number * TWIN_APART_MS,
    })
    on.ledgers.push(twin.ledger)
    const isContested = () => (on.devices[0]!.closes.get(4409) ?? 0) >= replaced + 3
    await until(isContested, 'the first to have been replaced three times', 60_000)
    // Two that take turns for ever may both be too slow for an ACK.
    on.devices[0]!.stayAway()
    twin.pauseRecording()
    await until(() => twin.isSettled(), 'the second to have everything acknowledged', 60_000)
    await twin.stop()
    on.heals()
    on.devices[0]!.comeBack()
    expect(twin.refusals).toEqual([])
    expect(await on.hub.metric('alzy_takeovers_total')).toBeGreaterThan(takeovers)
  },
)

scenario(
  {
    fault: 'takeover storm: 20 connections at once with the key of a device that streams',
    tries: { short: 3, long: 60 },
    devices: 3,
    device: { reconnect: { baseMs: 25, capMs: 500, replacedMs: 50 } },
  },
  async (on) => {
    const takeovers = await on.hub.metric('alzy_takeovers_total')
    const { deviceKey } = on.chance.pick(on.keys)
    const storm = Array.from({ length: 20 }, () => openDevice(on.url(), { deviceKey }))
    const sockets = await Promise.all(storm)
    const welcomes = await Promise.allSettled(sockets.map((socket) => socket.welcome))
    expect(welcomes.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0)
    const open = () => sockets.filter((socket) => socket.isOpen())
    await until(() => open().length <= 1, 'all but the last to have been replaced')
    on.heals()
    for (const socket of open()) socket.terminate()
    const closes = await Promise.all(sockets.map((socket) => socket.closed))
    expect(closes.filter(({ code }) => code === 4409).length).toBeGreaterThan(0)
    expect(await on.hub.metric('alzy_takeovers_total')).toBeGreaterThan(takeovers)
  },
)

/** More than a test lasts. */
const TWIN_APART_MS = 3 * 3_600_000

function duplicatesOf(on: Stage): Promise<number> {
  return on.hub.metric('alzy_points_duplicate_total')
}
