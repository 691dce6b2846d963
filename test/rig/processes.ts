/** Signals for a process and all that it started. It knows nothing of what they do. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { until } from './until.ts'

interface Process {
  pid: number
  parent: number
  /** Z: it has ended, and only its entry is left. */
  state: string
}

/** `pid` first, then everything that descends from it and has not ended. */
export function familyOf(pid: number): number[] {
  const table = processTable().filter(({ state }) => !state.startsWith('Z'))
  const family = table.some((process) => process.pid === pid) ? [pid] : []
  for (const member of family) {
    family.push(...table.filter(({ parent }) => parent === member).map((child) => child.pid))
  }
  return family
}

/** Ends a process and all its descendants at once, as a loss of power would, and waits until they are gone. */
export async function killFamily(pid: number): Promise<void> {
  const family = freezeFamily(pid)
  for (const member of family) signal(member, 'SIGKILL')
  await until(() => !family.some(isRunning), `the processes ${family.join(', ')} are gone`)
}

/** Stops a process and all its descendants where they are; returns them, for SIGCONT. */
export function freezeFamily(pid: number): number[] {
  // The parent first: it can start no further child while the children are being looked up.
  signal(pid, 'SIGSTOP')
  const family = familyOf(pid)
  for (const member of family) signal(member, 'SIGSTOP')
  return family
}

/** Returns false when the process was gone already. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name)
  } catch (fault) {
    if ((fault as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw fault
  }
}

export function stateOf(pid: number): string | null {
  return processTable().find((process) => process.pid === pid)?.state ?? null
}

function isRunning(pid: number): boolean {
  const state = stateOf(pid)
  return state !== null && !state.startsWith('Z')
}

function processTable(): Process[] {
  if (!existsSync('/proc/self/stat')) {
    const lines = execFileSync('ps', ['-axo', 'pid=,ppid=,stat='], { encoding: 'utf8' }).trim().split('\n')
    return lines.map((line) => {
      const [pid, parent, state] = line.trim().split(/\s+/)
      return { pid: Number(pid), parent: Number(parent), state: state ?? '' }
    })
  }
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => processOf(Number(name)))
}

/** An entry of /proc; none when the process ended while the folder was read. */
function processOf(pid: number): Process[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name, in parentheses, may hold anything, so the fields begin behind the last one.
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return [{ pid, parent: Number(parent), state: state ?? '' }]
  } catch {
    return []
  }
}
