/**
 * `npm run bench:results`: bench/RESULTS.md and its plots, made from the last raw line of each scenario and nothing
 * else, so that whoever doubts a table can look it up.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { readFlags } from '../flags.ts'
import { PLOTS_DIRECTORY, RESULTS_PAGE } from '../paths.ts'
import { SCENARIOS, type Scenario } from '../scenarios/list.ts'
import { barsAsSvg } from './chart.ts'
import { GOALS } from './goals.ts'
import { isFigure, type Line, lastLine, type Row, rowsOf } from './lines.ts'
import { plotOf } from './plots.ts'
import { amount, QUIET_LOAD_MAX, tell } from './report.ts'

const flags = readFlags('bench/RESULTS.md from the last raw line of each scenario.', {
  failed: { value: '', says: 'scenarios that were just tried in vain, with commas between' },
})
/** What is said of these is of an earlier run. */
const failed = new Set(flags.failed.split(','))

mkdirSync(PLOTS_DIRECTORY, { recursive: true })
writeFileSync(RESULTS_PAGE, page())
tell(`written: ${path.relative(process.cwd(), RESULTS_PAGE)}`)

function page(): string {
  const lines = SCENARIOS.map(({ name }) => lastLine(name))
  const sections = SCENARIOS.map((scenario, i) => section(scenario, lines[i]!))
  const commits = new Set(lines.flatMap((line) => (line === null ? [] : [line.commit])))
  return [
    '# Measured',
    '',
    'Made by `npm run bench:results` from the last lines in [results/](results/); do not edit. A figure with ± is a median of',
    'rounds, with the distance of the farthest of them; everything in one table was measured in the same run, in turns.',
    commits.size > 1
      ? `Not everything is of the same commit: the lines are of ${commits.size}, as each part says.`
      : `All of it is of commit ${[...commits].join()}.`,
    '',
    '## Goals',
    '',
    ...goals(),
    ...sections.flat(),
  ].join('\n')
}

function goals(): string[] {
  const rows = GOALS.map(({ what, goal, scenario, answer }) => {
    const found = answer()
    const now = found === null ? 'not measured' : found.isMet ? 'met' : '**not met**'
    const verdict = failed.has(scenario) ? `not measured (earlier: ${now})` : now
    return `| ${what} | ${goal} | ${found?.measured ?? ''} | ${verdict} |`
  })
  // Several goals may have the same in their way.
  const reasons = new Map<string, string[]>()
  for (const { what, answer, why } of GOALS) {
    const reason = answer()?.isMet === false ? why() : null
    if (reason !== null) reasons.set(reason, [...(reasons.get(reason) ?? []), what])
  }
  const listed = [...reasons].map(([reason, goals]) => `* ${goals.join('; ')}: ${reason}`)
  const ways = listed.length === 0 ? [] : ['What is in the way, by the same lines:', '', ...listed, '']
  return ['| | goal | measured | |', '|---|---|---|---|', ...rows, '', ...ways]
}

function section({ name, title, module, flags }: Scenario, line: Line | null): string[] {
  const command = [`npm run bench:${module}`, ...(flags.length > 0 ? ['--', ...flags] : [])].join(' ')
  const head = [`## ${title}`, '', `\`${command}\``, '']
  if (line === null) return [...head, 'Not measured.', '']
  return [
    ...head,
    facts(line),
    '',
    ...(failed.has(name) ? ['**It was tried since, and failed; this is an earlier run.**', ''] : []),
    ...plot(name, line),
    ...table('hub', line.results),
    ...table('reference', rowsOf(line.reference)),
    ...(line.generatorCheck ? table('generator alone', [line.generatorCheck]) : []),
    ...table('instead', line.peers ?? []),
    ...(line.notMeasured ?? []).map((reason) => `* Not measured: ${reason}`),
    ...(line.notMeasured?.length ? [''] : []),
  ]
}

function facts({ at, commit, dirty, machine, parameters }: Line): string {
  const { cpu, cores, memoryGb, os, node, loadAtStart, postgres } = machine
  const state = dirty ? ' with changes' : ''
  const load = loadAtStart > QUIET_LOAD_MAX ? `**${loadAtStart}, a busy machine**` : String(loadAtStart)
  const settings = Object.entries(parameters)
    .filter(([name]) => !['profile', 'secondsMax'].includes(name))
    .map(([name, value]) => `${name} ${JSON.stringify(value)}`)
  return [
    `${at.slice(0, 10)}, commit ${commit ?? 'unknown'}${state}; ${cpu}, ${cores} cores, ${memoryGb} GB, ${os}, Node ${node}, ${postgres};`,
    `load before it ${load}. Parameters: ${settings.join(', ')}.`,
  ].join('\n')
}

function plot(name: string, line: Line): string[] {
  const bars = plotOf(line)
  if (bars === null) return []
  writeFileSync(path.join(PLOTS_DIRECTORY, `${name}.svg`), barsAsSvg(bars))
  return [`![${bars.title}](${path.basename(PLOTS_DIRECTORY)}/${name}.svg)`, '']
}

/** A column for every field that any row has. */
function table(title: string, rows: readonly Row[]): string[] {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) =>
    rows.some((row) => cell(row[name]) !== ''),
  )
  if (names.length === 0) return []
  return [
    `| ${title} | ${names.map(spaced).join(' | ')} |`,
    `|---|${names.map(() => '---|').join('')}`,
    ...rows.map((row) => `| | ${names.map((name) => cell(row[name])).join(' | ')} |`),
    '',
  ]
}

function cell(value: unknown): string {
  if (value === undefined || value === null) return ''
  if (isFigure(value)) return `${amount(value.median)} ±${Math.round(value.spreadPercent)} %`
  if (typeof value === 'number') return amount(value)
  if (typeof value !== 'object') return String(value)
  return Object.entries(value)
    .filter(([, part]) => !Array.isArray(part))
    .map(([name, part]) => `${spaced(name)} ${cell(part)}`)
    .join(', ')
}

/** `cpuMicrosPerPoint` as words. */
function spaced(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}
