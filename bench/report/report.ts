/**
 * What a benchmark says: progress for people on stderr, and one JSON line on stdout and in bench/results that
 * can be compared with the lines of other commits and machines.
 */
import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { RESULTS_DIRECTORY, ROOT } from '../paths.ts'

/** One quantity over the rounds of a run. */
export interface Figure {
  median: number
  /** Distance of the farthest round from the median, in percent of the median. */
  spreadPercent: number
  rounds: number[]
}

export interface Outcome {
  scenario: string
  /** The server's version as it tells it. */
  postgres: string
  parameters: Record<string, unknown>
  /** One entry for each combination that was measured. */
  results: Record<string, unknown>[]
  reference: unknown
  /** Whether the load could have been twice what the hub took. */
  generatorCheck?: ReturnType<typeof generatorCheck>
  /** What people would use instead, in the same run, and which of it could not be had. */
  peers?: Record<string, unknown>[]
  notMeasured?: string[]
  /** Hub to reference, of the least favourable result that the scenario's goal is about; null where there is none. */
  ratio: number | null
}

/** How far a generator has to be ahead of the hub. */
const GENERATOR_TIMES_MIN = 2
/** How long the machine is looked at before the run begins. */
const LOOK_MS = 1_000
/** Processors that others may keep busy; above, figures compare with nothing. */
export const QUIET_LOAD_MAX = 0.5
/** Parts of a benchmark have a parent that has looked. */
const loadAtStart = process.send === undefined ? await busyProcessors() : 0

export function figureOf(rounds: readonly number[]): Figure {
  const median = medianOf(rounds)
  const farthest = Math.max(...rounds.map((round) => Math.abs(round - median)))
  return {
    median: rounded(median),
    spreadPercent: median === 0 ? 0 : rounded((farthest / median) * 100),
    rounds: rounds.map(rounded),
  }
}

export function medianOf(values: readonly number[]): number {
  return quantileOf(values, 0.5)
}

/** The value below which the share `q` of the values lies, interpolated. NaN when there are none. */
export function quantileOf(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const place = (sorted.length - 1) * q
  const below = sorted[Math.floor(place)] ?? Number.NaN
  const above = sorted[Math.ceil(place)] ?? Number.NaN
  return below + (above - below) * (place - Math.floor(place))
}

/** Four significant digits: more would pretend. Large numbers keep their whole part. NaN, null in a line, for what is none. */
export function rounded(value: number): number {
  if (!Number.isFinite(value)) return Number.NaN
  return Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(4))
}

/** Four significant digits, for people. */
export function amount(value: number): string {
  return value.toLocaleString('en', { maximumSignificantDigits: 4 })
}

/** Whether the generator got at least twice as much from uWebSockets.js alone as the fastest hub did from it. */
export function generatorCheck(unit: 'pointsPerSecond' | 'framesPerSecond', alone: Figure, fastest: number) {
  const timesHub = rounded(alone.median / fastest)
  const isEnough = timesHub >= GENERATOR_TIMES_MIN
  if (!isEnough) tell(`error: the generator is only ${timesHub} times as fast as the hub`)
  return { [unit]: alone, timesHub, isEnough }
}

export function tell(message: string): void {
  process.stderr.write(`${message}\n`)
}

/** Prints the line and appends it to the results of the scenario. */
export function report(outcome: Outcome): void {
  const { scenario, postgres, parameters, results, reference, generatorCheck, peers, notMeasured, ratio } =
    outcome
  const line = JSON.stringify({
    scenario,
    at: new Date().toISOString(),
    ...commitFacts(),
    machine: { ...machineFacts(), postgres },
    parameters,
    results,
    reference,
    generatorCheck,
    peers,
    notMeasured,
    ratio: ratio && rounded(ratio),
  })
  mkdirSync(RESULTS_DIRECTORY, { recursive: true })
  appendFileSync(path.join(RESULTS_DIRECTORY, `${scenario}.jsonl`), `${line}\n`)
  process.stdout.write(`${line}\n`)
  if (loadAtStart > QUIET_LOAD_MAX)
    tell(`the machine was busy (load ${loadAtStart.toFixed(1)}): these figures say little`)
}

/** Results of earlier runs, and the page made of them, are no change of the code that is measured. */
function commitFacts(): { commit: string | null; dirty: boolean | null } {
  try {
    const made = [':!bench/results', ':!bench/RESULTS.md', ':!bench/plots']
    const changes = git('status', '--porcelain', '--', '.', ...made)
    return { commit: git('rev-parse', '--short=10', 'HEAD'), dirty: changes !== '' }
  } catch {
    return { commit: null, dirty: null }
  }
}

function git(...parameters: string[]): string {
  return execFileSync('git', parameters, { cwd: ROOT, encoding: 'utf8', stdio: 'pipe' }).trim()
}

/** How many processors are busy now. The load average would still tell of the scenario before. */
async function busyProcessors(): Promise<number> {
  const idleMs = () => os.cpus().reduce((sum, { times }) => sum + times.idle, 0)
  const [before, startedMs] = [idleMs(), performance.now()]
  await sleep(LOOK_MS)
  const idle = (idleMs() - before) / (performance.now() - startedMs)
  return Math.max(0, os.cpus().length - idle)
}

function machineFacts() {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryGb: Math.round(os.totalmem() / 2 ** 30),
    os: `${os.type()} ${os.release()}`,
    node: process.version,
    loadAtStart: rounded(loadAtStart),
  }
}
