/**
 * `npm run bench`: every scenario, one after the other, each in a process of its own and with a deadline, and then
 * bench/RESULTS.md. One that fails does not keep the others from being measured, but the end says so.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { readFlags } from './flags.ts'
import { tell } from './report/report.ts'
import { SCENARIOS, type Scenario } from './scenarios/list.ts'

const flags = readFlags('Every scenario, and then bench/RESULTS.md.', {
  only: { value: '', says: 'scenarios by name, with commas between' },
})

/** A process that does not end at its own deadline is ended a little later. */
const GRACE_S = 20

const names = flags.only === '' ? SCENARIOS.map(({ name }) => name) : flags.only.split(',')
const failed: string[] = []
for (const name of names) {
  const scenario = SCENARIOS.find((one) => one.name === name)
  if (!scenario) {
    tell(`there is no scenario ${name}; there are ${SCENARIOS.map((one) => one.name).join(', ')}`)
    process.exit(2)
  }
  const startedMs = Date.now()
  tell(`== ${scenario.title} (${name})`)
  if (!run(scenario)) failed.push(name)
  tell(`== ${Math.round((Date.now() - startedMs) / 1000)} s`)
}
start('report/results', failed.length > 0 ? ['--failed', failed.join(',')] : [], GRACE_S)
if (failed.length > 0) tell(`not measured: ${failed.join(', ')}`)
process.exit(failed.length > 0 ? 1 : 0)

function run({ module, flags: more, secondsMax }: Scenario): boolean {
  return start(`scenarios/${module}`, [...more, '--seconds-max', String(secondsMax)], secondsMax + GRACE_S)
}

function start(module: string, more: readonly string[], secondsMax: number): boolean {
  const file = fileURLToPath(new URL(`./${module}.js`, import.meta.url))
  const options = { stdio: ['ignore', 2, 2] as ['ignore', 2, 2], timeout: secondsMax * 1000 }
  return spawnSync(process.execPath, [file, ...more], options).status === 0
}
