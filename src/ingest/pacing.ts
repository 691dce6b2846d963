/** What a source is told of its pace: PAUSE while the store is away or behind (D7), RATE as viewers come and go. */
import type { Clock } from '../clock.ts'
import type { Counts } from '../ops/metrics.ts'
import type { Inlet, Viewership } from './intake.ts'

export interface PacingOptions {
  limits: {
    pauseAfterMs: number
    pauseRetryMs: number
    rateWatchedMs: number
    rateUnwatchedMs: number
    rateEveryMs: number
  }
  counts: Counts
  /** Of the devices that are here. */
  inlets: () => Iterable<Inlet>
  live: Pick<Viewership, 'isWatched'>
  clock: Pick<Clock, 'now'>
}

export function createPacing({ limits, counts, inlets, live, clock }: PacingOptions) {
  return { pauseLate, pauseAll, tellRates, tellRate: (inlet: Inlet) => tell(inlet, clock.now()) }

  /** PAUSE for everyone whose oldest frame has waited too long (D7). */
  function pauseLate(): void {
    const lateMs = clock.now() - limits.pauseAfterMs
    for (const inlet of inlets()) {
      if ((inlet.receivedMs[0] ?? Number.POSITIVE_INFINITY) <= lateMs) pause(inlet)
    }
  }

  /** The store is away: tell everyone who waits for it at once. */
  function pauseAll(): void {
    for (const inlet of inlets()) if (inlet.receivedMs.length > 0) pause(inlet)
  }

  function pause(inlet: Inlet): void {
    const nowMs = clock.now()
    if (inlet.source.pause === undefined || nowMs < inlet.pauseAgainMs) return
    inlet.pauseAgainMs = nowMs + limits.pauseRetryMs
    counts.pausesSent += 1
    inlet.source.pause(limits.pauseRetryMs, 'the database is away or behind')
  }

  /** RATE for every device that gained its first viewer or lost its last one. */
  function tellRates(): void {
    const nowMs = clock.now()
    for (const inlet of inlets()) tell(inlet, nowMs)
  }

  function tell(inlet: Inlet, nowMs: number): void {
    const isWatched = live.isWatched(inlet.device)
    if (isWatched === inlet.toldWatched || nowMs - inlet.toldMs < limits.rateEveryMs) return
    inlet.toldWatched = isWatched
    inlet.toldMs = nowMs
    inlet.source.rate?.(isWatched ? limits.rateWatchedMs : limits.rateUnwatchedMs, isWatched)
  }
}
