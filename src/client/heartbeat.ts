/**
 * Notices that the hub has gone silent (D11). It hears only that something came, and asks for a sign of life
 * where the platform hides the hub's pings.
 */
import type { Clock } from '../clock.ts'

export function createHeartbeat(
  clock: Clock,
  seesPings: boolean,
  tell: { askForSign(nonce: number): void; silent(): void },
) {
  let everyMs = 0
  let heardAtMs = 0
  let hasAsked = false
  let nonce = 0
  let callOff: (() => void) | null = null

  return { start, heard, stop }

  function start(heartbeatS: number): void {
    everyMs = heartbeatS * 1000
    heard()
    checkIn(everyMs)
  }

  /** A frame or a ping came in. */
  function heard(): void {
    heardAtMs = clock.elapsed()
    hasAsked = false
  }

  function stop(): void {
    callOff?.()
    callOff = null
  }

  function check(): void {
    const silentMs = clock.elapsed() - heardAtMs
    if (silentMs >= 2 * everyMs) {
      tell.silent()
      return
    }
    if (silentMs >= everyMs && !seesPings && !hasAsked) {
      hasAsked = true
      nonce += 1
      tell.askForSign(nonce)
    }
    checkIn((silentMs < everyMs ? everyMs : 2 * everyMs) - silentMs)
  }

  function checkIn(delayMs: number): void {
    callOff?.()
    callOff = clock.after(delayMs, check)
  }
}
