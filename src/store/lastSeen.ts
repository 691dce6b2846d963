/** `devices.last_seen_at`, coalesced: noted with every frame, written every few seconds in one statement. */
import type { Run } from './connection.ts'
import { writeLastSeen } from './devices.ts'

export function createLastSeen(run: Run) {
  let noted = new Map<number, number>()
  return { note, flush }

  function note(deviceId: number, ms: number): void {
    noted.set(deviceId, ms)
  }

  /** Rejects when the database is away; nothing noted is forgotten. */
  async function flush(): Promise<void> {
    if (noted.size === 0) return
    const writing = noted
    noted = new Map()
    try {
      await writeLastSeen(run, writing)
    } catch (error) {
      noted = new Map([...writing, ...noted])
      throw error
    }
  }
}
