/** The raw lines that benchmarks left behind, read again: the last of each scenario. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { RESULTS_DIRECTORY } from '../paths.ts'
import type { Figure } from './report.ts'

export type Row = Record<string, unknown>

export interface Line {
  scenario: string
  at: string
  commit: string | null
  dirty: boolean | null
  machine: {
    cpu: string
    cores: number
    memoryGb: number
    os: string
    node: string
    /** Processors that others kept busy before the run. */
    loadAtStart: number
    postgres: string
  }
  parameters: Row
  results: Row[]
  reference: Row | Row[]
  generatorCheck?: Row
  peers?: Row[]
  notMeasured?: string[]
}

/** Null where that scenario never ran. */
export function lastLine(scenario: string): Line | null {
  const file = path.join(RESULTS_DIRECTORY, `${scenario}.jsonl`)
  if (!existsSync(file)) return null
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  return JSON.parse(lines.at(-1)!) as Line
}

export function isFigure(value: unknown): value is Figure {
  return typeof value === 'object' && value !== null && 'median' in value && 'rounds' in value
}

/** The number of a row under that name, or the median of its rounds; null where it has none. */
export function numberOf(row: Row | undefined, name: string): number | null {
  const value = row?.[name]
  if (isFigure(value)) return value.median
  return typeof value === 'number' ? value : null
}

/** A reference is one row or several. */
export function rowsOf(reference: Row | Row[]): Row[] {
  return Array.isArray(reference) ? reference : [reference]
}
