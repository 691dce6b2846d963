/**
 * The time of day of a process, to be set while it runs: Debian's libfaketime reads it from a file. Timers and
 * durations of the process go on as ever. It knows nothing of the process but its environment.
 */
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

export interface Clock {
  /** What a process needs that is to have this clock. */
  env: Record<string, string>
  /** So far ahead of the true time, or behind it, from now on. */
  set: (aheadMs: number) => void
  remove: () => void
}

/** Null where the library is not installed (`apt-get install faketime`). */
export function openClock(): Clock | null {
  const library = findLibrary()
  if (library === null) return null
  const folder = mkdtempSync(path.join(tmpdir(), 'alzy-clock-'))
  const file = path.join(folder, 'offset')
  const env = {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: file,
    // Looked at each time that the process asks for the time.
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  }
  set(0)
  return { env, set, remove: () => rmSync(folder, { recursive: true }) }

  /** In one step: the process may be reading. */
  function set(aheadMs: number): void {
    writeFileSync(`${file}.next`, `${aheadMs < 0 ? '' : '+'}${aheadMs / 1000}\n`)
    renameSync(`${file}.next`, file)
  }
}

/** The one for programs with threads. */
function findLibrary(): string | null {
  const folders = existsSync('/usr/lib') ? readdirSync('/usr/lib').map((name) => `/usr/lib/${name}`) : []
  const files = folders.map((folder) => path.join(folder, 'faketime', 'libfaketimeMT.so.1'))
  return files.find((file) => existsSync(file)) ?? null
}
