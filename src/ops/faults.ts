/** What went wrong, whose fault it was, and what is done about it. Everybody has the same one. */
import { blame, codeOf, describeError } from '../core/blame.ts'
import { CLOSE, type Close } from '../protocol/closes.ts'
import type { Log } from './log.ts'

export interface Faults {
  /** The database's or ours: told as what it was. */
  judge: (error: unknown) => 'away' | 'ours'
  /** The environment's fault: it is waited out, and worth a line. */
  away: (error: unknown) => void
  /** Our fault: counted, and told whole. */
  ours: (error: unknown) => void
  /** The OpenID issuer does not answer, or not with keys. */
  issuerAway: (error: unknown) => void
  /** Whatever becomes of the work, this peer is not left without an end. */
  guard: (work: Promise<unknown>, peer: { end: (close: Close) => void }) => void
}

export function createFaults(log: Pick<Log, 'warn' | 'error'>, counts: { handlerFaults: number }): Faults {
  return { judge, away, ours, issuerAway, guard }

  function judge(error: unknown): 'away' | 'ours' {
    const code = codeOf(error)
    const isAway = code !== undefined && blame(code) === 'database'
    if (isAway) away(error)
    else ours(error)
    return isAway ? 'away' : 'ours'
  }

  function away(error: unknown): void {
    log.warn(describeError(error), 'the database did not answer')
  }

  function ours(error: unknown): void {
    counts.handlerFaults += 1
    log.error({ ...describeError(error), stack: (error as Error).stack }, 'a fault of our own')
  }

  function issuerAway(error: unknown): void {
    const { name, message, cause } = error as Error & { cause?: { code?: string } }
    log.warn(
      { fault: name, message, code: cause?.code },
      'the keys of the OpenID issuer could not be fetched',
    )
  }

  function guard(work: Promise<unknown>, peer: { end: (close: Close) => void }): void {
    work.catch((error) => peer.end(judge(error) === 'away' ? CLOSE.unavailable : CLOSE.internal))
  }
}
