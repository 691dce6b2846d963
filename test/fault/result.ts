/** The report of the fault suite: a line of JSON for each scenario, and the table that is made from all of them. */
import { appendFileSync } from 'node:fs'
import type { Findings } from '../rig/ledger.ts'

export interface Result {
  fault: string
  tries: number
  seed: number
  isLong: boolean
  acknowledged: number
  lost: number
  doubled: number
  altered: number
  missing: number
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

export type Line = Result | Skipped | Failed

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

function add(line: Line): void {
  const file = process.env.FAULT_RESULTS
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(line)}\n`)
}

export function tableOf(results: readonly Line[]): string {
  if (results.length === 0) return 'No long run of this version is on record yet.'
  const rows = results.map((line) => {
    if ('skipped' in line) return `| ${line.fault} | skipped: ${line.skipped} | | | | | | | |`
    if ('failed' in line) return `| ${line.fault} | failed: ${line.failed} | | | | | | | |`
    return rowOf(line)
  })
  return [
    '| fault | tries | points acknowledged | lost | doubled | altered | missing | recovery p50 / p99, ms | seed |',
    '|---|---|---|---|---|---|---|---|---|',
    ...rows,
  ].join('\n')
}

function rowOf({ fault, tries, acknowledged, recoveryMs, seed, ...found }: Result): string {
  const { lost, doubled, altered, missing } = found
  const recovery = recoveryMs === null ? '' : `${count(recoveryMs.p50)} / ${count(recoveryMs.p99)}`
  const cells = [fault, count(tries), count(acknowledged), lost, doubled, altered, missing, recovery, seed]
  return `| ${cells.join(' | ')} |`
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!)
}

function count(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ' ')
}
