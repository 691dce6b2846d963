/**
 * A queue in front of connections that run one statement each: so many at a time, and each with its watchdog
 * counting from the start of execution (line.ts), not from when it was asked for.
 */
import type { Run } from './run.ts'

/** Statements in a row that go before a read that waits. */
const WRITES_IN_A_ROW_MAX = 4

/** The writer's statements go first, but reads are never starved. */
export function createGate(run: Run, atOnceMax: number) {
  const writes: (() => void)[] = []
  const reads: (() => void)[] = []
  let running = 0
  let writesInARow = 0
  return { write: through(writes), read: through(reads) }

  function through(queue: (() => void)[]): Run {
    return async (text, parameters) => {
      if (running >= atOnceMax) await new Promise<void>((resolve) => queue.push(resolve))
      else running += 1
      try {
        return await run(text, parameters)
      } finally {
        // Its place goes to the next one, or is free.
        const next = take()
        if (next === undefined) running -= 1
        else next()
      }
    }
  }

  function take(): (() => void) | undefined {
    const isReadsTurn = writes.length === 0 || (reads.length > 0 && writesInARow >= WRITES_IN_A_ROW_MAX)
    writesInARow = isReadsTurn ? 0 : writesInARow + 1
    return isReadsTurn ? reads.shift() : writes.shift()
  }
}
