/** Time that stands still until a test moves it, and chance that a test decides. */
import type { Clock } from '../../src/clock.ts'

export interface DrivenClock extends Clock {
  /** Moves time on and runs what falls due, in order. */
  advance(ms: number): void
  /** What `random` answers from now on. */
  chance(value: number): void
  /** Delays of the timers that are running, from now, ascending. */
  readonly pendingMs: number[]
}

export const START_MS = Date.UTC(2026, 0, 1)

export function createDrivenClock(): DrivenClock {
  const timers = new Map<number, { dueMs: number; run: () => void }>()
  let elapsedMs = 0
  let lastId = 0
  let chance = 0.5
  return {
    now: () => START_MS + elapsedMs,
    elapsed: () => elapsedMs,
    random: () => chance,
    after,
    every,
    advance(ms) {
      const untilMs = elapsedMs + ms
      for (;;) {
        const due = [...timers].filter(([, timer]) => timer.dueMs <= untilMs)
        due.sort(([idA, a], [idB, b]) => a.dueMs - b.dueMs || idA - idB)
        const next = due[0]
        if (!next) break
        timers.delete(next[0])
        elapsedMs = Math.max(elapsedMs, next[1].dueMs)
        next[1].run()
      }
      elapsedMs = untilMs
    },
    chance(value) {
      chance = value
    },
    get pendingMs() {
      return [...timers.values()].map((timer) => timer.dueMs - elapsedMs).sort((a, b) => a - b)
    },
  }

  function after(delayMs: number, run: () => void): () => void {
    lastId += 1
    const id = lastId
    timers.set(id, { dueMs: elapsedMs + delayMs, run })
    return () => timers.delete(id)
  }

  function every(delayMs: number, run: () => void): () => void {
    let callOff = after(delayMs, again)
    return () => callOff()

    function again(): void {
      callOff = after(delayMs, again)
      run()
    }
  }
}
