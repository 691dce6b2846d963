/** What Linux tells of a process of another program: its processor time and its memory. */
import { readFileSync } from 'node:fs'

/** Linux counts processor time in hundredths of a second. */
const TICK_MS = 10
export const COLLECT_SIGNAL = 'SIGUSR2'
/** With these a process of Node collects its garbage at the signal. */
export const COLLECTING = ['--expose-gc', '--import', new URL('./collect.js', import.meta.url).href]

/** Processor time that it has used, in all its threads. */
export function processCpuMs(pid: number): number {
  const afterName = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(afterName[11]) + Number(afterName[12])) * TICK_MS
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
