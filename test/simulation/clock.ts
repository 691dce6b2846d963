/**
 * Time that passes only when the simulation says so: jobs in the order of their moments, and the timers of the process
 * put in their place while a seed runs. It knows nothing of what the jobs do.
 */

export interface Job {
  atMs: number
  order: number
  act: (() => void) | null
  /** What the trace says of it. */
  what: string
  who: number
  unref: () => void
}

export type Clock = ReturnType<typeof createClock>

export function createClock(startMs: number) {
  const heap: Job[] = []
  let nowMs = startMs
  let order = 0
  return {
    at,
    cancel,
    next,
    get nowMs() {
      return nowMs
    },
    get waiting() {
      return heap.length
    },
  }

  /** Whole milliseconds from now; jobs of the same moment run in the order in which they were asked for. */
  function at(delayMs: number, what: string, who: number, act: () => void): Job {
    order += 1
    const job = { atMs: nowMs + Math.max(0, Math.ceil(delayMs)), order, act, what, who, unref: () => {} }
    heap.push(job)
    rise(heap.length - 1)
    return job
  }

  function cancel(job: Job | undefined): void {
    if (job !== undefined) job.act = null
  }

  /** The next job, its moment having come; null when there is none. */
  function next(): Job | null {
    for (;;) {
      const first = heap[0]
      if (first === undefined) return null
      const last = heap.pop()!
      if (heap.length > 0) {
        heap[0] = last
        sink()
      }
      if (first.act === null) continue
      nowMs = first.atMs
      return first
    }
  }

  function rise(from: number): void {
    let i = from
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (isBefore(heap[parent]!, heap[i]!)) return
      swap(i, parent)
      i = parent
    }
  }

  function sink(): void {
    let i = 0
    for (;;) {
      let least = i
      for (const child of [2 * i + 1, 2 * i + 2]) {
        if (child < heap.length && isBefore(heap[child]!, heap[least]!)) least = child
      }
      if (least === i) return
      swap(i, least)
      i = least
    }
  }

  function swap(i: number, j: number): void {
    const held = heap[i]!
    heap[i] = heap[j]!
    heap[j] = held
  }
}

function isBefore(a: Job, b: Job): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}

/**
 * What reads the timers of the process reads the clock from here on, until the function that is returned is called:
 * the writer waits between attempts, a socket after BYE, a cache for an entry to expire.
 */
export function takeOverTimers(clock: Clock): () => void {
  const kept = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout }
  const now = performance.now
  Object.assign(globalThis, {
    setTimeout: (act: () => void, ms = 0) => clock.at(ms, 'timer', 0, act),
    clearTimeout: (job: Job | undefined) => clock.cancel(job),
  })
  performance.now = () => clock.nowMs
  return () => {
    Object.assign(globalThis, kept)
    performance.now = now
  }
}

/** Everything that promises have to do is done when this resolves; no job runs meanwhile. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
