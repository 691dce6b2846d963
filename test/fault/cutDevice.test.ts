/** The line between devices and hub is cut after every byte of an exchange, and tormented at random. */
import { expect } from 'vitest'
import type { Action, CutKind, Direction } from '../rig/proxy.ts'
import { until } from '../rig/until.ts'
import { IS_LONG, type Stage, scenario } from './scenario.ts'

const KINDS: readonly CutKind[] = ['fin', 'rst']
/** Upgrade, HELLO and some frames up; the answer to the upgrade, WELCOME and some ACKs down. */
const EXCHANGE_BYTES = { up: 1_500, down: 350 }
/** The short run takes some of them. */
const STEP_BYTES = IS_LONG ? 1 : 25

/**
 * A connection that is cut when it has passed so many bytes one way: the next one is cut a step later, so that the
 * device has to come back again and again, and gets a little further each time.
 */
function cutAfterEveryByte(direction: Direction, kind: CutKind): void {
  const cutAfter = (bytes: string) =>
    `line between device and hub cut (${kind}) after every ${bytes} ${direction === 'up' ? 'to' : 'from'} the hub`
  scenario(
    {
      fault: cutAfter('byte'),
      shortFault: cutAfter(`${STEP_BYTES}th byte`),
      tries: { short: 1, long: 1 },
      devices: 3,
      proxied: 'devices',
      tryMs: IS_LONG ? 600_000 : 180_000,
    },
    async (on) => {
      const atBytes = new Map<number, number>()
      let offset = 0
      let cuts = 0
      const before = on.proxy.counts.cut
      on.proxy.hook((way, chunk, connection): Action | undefined => {
        if (way !== direction) return undefined
        if (!atBytes.has(connection.number)) {
          atBytes.set(connection.number, offset)
          offset += STEP_BYTES
        }
        const left = atBytes.get(connection.number)! - (connection.arrived[way] - chunk.length)
        if (left > chunk.length || left < 0) return undefined
        cuts += 1
        return { forwardBytes: left, afterwards: kind }
      })
      on.proxy.cut(kind)
      await until(() => offset > EXCHANGE_BYTES[direction], 'every offset to have had its turn', 580_000)
      on.heals()
      on.proxy.hook(null)
      expect(cuts).toBeGreaterThan(EXCHANGE_BYTES[direction] / STEP_BYTES - on.devices.length - 1)
      expect(on.proxy.counts.cut - before).toBeGreaterThanOrEqual(cuts)
    },
  )
}

for (const kind of KINDS) {
  cutAfterEveryByte('up', kind)
  cutAfterEveryByte('down', kind)
}

scenario(
  {
    fault: 'line between device and hub cut, frozen or delayed at random, and all acknowledgements swallowed',
    tries: { short: 6, long: 60 },
    proxied: 'devices',
    // The 30 s of D5 are the same at any length; a frozen line is left sooner.
    device: { silenceMs: 3_000 },
  },
  async (on, number) => {
    const [before, again] = [{ ...on.proxy.counts }, sentAgain(on)]
    const torment = TORMENTS[number % TORMENTS.length]!
    // Connections that are made from now on are well.
    on.heals()
    torment(on)
    await until(() => sentAgain(on) > again, 'something to be sent again', 30_000)
    on.proxy.hook(null)
    on.proxy.delay(0)
    on.proxy.thaw()
    const { cut, frozen, droppedBytes } = on.proxy.counts
    expect(cut + frozen + droppedBytes).toBeGreaterThan(before.cut + before.frozen + before.droppedBytes)
  },
)

const TORMENTS: readonly ((on: Stage) => void)[] = [
  // The next answer is lost with the line: at any other moment there may be nothing under way.
  (on) => {
    const [last, kind] = [on.proxy.counts.accepted, on.chance.pick(KINDS)]
    on.proxy.delay(on.chance.whole(5, 50))
    on.proxy.hook((way, _, { number }) => (way === 'down' && number <= last ? kind : undefined))
  },
  (on) => {
    for (const connection of on.proxy.connections) connection.freeze()
  },
  // Half-open: the device is heard, its points are stored, and it is told nothing.
  (on) => {
    const last = on.proxy.counts.accepted
    on.proxy.hook((way, _, { number }) => (way === 'down' && number <= last ? 'drop' : undefined))
  },
]

function sentAgain(on: Stage): number {
  return on.devices.reduce((sum, device) => sum + device.counts.sentAgain, 0)
}
