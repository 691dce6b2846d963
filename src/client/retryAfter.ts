/** How long somebody asks to be left alone. */

import { systemClock } from '../clock.ts'

/** More than an hour is not believed. */
const RETRY_AFTER_MS_MAX = 3_600_000

/** `Retry-After` is seconds or a date (RFC 9110, 10.2.3); null where there is none, or none that can be read. */
export function retryAfterMs(header: string | null | undefined): number | null {
  if (header === undefined || header === null) return null
  const seconds = Number(header)
  const delayMs = Number.isNaN(seconds) ? Date.parse(header) - systemClock.now() : seconds * 1_000
  return Number.isNaN(delayMs) ? null : Math.min(Math.max(0, delayMs), RETRY_AFTER_MS_MAX)
}
