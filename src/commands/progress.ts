/**
 * How a replay tells where it is: the words and the line that is redrawn on a terminal. It only reads
 * counts; nothing waits for it.
 */
import type { Writable } from 'node:stream'
import { systemClock } from '../clock.ts'

export interface ReplayCounts {
  /** Fixes with a time in all files. */
  points: number
  sent: number
  acknowledged: number
  rejected: number
  /** Fixes without a time. */
  untimed: number
}

export interface Terminal extends Writable {
  isTTY?: boolean
  columns?: number
}

const REDRAW_MS = 200
const LINE_MS = 5_000

/**
 * Writes `line()` to `out` until it is stopped: redrawn in place on a terminal, else a line every few
 * seconds. After `stop` nothing of the redrawn line is left, so that a summary may follow.
 */
export function showProgress(out: Terminal, line: () => string) {
  const redraws = out.isTTY === true
  const end = systemClock.every(redraws ? REDRAW_MS : LINE_MS, show)
  return { say, stop }

  function show() {
    // A line longer than the terminal would wrap, and then pile up instead of being redrawn.
    if (redraws) out.write(`\r\u001b[2K${line().slice(0, (out.columns ?? 80) - 1)}`)
    else out.write(`${line()}\n`)
  }

  /** Something that must stay readable above the progress. */
  function say(message: string) {
    out.write(redraws ? `\r\u001b[2K${message}\n` : `${message}\n`)
  }

  function stop() {
    end()
    if (redraws) out.write('\r\u001b[2K')
  }
}

const RATE_OVER_MS = 15_000

/** The rate of late, so that a pause of the hub does not count for ever. */
export function createRate(startedMs: number) {
  /** Looks back to the last of these that is old enough. */
  const samples = [{ atMs: startedMs, count: 0 }]
  return { perSecond }

  /** `count` so far, at `nowMs`. */
  function perSecond(nowMs: number, count: number): number {
    samples.push({ atMs: nowMs, count })
    while (samples.length > 2 && nowMs - samples[1]!.atMs >= RATE_OVER_MS) samples.shift()
    const [first] = samples
    return nowMs > first!.atMs ? ((count - first!.count) * 1_000) / (nowMs - first!.atMs) : 0
  }
}

/** One line, like `1 204 of 1 533 sent, 1 180 acknowledged, 98/s, 3 s left`. `leftMs` null: not known. */
export function progressLine(counts: ReplayCounts, perSecond: number, leftMs: number | null): string {
  const parts = [
    `${grouped(counts.sent)} of ${grouped(counts.points)} sent`,
    `${grouped(counts.acknowledged)} acknowledged`,
  ]
  if (counts.rejected > 0) parts.push(`${grouped(counts.rejected)} rejected`)
  if (counts.untimed > 0) parts.push(`${grouped(counts.untimed)} without time skipped`)
  parts.push(`${perSecond < 10 ? perSecond.toFixed(1) : grouped(perSecond)}/s`)
  if (leftMs !== null) parts.push(`${duration(leftMs)} left`)
  return parts.join(', ')
}

/** `12 s`, `3 min 20 s`, `2 h 5 min`, `41 d 3 h`. */
export function duration(ms: number): string {
  const seconds = Math.ceil(ms / 1_000)
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  if (minutes < 1) return `${seconds} s`
  if (hours < 1) return `${minutes} min ${seconds % 60} s`
  return hours < 24 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** 108607 is `108 607`, with a space that does not break. */
export function grouped(count: number): string {
  return Math.round(count)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, '\u202F')
}
