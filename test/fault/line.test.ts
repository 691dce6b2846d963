/** Lines that carry everything, and badly: late by chance, narrow, in single bytes; and lines that carry one way only. */
import { expect } from 'vitest'
import type { Chance } from '../rig/chance.ts'
import type { Action, Direction, Line } from '../rig/proxy.ts'
import { until } from '../rig/until.ts'
import { type Stage, scenario } from './scenario.ts'

/** A little more than is said there. A batch that is not through when the watchdog barks would begin anew for ever. */
const BYTES_PER_S = { devices: 6_000, database: 200_000 } as const

const LINES: readonly ((chance: Chance, bytesPerS: number) => Line)[] = [
  // No message arrives in one piece, and no two pieces together.
  (_, bytesPerS) => ({ sliceBytes: 1, bytesPerS: 2 * bytesPerS }),
  (chance) => ({ delayMs: chance.whole(1, 20), jitterMs: chance.whole(50, 250) }),
  (chance, bytesPerS) => ({ bytesPerS: chance.whole(bytesPerS, 2 * bytesPerS) }),
  (chance, bytesPerS) => ({ sliceBytes: chance.whole(2, 9), jitterMs: 20, bytesPerS: 4 * bytesPerS }),
]
const WAYS: readonly (readonly Direction[])[] = [['up'], ['down'], ['up', 'down']]

for (const proxied of ['devices', 'database'] as const) {
  const ends = proxied === 'devices' ? 'device and hub' : 'hub and database'
  scenario(
    {
      fault: `line between ${ends} late by chance, narrow, or in single bytes, from a random byte on, one way or both`,
      tries: { short: 4, long: 16 },
      proxied,
      // Such a line is made in this process, and its bytes one by one take time: how much must not matter.
      env: { ALZY_WRITE_TIMEOUT_MS: '120000' },
      device: proxied === 'database' ? { pace: { everyMs: [100, 300], points: [1, 6] } } : {},
    },
    async (on, number) => {
      const { pieces } = on.proxy.counts
      const [acks, retries] = [acksOf(on), await on.hub.metric('alzy_write_retries_total')]
      const like = LINES[number % LINES.length]!(on.chance, BYTES_PER_S[proxied])
      const ways = WAYS[number % WAYS.length]!
      const turned = new Set<string>()
      on.proxy.hook((way, chunk, connection): Action | undefined => {
        const one = `${connection.number} ${way}`
        if (!ways.includes(way) || turned.has(one)) return undefined
        turned.add(one)
        return { forwardBytes: on.chance.whole(0, chunk.length - 1), afterwards: like }
      })
      const haveBeenServed = () => acksOf(on).every((count, i) => count >= acks[i]! + 10)
      await until(haveBeenServed, 'every device to have had ten ACKs all the same', 60_000)
      expect(on.proxy.counts.pieces).toBeGreaterThan(pieces + 10)
      // Of the connections to the database, the one that writes at least.
      expect(turned.size).toBeGreaterThanOrEqual(ways.length * (proxied === 'devices' ? acks.length : 1))
      expect(await on.hub.metric('alzy_write_retries_total')).toBe(retries)
      on.heals()
      on.proxy.hook(null)
      on.proxy.line({})
    },
  )
}

scenario(
  {
    fault: 'line between device and hub half open: one way goes silent at a random byte, the other goes on',
    tries: { short: 4, long: 20 },
    proxied: 'devices',
    // The 30 s of D5 are the same at any length.
    device: { silenceMs: 3_000 },
  },
  async (on, number) => {
    const direction: Direction = number % 2 === 0 ? 'up' : 'down'
    const again = on.devices.map((device) => device.counts.sentAgain)
    const last = on.proxy.counts.accepted
    const { frozen } = on.proxy.counts
    const isDeaf = new Set<number>()
    // Connections that are made from now on are well.
    on.heals()
    on.proxy.hook((way, chunk, connection): Action | undefined => {
      if (way !== direction || connection.number > last || isDeaf.has(connection.number)) return undefined
      isDeaf.add(connection.number)
      return { forwardBytes: on.chance.whole(0, chunk.length - 1), afterwards: `hold-${direction}` }
    })
    const haveSentAgain = () => on.devices.every((device, i) => device.counts.sentAgain > again[i]!)
    await until(haveSentAgain, 'every device to have come back and sent again', 30_000)
    on.proxy.hook(null)
    expect(on.proxy.counts.frozen - frozen).toBe(isDeaf.size)
    expect(isDeaf.size).toBeGreaterThanOrEqual(on.devices.length)
  },
)

scenario(
  {
    fault:
      'line between hub and database half open: statements arrive, and no answer, or the other way about',
    tries: { short: 4, long: 20 },
    proxied: 'database',
    env: { ALZY_WRITE_TIMEOUT_MS: '2500', ALZY_READ_TIMEOUT_MS: '2500' },
  },
  async (on, number) => {
    const retries = await on.hub.metric('alzy_write_retries_total')
    const held = on.proxy.counts.heldBytes
    on.proxy.freeze(number % 2 === 0 ? 'up' : 'down')
    await until(() => on.proxy.counts.heldBytes > held, 'something to have been swallowed')
    const isNoticed = async () => (await on.hub.metric('alzy_write_retries_total')) > retries
    await until(isNoticed, 'the hub to have met the fault', 30_000)
    on.heals()
    on.proxy.thaw()
  },
)

function acksOf(on: Stage): number[] {
  return on.devices.map((device) => device.counts.acks)
}
