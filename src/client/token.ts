/**
 * A viewer's token: got before each connection, and replaced before it expires (AUTH, 4451). What is in a
 * token is none of its business.
 */
import type { Clock } from '../clock.ts'

/**
 * A token, or where to get one. The function is called before each connection and, with `fresh` true, when
 * the last token has expired or is about to.
 */
export type TokenSource = string | ((fresh: boolean) => string | Promise<string>)

/** A new token is asked for so long before the old one expires, or at half time if that is later. */
const RENEW_BEFORE_MS = 60_000
const RENEW_EVERY_MS_MIN = 5_000

export function createTokenKeeper(
  source: TokenSource,
  clock: Clock,
  tell: { renew(token: string): void; failed(message: string): void },
) {
  let hasExpired = false
  /** AUTH was sent and not answered. */
  let isAsking = false
  let hubKnowsAuth = true
  let callOff: (() => void) | null = null
  /** What the hub's clock is ahead of `elapsed`. */
  let offsetMs = 0
  let connection = 0

  return {
    get,
    accepted,
    renewed,
    deferred,
    disconnected,
    canRenew: typeof source !== 'string',
    /** The hub is waiting to answer AUTH, or does not know it. */
    get isAsking() {
      return isAsking
    },
    forgoAuth,
  }

  function get(): string | Promise<string> {
    return typeof source === 'string' ? source : source(hasExpired)
  }

  function accepted(serverNowMs: number, expiresMs: number): void {
    hasExpired = false
    offsetMs = serverNowMs - clock.elapsed()
    renewed(expiresMs)
  }

  function renewed(expiresMs: number): void {
    isAsking = false
    if (typeof source === 'string' || !hubKnowsAuth) return
    const leftMs = expiresMs - offsetMs - clock.elapsed()
    renewIn(Math.max(leftMs - RENEW_BEFORE_MS, leftMs / 2))
  }

  /** The hub cannot check a token at the moment; the old one is still good. */
  function deferred(): void {
    if (!isAsking) return
    isAsking = false
    renewIn(RENEW_BEFORE_MS / 4)
  }

  function renewIn(delayMs: number): void {
    callOff?.()
    callOff = clock.after(Math.max(delayMs, RENEW_EVERY_MS_MIN), renew)
  }

  async function renew(): Promise<void> {
    callOff = null
    if (typeof source === 'string') return
    const mine = connection
    try {
      const fresh = await source(true)
      if (mine !== connection) return
      isAsking = true
      tell.renew(fresh)
    } catch (fault) {
      if (mine !== connection) return
      renewIn(RENEW_BEFORE_MS / 4)
      tell.failed(fault instanceof Error ? fault.message : 'no token')
    }
  }

  /** A hub of an earlier version closes at AUTH: from now on a new token is for the next connection. */
  function forgoAuth(): void {
    hubKnowsAuth = false
    hasExpired = true
  }

  function disconnected(expired: boolean): void {
    connection += 1
    hasExpired ||= expired
    isAsking = false
    callOff?.()
    callOff = null
  }
}
