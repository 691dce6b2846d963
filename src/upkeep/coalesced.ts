/**
 * `devices.last_seen_at` and `users.last_login_at`, coalesced: noted whenever it happens, written every few seconds in
 * one statement.
 */

import type { Run } from '../store/line/run.ts'
import { writeLastSeen } from '../store/live/lastSeen.ts'

type Write = (run: Run, noted: ReadonlyMap<number, number>) => Promise<void>

export function createLastSeen(run: Run, write: Write = writeLastSeen) {
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
      await write(run, writing)
    } catch (error) {
      noted = new Map([...writing, ...noted])
      throw error
    }
  }
}
