/**
 * Notices that the hub owes an ACK for too long (D5). It is told when frames leave and when the hub gives a
 * sign (ACK or PAUSE), and sets one timer at most, however many frames pass.
 */
import type { Clock } from '../clock.ts'

const SILENCE_MS = 30_000

export function createAckWatch(clock: Clock, isOwed: () => boolean, overdue: () => void) {
  let sinceMs = 0
  let callOff: (() => void) | null = null

  return { owed, sign, stop }

  /** A frame leaves while nothing else was in flight. */
  function owed(): void {
    sign()
    callOff ??= clock.after(SILENCE_MS, check)
  }

  function sign(): void {
    sinceMs = clock.elapsed()
  }

  function stop(): void {
    callOff?.()
    callOff = null
  }

  function check(): void {
    callOff = null
    if (!isOwed()) return
    const silentMs = clock.elapsed() - sinceMs
    if (silentMs >= SILENCE_MS) overdue()
    else callOff = clock.after(SILENCE_MS - silentMs, check)
  }
}
