/**
 * Reads a track file once before it is replayed: how many fixes it has, when they begin and end, and which
 * of them belong together. It sends nothing and keeps the order of the file.
 */
import { type Fix, TrackError } from './fix.ts'
import { readTrack } from './track.ts'

/** A fix that can be replayed. */
export type TimedFix = Omit<Fix, 'recordedMs' | 'columns'> & { recordedMs: number }

/** The timed fixes of one device in one file. */
export interface TrackLane {
  /** The value of the column that the file is split by, or '' when it is not. */
  name: string
  count: number
  /** Recorded time of the first timed fix in the order of the file. */
  firstMs: number
  /** The latest recorded time. */
  lastMs: number
  /** May be called again; a file that is not split is read anew, so that it is never held whole. */
  fixes(): AsyncIterable<TimedFix>
}

export interface Survey {
  file: string
  fixes: number
  /** How many of them have no time, and are in no lane. */
  untimed: number
  /** In the order of their first fix. Empty when no fix has a time. */
  lanes: TrackLane[]
}

/** More values than this are no fleet: the column is the wrong one. */
export const SPLIT_VALUES_MAX = 200

/**
 * Throws TrackError for a file that is no track from its first to its last line, for a `splitBy` that is no
 * column of it, or that is empty in some line. A file that is split is held in memory, without its columns.
 * Rejects with the reason of `signal` when that is aborted.
 */
export async function surveyTrack(file: string, splitBy?: string, signal?: AbortSignal): Promise<Survey> {
  const lanes = new Map<string, TrackLane & { held: TimedFix[] }>()
  let fixes = 0
  let untimed = 0
  for await (const fix of readTrack(file)) {
    signal?.throwIfAborted()
    fixes++
    const name = splitBy === undefined ? '' : splitValue(fix, splitBy, file)
    if (!isTimed(fix)) {
      untimed++
      continue
    }
    const lane = lanes.get(name) ?? opened(name, fix.recordedMs)
    lane.count++
    lane.lastMs = Math.max(lane.lastMs, fix.recordedMs)
    if (splitBy !== undefined) lane.held.push(withoutColumns(fix))
  }
  return { file, fixes, untimed, lanes: [...lanes.values()] }

  function opened(name: string, firstMs: number) {
    if (lanes.size === SPLIT_VALUES_MAX) {
      throw new TrackError(file, null, `column ${splitBy} has more than ${SPLIT_VALUES_MAX} different values`)
    }
    const held: TimedFix[] = []
    const fixesOfLane = () => (splitBy === undefined ? timedFixes(file) : heldFixes(held))
    const lane = { name, count: 0, firstMs, lastMs: firstMs, held, fixes: fixesOfLane }
    lanes.set(name, lane)
    return lane
  }
}

/** The fixes of `file` that have a time, read as they are asked for. Throws TrackError. */
export async function* timedFixes(file: string): AsyncGenerator<TimedFix> {
  for await (const fix of readTrack(file)) if (isTimed(fix)) yield fix
}

async function* heldFixes(held: readonly TimedFix[]): AsyncGenerator<TimedFix> {
  yield* held
}

function isTimed(fix: Fix): fix is Fix & { recordedMs: number } {
  return fix.recordedMs !== null
}

function withoutColumns(fix: Fix & { recordedMs: number }): TimedFix {
  const { columns: _, ...rest } = fix
  return rest
}

function splitValue(fix: Fix, splitBy: string, file: string): string {
  const value = Object.hasOwn(fix.columns, splitBy) ? fix.columns[splitBy] : undefined
  if (value === undefined) {
    const names = Object.keys(fix.columns).join(', ')
    throw new TrackError(
      file,
      null,
      `no column ${splitBy}; ${names ? `it has ${names}` : 'GPX has no columns'}`,
    )
  }
  if (value === '') throw new TrackError(file, fix.line, `column ${splitBy} is empty`)
  return value
}
