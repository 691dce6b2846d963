/**
 * `alzy replay`: sends recorded tracks as devices, at their own pace, and tells how it went. Reading tracks
 * is in ../tracks, the wire in ../client; here they meet a clock, a terminal and Ctrl-C.
 */
import { setMaxListeners } from 'node:events'
import { createDeviceClient } from '../client/node.ts'
import { type Clock, systemClock } from '../clock.ts'
import { DEVICE_COLORS, LIVE_AHEAD_MS_MAX, RECORDED_AHEAD_MS_MAX } from '../protocol/messages.ts'
import { createPace, type Shift } from '../tracks/pace.ts'
import { play } from '../tracks/play.ts'
import { type Survey, surveyTrack, type TrackLane } from '../tracks/read/survey.ts'
import { createApiClient } from './api.ts'
import { checkUrl } from './fault.ts'
import { openKeys } from './keys.ts'
import { createRate, duration, grouped, progressLine, showProgress, type Terminal } from './progress.ts'
import { openSenders, type SenderReport, type SenderTotals } from './senders.ts'

export interface ReplayOptions {
  /** The hub's address; default http://127.0.0.1:9001. */
  url?: string | undefined
  /** Key of the device to send as. Not together with `splitBy`. */
  key?: string | undefined
  /** How many times faster than recorded; 0: as fast as acknowledged. Default 1. */
  speed?: number | undefined
  /** Default `none`. */
  shift?: Shift | undefined
  /** A column of a CSV file; each of its values becomes a device of the user `email`. Needs `token`. */
  splitBy?: string | undefined
  email?: string | undefined
  token?: string | undefined
  json?: boolean | undefined
}

export interface ReplayIo {
  stdout: Terminal
  stderr: Terminal
  /** Aborted on Ctrl-C. */
  signal: AbortSignal
}

export interface ReplayParts {
  clock: Pick<Clock, 'now' | 'after'>
  connect: typeof createDeviceClient
}

/** What `--json` prints. */
export interface ReplaySummary extends SenderTotals {
  files: { file: string; fixes: number; untimed: number }[]
  devices: SenderReport[]
  /** Fixes with a time in all files. */
  points: number
  /** Of those, neither acknowledged nor rejected, whether sent or not. */
  notAcknowledged: number
  elapsedMs: number
  interrupted: boolean
}

const INTERRUPTED_EXIT = 130

/**
 * Resolves to the exit code: 0 when every point was acknowledged, 1 when the hub rejected some, 130 after
 * Ctrl-C. Throws an Error of one clear line; a file that cannot be read to its end fails before anything is
 * sent.
 */
export async function replay(
  files: string[],
  options: ReplayOptions,
  io: ReplayIo,
  parts: ReplayParts = { clock: systemClock, connect: createDeviceClient },
): Promise<number> {
  const { clock } = parts
  const url = options.url ?? 'http://127.0.0.1:9001'
  const speed = options.speed ?? 1
  const shift = options.shift ?? 'none'
  checkOptions(files, options, url)
  const surveys = await surveyed(files, options.splitBy, io.signal)
  const keys = await keysOf(surveys, options, url, io.signal)

  const failure = new AbortController()
  const stop = AbortSignal.any([io.signal, failure.signal])
  // Every lane waits on it, and more than ten listeners would look like a leak.
  setMaxListeners(0, stop)
  const senders = openSenders({ url, keys, connect: parts.connect, failed: (error) => failure.abort(error) })
  const startedMs = clock.now()
  /** When the last fix of all files is due, once it is known. */
  let endMs = startedMs
  const rate = createRate(startedMs)
  const progress = showProgress(io.stderr, () => lineOf(senders.totals(), senders.troubles()))

  try {
    await unlessAborted(sendAll().then(senders.drained), stop)
  } catch (error) {
    // The failure that aborted is the cause; what a client says after that is not.
    failure.abort(error)
  } finally {
    await senders.close()
    progress.stop()
  }
  if (failure.signal.aborted) throw failure.signal.reason
  return told(summaryOf())

  async function sendAll(): Promise<void> {
    let stampFromMs = Number.NEGATIVE_INFINITY
    for (const [index, { file, lanes }] of surveys.entries()) {
      const startMs = clock.now()
      const { firstMs, lastMs } = spanOf(lanes)
      // Two files of one device must not share a moment, which a fast replay of the first would lead to.
      stampFromMs = Math.max(startMs, stampFromMs)
      const pace = createPace({ firstMs, startMs, speed, shift, stampFromMs })
      endMs = pace.dueMs(lastMs) + surveys.slice(index + 1).reduce((sum, later) => sum + playMs(later), 0)
      warnOfFuture(file, pace.stampMs(lastMs) - pace.dueMs(lastMs))
      await Promise.all(
        lanes.map((lane) => play(lane.fixes(), pace, clock, stop, (fix) => senders.send(lane.name, fix))),
      )
      stampFromMs = pace.stampMs(lastMs) + 1
    }
  }

  function playMs({ lanes }: Survey): number {
    const { firstMs, lastMs } = spanOf(lanes)
    return speed === 0 ? 0 : (lastMs - firstMs) / speed
  }

  function warnOfFuture(file: string, aheadMs: number): void {
    if (shift !== 'now' || aheadMs <= LIVE_AHEAD_MS_MAX) return
    progress.say(
      `note: at this speed the last point of ${file} is stamped ${duration(aheadMs)} ahead of its sending; ` +
        `live shows points at most ${LIVE_AHEAD_MS_MAX / 1_000} s ahead, ` +
        `and the hub rejects those more than ${RECORDED_AHEAD_MS_MAX / 3_600_000} h ahead`,
    )
  }

  function lineOf(totals: SenderTotals, trouble: string | null): string {
    const done = totals.acknowledged + totals.rejected
    const perSecond = rate.perSecond(clock.now(), done)
    const byRateMs = perSecond === 0 ? null : ((pointsOf(surveys) - done) * 1_000) / perSecond
    // A pace says when it ends; without one, the rate has to tell.
    const leftMs = speed === 0 ? byRateMs : Math.max(0, endMs - clock.now())
    const counts = { ...totals, points: pointsOf(surveys), untimed: untimedOf(surveys) }
    const line = progressLine(counts, perSecond, leftMs)
    return trouble === null ? line : `${trouble}; ${line}`
  }

  function summaryOf(): ReplaySummary {
    const totals = senders.totals()
    return {
      files: surveys.map(({ file, fixes, untimed }) => ({ file, fixes, untimed })),
      devices: senders.reports(),
      points: pointsOf(surveys),
      ...totals,
      notAcknowledged: pointsOf(surveys) - totals.acknowledged - totals.rejected,
      elapsedMs: clock.now() - startedMs,
      interrupted: io.signal.aborted,
    }
  }

  function told(summary: ReplaySummary): number {
    io.stdout.write(`${options.json ? JSON.stringify(summary) : summaryLine(summary)}\n`)
    if (summary.interrupted && summary.notAcknowledged > 0) return INTERRUPTED_EXIT
    return summary.rejected > 0 ? 1 : 0
  }
}

function summaryLine(summary: ReplaySummary): string {
  const seconds = summary.elapsedMs / 1_000
  const devices = summary.devices.length
  const untimed = summary.files.reduce((sum, file) => sum + file.untimed, 0)
  const reasons = Object.entries(summary.rejectedByReason).map(([reason, count]) => `${reason} ${count}`)
  const parts = [
    `${summary.interrupted ? 'interrupted: ' : ''}${grouped(summary.acknowledged)} of ${grouped(summary.points)} points acknowledged`,
    `${devices} ${devices === 1 ? 'device' : 'devices'}`,
    `${seconds.toFixed(1)} s`,
  ]
  if (seconds > 0) parts.push(`${grouped(summary.acknowledged / seconds)} points/s`)
  if (summary.rejected > 0) parts.push(`${grouped(summary.rejected)} rejected (${reasons.join(', ')})`)
  if (untimed > 0) parts.push(`${grouped(untimed)} fixes without time skipped`)
  return parts.join(', ')
}

function checkOptions(files: string[], options: ReplayOptions, url: string): void {
  const { key, splitBy, email, token, speed = 1 } = options
  if (files.length === 0) throw new Error('no file to replay')
  if (!(speed >= 0 && Number.isFinite(speed))) throw new Error('--speed must be 0 or a number above it')
  if ((key === undefined) === (splitBy === undefined)) {
    throw new Error('replay needs either --key KEY, or --split-by COLUMN with --email E')
  }
  if (splitBy !== undefined && email === undefined) throw new Error('--split-by needs --email E')
  if (splitBy !== undefined && token === undefined) throw new Error('--split-by needs the token of an admin')
  checkUrl(url)
}

async function surveyed(files: string[], splitBy: string | undefined, signal: AbortSignal) {
  const surveys: Survey[] = []
  for (const file of files) {
    const survey = await surveyTrack(file, splitBy, signal).catch((error) => {
      throw signal.aborted ? new Error('interrupted before anything was sent') : error
    })
    if (survey.lanes.length === 0) throw new Error(`${file}: none of its ${survey.fixes} fixes has a time`)
    surveys.push(survey)
  }
  return surveys
}

/** Device keys by the names of lanes. */
async function keysOf(
  surveys: Survey[],
  { key, token, email }: ReplayOptions,
  url: string,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  if (key !== undefined) return new Map([['', key]])
  const names = new Set(surveys.flatMap(({ lanes }) => lanes.map((lane) => lane.name)))
  const { keyFor } = await openKeys(createApiClient(url, token!), email!)
  const keys = new Map<string, string>()
  for (const name of names) {
    if (signal.aborted) throw new Error('interrupted before anything was sent')
    const color = DEVICE_COLORS[keys.size % DEVICE_COLORS.length]!
    keys.set(name, (await keyFor(name, color)).deviceKey)
  }
  return keys
}

/** All lanes of a file run on one clock, which begins with the earliest of their first fixes. */
function spanOf(lanes: readonly TrackLane[]): { firstMs: number; lastMs: number } {
  return {
    firstMs: Math.min(...lanes.map((lane) => lane.firstMs)),
    lastMs: Math.max(...lanes.map((lane) => lane.lastMs)),
  }
}

function pointsOf(surveys: Survey[]): number {
  return surveys.reduce((sum, { fixes, untimed }) => sum + fixes - untimed, 0)
}

function untimedOf(surveys: Survey[]): number {
  return surveys.reduce((sum, { untimed }) => sum + untimed, 0)
}

/** Resolves with `work`, or as soon as `signal` is aborted; then `work` is left alone. */
async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  // Whatever it still has to say after an abort, nobody needs to hear.
  work.catch(() => {})
  const aborted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
  await Promise.race([work, aborted])
}
