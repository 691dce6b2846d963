/**
 * The report of the fault suite: a line of JSON for each scenario and one for the run as a whole, the table and the sentence
 * that are made from them, and what keeps them from being made.
 */
import { appendFileSync } from 'node:fs'
import type { Findings } from '../rig/ledger.ts'

/** The rows that no scenario declares, by the file that adds them. */
export const ROWS_APART = {
  decoder: 'hostile frames to the decoders of device and viewer frames (tries: frames)',
  violations:
    'violations of HTTP, of WebSocket and of the way in, each on a connection of its own (tries: violations)',
  simulation: 'seeded simulation of the hub with everything that can go wrong at once (tries: seeds)',
} as const

/** null: it means nothing there. */
export interface Result {
  fault: string
  tries: number
  seed: number | null
  isLong: boolean
  acknowledged: number | null
  lost: number | null
  doubled: number | null
  altered: number | null
  missing: number | null
  /** null: nothing that took time by our clock. */
  recoveryMs: { p50: number; p99: number } | null
}

/** A scenario that could not be played here, and why. */
export interface Skipped {
  fault: string
  isLong: boolean
  skipped: string
}

/** A scenario that did not pass, and how far it came: no table is made of a run with one of them. */
export interface Failed {
  fault: string
  isLong: boolean
  failed: string
}

export type Row = Result | Skipped | Failed

/** The last line: what the rows above it are rows of. */
export interface Closing {
  /** Every file of the suite ran in its long form, as a whole, and passed. */
  isComplete: boolean
  commit: string
  /** Something of the tree was not of the commit, or became so. */
  isDirty: boolean
  seed: number
  minutes: number
}

export type Line = Row | Closing

/** Of a row for what stores nothing. */
export const NOTHING_STORED = {
  acknowledged: null,
  lost: null,
  doubled: null,
  altered: null,
  missing: null,
  examples: [],
  recoveriesMs: [],
}

type Facts = Omit<Result, 'recoveryMs'> & { recoveriesMs: readonly number[] } & Pick<Findings, 'examples'>

/** Goes to the file that the configuration of the long run names; elsewhere nobody asks for it. */
export function addResult({ recoveriesMs, examples: _, ...facts }: Facts): void {
  const { fault, tries, seed, isLong, acknowledged, lost, doubled, altered, missing } = facts
  const recoveryMs =
    recoveriesMs.length === 0 ? null : { p50: quantile(recoveriesMs, 0.5), p99: quantile(recoveriesMs, 0.99) }
  const result: Result = {
    fault,
    tries,
    seed,
    isLong,
    acknowledged,
    lost,
    doubled,
    altered,
    missing,
    recoveryMs,
  }
  add(result)
}

export function addSkipped(skipped: Skipped): void {
  add(skipped)
}

export function addFailed(failed: Failed): void {
  add(failed)
}

export function addClosing(file: string, closing: Closing): void {
  appendFileSync(file, `${JSON.stringify(closing)}\n`)
}

function add(line: Line): void {
  const file = process.env.FAULT_RESULTS
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(line)}\n`)
}

/** Why a table must not be made from the lines, for a person to read. `declared`: the rows that the suite has. */
export function objections(lines: readonly Line[], declared: readonly string[]): string[] {
  const rows = rowsOf(lines)
  const closing = closingOf(lines)
  const names = rows.map(({ fault }) => fault)
  const seeds = new Set(
    [...rows, closing].flatMap((line) => (line != null && 'seed' in line ? (line.seed ?? []) : [])),
  )
  return [
    ...(closing?.isComplete ? [] : ['the run was not through, not of all files, or did not pass']),
    ...rows.filter(({ isLong }) => !isLong).map(({ fault }) => `of the short form: ${fault}`),
    ...rows.flatMap((row) => ('failed' in row ? [`failed: ${row.fault}`] : [])),
    ...declared.filter((fault) => !names.includes(fault)).map((fault) => `without a row: ${fault}`),
    ...names.filter((fault) => !declared.includes(fault)).map((fault) => `not of the suite: ${fault}`),
    ...names.filter((fault, i) => names.indexOf(fault) < i).map((fault) => `twice: ${fault}`),
    ...(seeds.size > 1 ? [`of several runs: ${[...seeds].join(', ')}`] : []),
  ]
}

export function tableOf(lines: readonly Line[]): string {
  const rows = rowsOf(lines)
  if (rows.length === 0) return 'No long run of this version is on record yet.'
  return [
    '| fault | tries | points acknowledged | lost | doubled | altered | missing | recovery p50 / p99, ms | seed |',
    '|---|---|---|---|---|---|---|---|---|',
    ...rows.map((row) => {
      if ('skipped' in row) return `| ${row.fault} | skipped: ${row.skipped} | | | | | | | |`
      if ('failed' in row) return `| ${row.fault} | failed: ${row.failed} | | | | | | | |`
      return cellsOf(row)
    }),
  ].join('\n')
}

/** Which run the table is of, and which whole run went right before it; empty without any. */
export function sentenceOf(lines: readonly Line[], before: readonly Line[]): string {
  const [last, first] = [closingOf(lines), closingOf(before)]
  if (last === undefined) return ''
  const told = ({ commit, isDirty, seed, minutes }: Closing) =>
    `commit ${commit}${isDirty ? ' with changes of its own' : ''}, seed ${seed}, ${minutes} minutes`
  if (!last.isComplete) return `That is no whole long run that passed: ${told(last)}.`
  return first === undefined
    ? `That is one whole run: ${told(last)}.`
    : `That is the second of two whole runs in a row: ${told(last)}. The one before passed as well: ${told(first)}.`
}

export function closingOf(lines: readonly Line[]): Closing | undefined {
  return lines.find((line) => 'isComplete' in line)
}

function rowsOf(lines: readonly Line[]): Row[] {
  return lines.filter((line): line is Row => !('isComplete' in line))
}

function cellsOf({ fault, tries, acknowledged, recoveryMs, seed, ...found }: Result): string {
  const { lost, doubled, altered, missing } = found
  const recovery = recoveryMs && `${count(recoveryMs.p50)} / ${count(recoveryMs.p99)}`
  const points = acknowledged && count(acknowledged)
  const cells = [fault, count(tries), points, lost, doubled, altered, missing, recovery, seed]
  return `| ${cells.map((cell) => cell ?? '–').join(' | ')} |`
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!)
}

function count(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ' ')
}
