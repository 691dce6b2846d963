/**
 * Notices that the hub owes an ACK for too long (D5). It is told when frames leave and when the hub gives a
 * sign (ACK or PAUSE), and sets one timer at most, however many frames pass.
 */
import type { Clock } from './platform.ts'

const SILENCE_MS = 30_000

export function createAckWatch(clock: Clock, isOwed: () => boolean, overdue: () => void) {
  let sinceMs = 0
  let timer: unknown = null

  return { owed, sign, stop }

  /** A frame leaves while nothing else was in flight. */
  function owed(): void {
    sign()
    timer ??= clock.setTimer(check, SILENCE_MS)
  }

  function sign(): void {
    sinceMs = clock.elapsed()
  }

  function stop(): void {
    clock.clearTimer(timer)
    timer = null
  }

  function check(): void {
    timer = null
    if (!isOwed()) return
    const silentMs = clock.elapsed() - sinceMs
    if (silentMs >= SILENCE_MS) overdue()
    else timer = clock.setTimer(check, SILENCE_MS - silentMs)
  }
}
