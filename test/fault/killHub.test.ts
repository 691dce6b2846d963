/** The hub is killed at random moments, as by a crash or the kernel. */
import { expect } from 'vitest'
import { until } from '../rig/until.ts'
import { scenario } from './scenario.ts'

scenario({ fault: 'kill -9 of the hub', tries: { short: 5, long: 60 } }, async (on) => {
  expect(await on.hub.end('SIGKILL')).toBe('SIGKILL')
  on.heals()
  await on.startHub()
})

// What a hub sent before it died is stored all the same, which would hide that it acknowledges too early: so here
// nothing arrives any more while frames come in, and the hub dies with all of them.
scenario(
  {
    fault: 'kill -9 of the hub while nothing that it writes arrives',
    tries: { short: 4, long: 50 },
    proxied: 'database',
  },
  async (on) => {
    const held = on.proxy.counts.heldBytes
    on.proxy.freeze()
    await until(() => on.proxy.counts.heldBytes > held, 'a batch to be on its way to nowhere')
    const frames = await on.hub.metric('alzy_frames_received_total')
    const hasMore = async () => (await on.hub.metric('alzy_frames_received_total')) > frames + 10
    await until(hasMore, 'the hub to have taken more')
    expect(await on.hub.end('SIGKILL')).toBe('SIGKILL')
    on.proxy.cut('rst')
    on.proxy.thaw()
    on.heals()
    await on.startHub()
  },
)

scenario(
  {
    fault: 'kill -9 of the hub with the embedded database in it',
    tries: { short: 1, long: 6 },
    database: 'embedded',
    devices: 4,
    tryMs: 60_000,
  },
  async (on) => {
    expect(await on.hub.end('SIGKILL')).toBe('SIGKILL')
    on.heals()
    await on.startHub()
  },
)
