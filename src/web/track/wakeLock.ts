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
    if (!isNeeded() || document.visibilityState !== 'visible' || !('wakeLock' in navigator)) return
    const taken = await navigator.wakeLock.request('screen').catch(() => null)
    // Refused, as when the battery is low: the page works all the same.
    if (taken === null) return
    // Not wanted any more, or asked for twice: one that nobody remembers would never be released.
    if (!isNeeded()) return void taken.release()
    lock = taken
    isHeld.value = true
    taken.addEventListener('release', () => {
      if (lock === taken) isHeld.value = false
    })
  }

  function isNeeded(): boolean {
    return isWanted && !isHeld.peek()
  }

  function release(): void {
    isWanted = false
    lock?.release().catch(() => {})
    lock = null
    isHeld.value = false
  }
}
