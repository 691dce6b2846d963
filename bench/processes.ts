/** What Linux tells of a process of another program: its processor time, its waiting for a processor and its memory. */
import { existsSync, readFileSync } from 'node:fs'
import { familyOf } from '../test/rig/processes.ts'

/** Linux counts processor time in hundredths of a second. */
const TICK_MS = 10
const NS_PER_MS = 1e6
/** Where /proc has user and system time, counted from the state of the process: its own, and that of ended children. */
const OWN = [11, 12]
const ENDED_CHILDREN = [13, 14]
export const COLLECT_SIGNAL = 'SIGUSR2'
/** With these a process of Node collects its garbage at the signal. */
export const COLLECTING = ['--expose-gc', '--import', new URL('./collect.js', import.meta.url).href]

/** Processor time that it has used, in all its threads. */
export function processCpuMs(pid: number): number {
  return ticksMs(pid, OWN)
}

/** Processor time that a server with its processes has used, those that have ended included. */
export function familyCpuMs(pid: number): number {
  const running = familyOf(pid).reduce((sum, member) => sum + processCpuMs(member), 0)
  return running + ticksMs(pid, ENDED_CHILDREN)
}

/** What the process's main thread alone has used. */
export function mainThreadCpuMs(pid: number): number {
  return ticksMs(`${pid}/task/${pid}`, OWN)
}

/** How long its main thread has been ready to run and had no processor, so far; null where Linux does not count it. */
export function mainThreadWaitMs(pid: number): number | null {
  const file = `/proc/${pid}/task/${pid}/schedstat`
  if (!existsSync(file)) return null
  return Number(readFileSync(file, 'utf8').split(' ')[1]) / NS_PER_MS
}

function ticksMs(entry: number | string, fields: readonly number[]): number {
  const stat = readFileSync(`/proc/${entry}/stat`, 'utf8')
  // The name, in parentheses, may hold anything, so the fields begin behind the last one.
  const afterName = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields.reduce((sum, field) => sum + Number(afterName[field]) * TICK_MS, 0)
}

/** Kilobytes of its own that it holds in memory; what it shares with others does not count. */
export function processMemoryKb(pid: number): number {
  const sizes = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  return ['Private_Clean', 'Private_Dirty'].reduce((sum, name) => {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(sizes)
    if (!found) throw new Error(`no ${name} of process ${pid}`)
    return sum + Number(found[1])
  }, 0)
}
