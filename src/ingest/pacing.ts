/** What a device is told of its pace: PAUSE while the store is away or behind (D7), RATE as viewers come and go. */
import type { Device } from '../core/device.ts'
import type { Counts } from '../ops/metrics.ts'
import { encodePause, encodeRate } from '../protocol/encode.ts'
import type { DeviceLink } from '../sockets/link.ts'

export interface PacingOptions {
  limits: {
    pauseAfterMs: number
    pauseRetryMs: number
    rateWatchedMs: number
    rateUnwatchedMs: number
    rateEveryMs: number
  }
  counts: Counts
  /** The sockets that were welcomed. */
  links: () => Iterable<DeviceLink>
  isWatched: (device: Device) => boolean
  now: () => number
}

export function createPacing({ limits, counts, links, isWatched, now }: PacingOptions) {
  return { pauseLate, pauseAll, tellRates, tellRate }

  /** PAUSE for every connection whose oldest frame has waited too long (D7). */
  function pauseLate(): void {
    const lateMs = now() - limits.pauseAfterMs
    for (const link of links()) {
      if ((link.receivedMs[0] ?? Number.POSITIVE_INFINITY) <= lateMs) pause(link)
    }
  }

  /** The store is away: tell everyone who waits for it at once. */
  function pauseAll(): void {
    for (const link of links()) if (link.receivedMs.length > 0) pause(link)
  }

  function pause(link: DeviceLink): void {
    const nowMs = now()
    if (nowMs < link.pauseAgainMs) return
    link.pauseAgainMs = nowMs + limits.pauseRetryMs
    counts.pausesSent += 1
    link.peer.send(encodePause(limits.pauseRetryMs, 'the database is away or behind'))
  }

  /** RATE for every device that gained its first viewer or lost its last one. */
  function tellRates(): void {
    const nowMs = now()
    for (const link of links()) tellRate(link, nowMs)
  }

  function tellRate(link: DeviceLink, nowMs: number): void {
    const watched = isWatched(link.device!)
    if (watched === link.toldWatched || nowMs - link.toldMs < limits.rateEveryMs) return
    link.toldWatched = watched
    link.toldMs = nowMs
    link.peer.send(encodeRate(watched ? limits.rateWatchedMs : limits.rateUnwatchedMs, watched))
  }
}
