/**
 * The way to the tables and back, where everything can go wrong: answers that come late or never, statements that were
 * refused, lost, or committed without anybody hearing of it. It knows nothing of what the statements say.
 */
import type { Parameter, Result, Run } from '../../src/store/line/run.ts'
import type { Chance } from '../rig/chance.ts'
import type { Clock } from './clock.ts'
import type { Sometimes } from './sometimes.ts'
import { StoreError, type Tables } from './tables.ts'

/**
 * `fine` answers in milliseconds; `slow` in seconds; `flaky` loses; `away` answers nobody; `narrow` never answers a large
 * statement in time.
 */
export type StoreWeather = 'fine' | 'slow' | 'flaky' | 'away' | 'narrow'

/** Whoever asks, as long as it lives: nobody answers a hub that was killed. */
export interface Life {
  isOver: boolean
}

const REFUSALS = ['ECONNREFUSED', '57P03', '53100', '25006', '40001']
const WATCHDOG_MS = 15_000
/** So late an answer to what was asked in other weather may come. */
const LATE_MS_MAX = 20_000
/** Of all parameters together: a row or two. */
const NARROW_CHARS_MAX = 250
/** The server's own timeout, which somebody has set low. */
const NARROW_TIMEOUT_MS = 1_000

export type Store = ReturnType<typeof createStore>

export function createStore(clock: Clock, chance: Chance, tables: Tables, sometimes: Sometimes) {
  let weather: StoreWeather = 'fine'
  let fineSinceMs = clock.nowMs
  return {
    tables,
    line,
    read,
    get weather() {
      return weather
    },
    set weather(next: StoreWeather) {
      if (next === 'fine' && weather !== 'fine') fineSinceMs = clock.nowMs
      weather = next
    },
    /** Whatever was asked so long ago, or later, was answered at once; Infinity in other weather. */
    get fineSinceMs() {
      return weather === 'fine' ? fineSinceMs + LATE_MS_MAX : Number.POSITIVE_INFINITY
    },
  }

  /** A lane's line to the database. */
  function line(life: Life): Run {
    let tooLarge = 0
    return async (text: string, parameters: readonly Parameter[] = []) => {
      const chars = parameters.reduce<number>((sum, one) => sum + String(one).length, 0)
      if (weather === 'narrow' && chars > NARROW_CHARS_MAX) {
        tooLarge += 1
        return new Promise((_, reject) => giveUp(life, reject))
      }
      const result = await ask<Result>(life, () => tables.execute(text, parameters, life.isOver), true)
      if (weather === 'narrow' && tooLarge > 2) sometimes.note('less written at once to a narrow store')
      tooLarge = 0
      return result
    }
  }

  function giveUp(life: Life, reject: (fault: StoreError) => void): void {
    clock.at(NARROW_TIMEOUT_MS, 'store answers', 0, () => {
      if (!life.isOver) reject(new StoreError('57014'))
    })
  }

  /** A read of everything at one moment. */
  function read<T>(life: Life, look: () => T): Promise<T> {
    return ask(life, look, false)
  }

  function ask<T>(life: Life, step: () => T, isWrite: boolean): Promise<T> {
    return new Promise((resolve, reject) => {
      const answer = (delayMs: number, say: () => void) =>
        clock.at(delayMs, isWrite ? 'store answers' : 'read answers', 0, () => {
          if (!life.isOver) say()
        })
      const fail = (delayMs: number, code: string) => answer(delayMs, () => reject(new StoreError(code)))
      const there = latency()
      const back = latency()
      if (weather === 'away') {
        sometimes.note('store refuses')
        return void fail(there, chance.pick(REFUSALS))
      }
      const fate = weather === 'flaky' ? chance.next() : 1
      if (fate < 0.12) {
        sometimes.note('store refuses')
        fail(there, chance.pick(REFUSALS))
      } else if (fate < 0.24) {
        sometimes.note('statement lost before the commit')
        fail(there + back, 'CONNECTION_CLOSED')
      } else if (fate < 0.4) {
        clock.at(there, 'statement', 0, () => attempt(step))
        if (isWrite) sometimes.note('committed, and nobody told the hub')
        fail(there + back + 1, 'CONNECTION_CLOSED')
      } else if (fate < 0.45) {
        sometimes.note('statement too slow')
        fail(WATCHDOG_MS, chance.yes(0.5) ? '57014' : 'WATCHDOG')
      } else if (fate < 0.5) {
        // The server goes on with what the hub has given up.
        if (isWrite) sometimes.note('committed after it was tried again')
        clock.at(WATCHDOG_MS + chance.whole(0, 3_000), 'late statement', 0, () => attempt(step))
        fail(WATCHDOG_MS, 'WATCHDOG')
      } else {
        clock.at(there, 'statement', 0, () => {
          const outcome = attempt(step)
          answer(back, () => ('error' in outcome ? reject(outcome.error) : resolve(outcome.value)))
        })
      }
    })
  }

  /** What a refused statement throws is an answer as well; a fault of the simulation is not. */
  function attempt<T>(step: () => T): { value: T } | { error: StoreError } {
    try {
      return { value: step() }
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      if (error.code === '23503') sometimes.note('session created again after a foreign key')
      return { error }
    }
  }

  function latency(): number {
    return weather === 'slow' ? chance.whole(50, 4_000) : chance.whole(1, 20)
  }
}
