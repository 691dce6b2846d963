/** The hub is killed at random moments, as by a crash or the kernel. */
import { expect } from 'vitest'
import { scenario } from './scenario.ts'

scenario({ fault: 'kill -9 of the hub', tries: { short: 5, long: 150 } }, async (on) => {
  expect(await on.hub.end('SIGKILL')).toBe('SIGKILL')
  on.heals()
  await on.startHub()
})

scenario(
  {
    fault: 'kill -9 of the hub with the embedded database in it',
    tries: { short: 1, long: 15 },
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
