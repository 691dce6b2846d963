/**
 * The whole hub in one process with virtual devices, viewers and a database, a clock that jumps and everything that can
 * go wrong, many times over: each time from a seed, which plays the same again. SIM_SEED=… plays one of them and tells
 * all its steps.
 */
import { expect, test, vi } from 'vitest'
import { addFailed, addResult, ROWS_APART } from '../fault/result.ts'
import { createChance } from '../rig/chance.ts'
import { type Outcome, runSeed } from './seed.ts'
import { createSometimes } from './sometimes.ts'

vi.mock('lru-cache', async (importOriginal) => {
  const { LRUCache } = await importOriginal<typeof import('lru-cache')>()
  return { LRUCache: (await import('./smallCaches.ts')).small(LRUCache) }
})

const IS_LONG = process.env.FAULT_LONG === '1'
const ROW = { fault: ROWS_APART.simulation, isLong: IS_LONG }
const SEED = Number(process.env.FAULT_SEED)
const SEEDS = IS_LONG ? 200_000 : 5_000
/** Far more than it takes, which is a minute and a half of a good processor for the short form and an hour for the long. */
const LIMIT_MS = IS_LONG ? 4 * 3_600_000 : 1_800_000
const { SIM_SEED } = process.env

function seedOf(number: number): number {
  return createChance(SEED, `simulation ${number}`).whole(1, 2 ** 31 - 1)
}

function told(seed: number, { failure, last }: Outcome): string {
  return `SIM_SEED=${seed}: ${failure}\n${last.join('\n')}`
}

test.runIf(SIM_SEED !== undefined)(`seed ${SIM_SEED} again`, { timeout: LIMIT_MS }, async () => {
  const seed = Number(SIM_SEED)
  const outcome = await runSeed(seed, createSometimes(), true)
  expect(outcome.failure === null ? null : told(seed, outcome)).toBe(null)
})

test.runIf(SIM_SEED === undefined)(
  `${SEEDS} seeds: nothing that must never be, and everything that may happen does`,
  { timeout: LIMIT_MS },
  async () => {
    const sometimes = createSometimes()
    let acknowledged = 0
    for (let number = 1; number <= SEEDS; number++) {
      const seed = seedOf(number)
      const outcome = await runSeed(seed, sometimes)
      if (outcome.failure !== null) {
        addFailed({ ...ROW, failed: `SIM_SEED ${seed}, after ${number - 1} seeds` })
        expect.fail(told(seed, outcome))
      }
      acknowledged += outcome.acknowledged
    }
    const never = sometimes.never()
    if (never.length > 0) addFailed({ ...ROW, failed: `never seen: ${never.join(', ')}` })
    expect(never).toEqual([])
    // Each seed has looked for it. A point twice is what its tables cannot hold.
    const found = { lost: 0, doubled: null, altered: 0, missing: 0 }
    addResult({ ...ROW, ...found, tries: SEEDS, seed: SEED, acknowledged, examples: [], recoveriesMs: [] })
  },
)

test('the same seed is the same story', async () => {
  for (let number = 1; number <= 20; number++) {
    const seed = seedOf(number)
    const [one, again] = [await runSeed(seed, createSometimes()), await runSeed(seed, createSometimes())]
    expect(again.hash).toBe(one.hash)
    expect(again.steps).toBe(one.steps)
  }
  const hashes = new Set<number>()
  for (let seed = 1; seed <= 20; seed++) hashes.add((await runSeed(seed, createSometimes())).hash)
  expect(hashes.size).toBe(20)
})
