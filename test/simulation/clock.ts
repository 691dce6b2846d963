/**
 * Time that passes only when the simulation says so: jobs in the order of their moments. It knows
 * nothing of what the jobs do.
 */

export interface Job {
  atMs: number
  order: number
  act: (() => void) | null
  /** What the trace says of it. */
  what: string
  who: number
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
    const job = { atMs: nowMs + Math.max(0, Math.ceil(delayMs)), order, act, what, who }
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

/** Everything that promises have to do is done when this resolves; no job runs meanwhile. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
