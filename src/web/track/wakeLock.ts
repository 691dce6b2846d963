/** Keeps the screen on while something is recorded: a page behind a dark screen gets no positions. */
import { signal } from '@preact/signals'

export function createWakeLock() {
  const isHeld = signal(false)
  let lock: WakeLockSentinel | null = null
  let isWanted = false
  // The browser takes it back whenever the page is out of sight.
  document.addEventListener('visibilitychange', () => void take())
  return { isHeld, isPossible: 'wakeLock' in navigator, want, release }

  function want(): void {
    isWanted = true
    take()
  }

  async function take(): Promise<void> {
    if (!isWanted || document.visibilityState !== 'visible' || !('wakeLock' in navigator)) return
    const taken = await navigator.wakeLock.request('screen').catch(() => null)
    // Refused, as when the battery is low: the page works all the same.
    if (taken === null) return
    if (!isWanted) return void taken.release()
    lock = taken
    isHeld.value = true
    taken.addEventListener('release', () => {
      if (lock === taken) isHeld.value = false
    })
  }

  function release(): void {
    isWanted = false
    lock?.release().catch(() => {})
    lock = null
    isHeld.value = false
  }
}
