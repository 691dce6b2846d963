/** What something costs the database. */
import type { TestHub } from './hub.ts'

const TRIES = 3

/**
 * How many statements the hub reads with for `act`, which has to be the same each time: the fewest of several times. A look
 * at rights may fall into one of them, as there is one each second where somebody is connected or has just left.
 */
export async function readsOf(hub: TestHub, act: () => Promise<unknown>): Promise<number> {
  const counts: number[] = []
  for (let i = 0; i < TRIES; i++) {
    const before = await hub.metric('alzy_reads_total')
    await act()
    counts.push((await hub.metric('alzy_reads_total')) - before)
  }
  return Math.min(...counts)
}
