/**
 * One queue in front of the embedded database's single connection: one statement at a time, the writer's
 * first. Counting from the start of execution, each has its own watchdog in connection.ts.
 */
import type { Run } from './connection.ts'

export function createGate(run: Run) {
  const first: (() => void)[] = []
  const rest: (() => void)[] = []
  let isBusy = false
  return { write: through(first), read: through(rest) }

  function through(queue: (() => void)[]): Run {
    return async (text, parameters) => {
      if (isBusy) await new Promise<void>((resolve) => queue.push(resolve))
      isBusy = true
      try {
        return await run(text, parameters)
      } finally {
        const next = first.shift() ?? rest.shift()
        if (next === undefined) isBusy = false
        else next()
      }
    }
  }
}
