/**
 * The last error of each device, for admins who wonder why one does not come through: in memory, of this hub, since its
 * start. The dead letters of the database are the record; this is the first look.
 */
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import type { LastErrorJson } from '../protocol/http.ts'
import { REASON, type Reason } from '../protocol/messages.ts'

export type LastErrors = ReturnType<typeof createLastErrors>

const WORDS: Readonly<Record<Reason, string>> = {
  [REASON.coordinate]: 'coordinate out of range',
  [REASON.future]: 'time more than 24 h ahead of the hub',
  [REASON.tooOld]: 'time too old',
  [REASON.field]: 'a field out of range',
  [REASON.database]: 'refused by the database',
}

export function createLastErrors({ lastErrorsMax }: { lastErrorsMax: number }, clock: Pick<Clock, 'now'>) {
  const errors = new LRUCache<number, { atMs: number; message: string }>({ max: lastErrorsMax })
  return { note, noteRejected, list }

  function note(deviceId: number, message: string): void {
    errors.set(deviceId, { atMs: clock.now(), message })
  }

  function noteRejected(deviceId: number, reason: Reason): void {
    note(deviceId, `point rejected: ${WORDS[reason]}`)
  }

  /** Newest first. */
  function list(): LastErrorJson[] {
    return [...errors.entries()].map(([deviceId, { atMs, message }]) => ({
      deviceId,
      at: new Date(atMs).toISOString(),
      message,
    }))
  }
}
