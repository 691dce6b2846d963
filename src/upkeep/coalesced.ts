/**
 * Moments that are noted whenever something happens and written now and then, many in one statement: `last_seen_at` of
 * devices, `last_login_at` of users.
 */
export type Coalesced = ReturnType<typeof createCoalesced>

/** `write` takes moments in ms, by id; rejects when the database is away. */
export function createCoalesced(write: (noted: ReadonlyMap<number, number>) => Promise<void>) {
  let noted = new Map<number, number>()
  return { note, flush }

  function note(id: number, ms: number): void {
    noted.set(id, ms)
  }

  /** Rejects when the database is away; nothing noted is forgotten. */
  async function flush(): Promise<void> {
    if (noted.size === 0) return
    const writing = noted
    noted = new Map()
    try {
      await write(writing)
    } catch (error) {
      noted = new Map([...writing, ...noted])
      throw error
    }
  }
}
