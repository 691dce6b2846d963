/**
 * Reads many things by id with few statements: while one runs, the ids asked for gather, and the next asks for
 * them all. No timer, as in the writer: idle costs nothing, a storm becomes large batches.
 */
export function createGather<Thing extends { id: number }>(
  readAll: (ids: readonly number[]) => Promise<Thing[]>,
  batchMax: number,
) {
  interface Waiter {
    resolve: (thing: Thing | undefined) => void
    reject: (error: unknown) => void
  }
  let waiting = new Map<number, Waiter[]>()
  let isReading = false
  return read

  /** The thing of that id, undefined when there is none; read after the call, never before. */
  function read(id: number): Promise<Thing | undefined> {
    return new Promise((resolve, reject) => {
      const waiters = waiting.get(id)
      if (waiters === undefined) waiting.set(id, [{ resolve, reject }])
      else waiters.push({ resolve, reject })
      if (!isReading) void readWaiting()
    })
  }

  async function readWaiting(): Promise<void> {
    isReading = true
    while (waiting.size > 0) {
      const batch = takeBatch()
      try {
        const things = new Map((await readAll([...batch.keys()])).map((thing) => [thing.id, thing]))
        for (const [id, waiters] of batch) for (const { resolve } of waiters) resolve(things.get(id))
      } catch (error) {
        for (const waiters of batch.values()) for (const { reject } of waiters) reject(error)
      }
    }
    isReading = false
  }

  function takeBatch(): Map<number, Waiter[]> {
    if (waiting.size <= batchMax) {
      const batch = waiting
      waiting = new Map()
      return batch
    }
    const batch = new Map([...waiting].slice(0, batchMax))
    for (const id of batch.keys()) waiting.delete(id)
    return batch
  }
}
