/**
 * What a page does about the screen. The locks are Chromium's own; but without a screen it never takes a page out of
 * sight, so what a browser does then is done here: it says so to the page, and takes back what it gave.
 */
import type { Page } from 'playwright-core'

interface Watched {
  wakeLocks: WakeLockSentinel[]
  visibility: DocumentVisibilityState
}

/** Before the page is opened. */
export async function watchWakeLocks(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const watched = Object.assign(window, { wakeLocks: [], visibility: 'visible' }) as unknown as Watched
    Object.defineProperty(document, 'visibilityState', { get: () => watched.visibility })
    const { request } = WakeLock.prototype
    WakeLock.prototype.request = async function (type) {
      const lock = await request.call(this, type)
      watched.wakeLocks.push(lock)
      return lock
    }
  })
}

/** How many were given to this document, and how many of them it still holds. */
export function countWakeLocks(page: Page): Promise<{ given: number; held: number }> {
  return page.evaluate(() => {
    const { wakeLocks } = window as unknown as Watched
    return { given: wakeLocks.length, held: wakeLocks.filter(({ released }) => !released).length }
  })
}

export async function putOutOfSight(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const watched = window as unknown as Watched
    watched.visibility = 'hidden'
    for (const lock of watched.wakeLocks) await lock.release()
    document.dispatchEvent(new Event('visibilitychange'))
  })
}

/** Said twice, as when it went and came again before the lock of the first time was there. */
export async function bringIntoSight(page: Page): Promise<void> {
  await page.evaluate(() => {
    ;(window as unknown as Watched).visibility = 'visible'
    for (const _ of [1, 2]) document.dispatchEvent(new Event('visibilitychange'))
  })
}
