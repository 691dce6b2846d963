/** Processes that are stopped where they are (SIGSTOP) for a while, and a hub that is asked to end under load. */
import { expect } from 'vitest'
import { signal, stateOf } from '../rig/processes.ts'
import { until } from '../rig/until.ts'
import { IS_LONG, scenario } from './scenario.ts'

/** 1–30 s in the long run; the short one has no time for that. */
const [FROZEN_MS_MIN, FROZEN_MS_MAX] = IS_LONG ? [1_000, 30_000] : [500, 2_000]
/** Below them, so that it barks in some of the tries and not in others. */
const ENV = { ALZY_WRITE_TIMEOUT_MS: IS_LONG ? '15000' : '1000' }

scenario(
  {
    fault: 'SIGSTOP of the hub for 1 to 30 s',
    shortFault: 'SIGSTOP of the hub for 0.5 to 2 s',
    tries: { short: 2, long: 20 },
    tryMs: 60_000,
  },
  async (on) => {
    const pid = on.hub.process.pid!
    signal(pid, 'SIGSTOP')
    await until(() => stateOf(pid)?.startsWith('T'), 'the hub stands still')
    const acks = on.devices.map((device) => device.counts.acks)
    await frozenFor(on.chance.whole(FROZEN_MS_MIN, FROZEN_MS_MAX))
    expect(stateOf(pid)).toMatch(/^T/)
    // What was on its way when it stopped may have come in since, and no more.
    on.devices.forEach((device, i) => {
      expect(device.counts.acks - acks[i]!).toBeLessThan(50)
    })
    signal(pid, 'SIGCONT')
  },
)

scenario(
  {
    fault: 'SIGSTOP of PostgreSQL for 1 to 30 s',
    shortFault: 'SIGSTOP of PostgreSQL for 0.5 to 2 s',
    tries: { short: 2, long: 20 },
    database: 'own',
    env: ENV,
    tryMs: 60_000,
  },
  async (on) => {
    on.cluster.pause()
    await until(() => stateOf(on.cluster.pid)?.startsWith('T'), 'PostgreSQL stands still')
    const stored = await on.hub.metric('alzy_points_stored_total')
    await frozenFor(on.chance.whole(FROZEN_MS_MIN, FROZEN_MS_MAX))
    const waits = await on.hub.metric('alzy_backlog_frames')
    expect(waits).toBeGreaterThan(0)
    // One reply may have been on its way when it stopped.
    expect((await on.hub.metric('alzy_points_stored_total')) - stored).toBeLessThanOrEqual(4_000)
    on.heals()
    on.cluster.resume()
  },
)

scenario({ fault: 'SIGTERM of the hub under load', tries: { short: 3, long: 60 } }, async (on) => {
  const goaways = on.devices.map((device) => device.counts.goaways)
  const welcome = on.devices.filter((device) => device.isWelcome())
  expect(welcome.length).toBeGreaterThan(0)
  expect(await on.hub.end()).toBe(0)
  const isTold = () =>
    on.devices.every((device, i) => !welcome.includes(device) || device.counts.goaways > goaways[i]!)
  await until(isTold, 'every device that was welcome has heard GOAWAY')
  on.heals()
  await on.startHub()
  expect(on.devices.some((device) => device.closes.has(1012))).toBe(true)
})

function frozenFor(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
