/**
 * Whoever brings points: a device's socket, an app's request, an import. What they are made of is nobody's business here;
 * they are told what has become of what they brought. However one ends, whoever opened it says so to `gone` of ingest.ts.
 */
import type { Close } from '../protocol/closes.ts'
import type { Rejected } from '../protocol/messages.ts'

export interface Source {
  readonly isOpen: boolean
  /**
   * Everything up to `seq` is committed, or among the `rejected` of this call and of earlier ones, and so many points may
   * be unacknowledged from now on. False when it did not get through: the source does not listen.
   */
  ack: (seq: number, windowPoints: number, rejected: readonly Rejected[]) => boolean
  /**
   * Nothing more is taken from it; maybe said twice. Only `ack` says that something is stored: a source that wanted to go
   * is ended with `normal` after a while whatever became of what it brought.
   */
  end: (close: Close) => void
  /** Please wait for so long, and why. Absent where nobody would listen. */
  pause?: (retryMs: number, reason: string) => void
  /** How often to record from now on, and whether anybody watches. */
  rate?: (everyMs: number, isWatched: boolean) => void
}
