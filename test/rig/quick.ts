/**
 * Which tests are quick: those that reach, over whatever they import, nothing that has to be started or built first. So no
 * list is kept, and a test that starts to use a hub is quick no more.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { ROOT } from './dist.ts'

/** Whoever reaches one of these starts processes, needs dist/ or opens a browser. */
const SLOW = new Set(['test/rig/gear.ts', 'test/rig/postgres.ts', 'test/web/browser.ts'])
/** These reach nothing of it and are long all the same, or are about what is. */
const APART = ['test/simulation/', 'test/fault/']

/** Paths below the root. */
export function quickTests(): string[] {
  const all = readdirSync(path.join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
  return all
    .map((name) => path.posix.join('test', name))
    .filter((file) => file.endsWith('.test.ts') && !APART.some((folder) => file.startsWith(folder)))
    .filter((file) => !reachesSlow(file, new Set()))
}

function reachesSlow(file: string, seen: Set<string>): boolean {
  if (SLOW.has(file)) return true
  if (seen.has(file)) return false
  seen.add(file)
  return importsOf(file).some((target) => reachesSlow(target, seen))
}

/** Files of ours that are loaded with it; types are not. */
function importsOf(file: string): string[] {
  const text = readFileSync(path.join(ROOT, file), 'utf8').replaceAll(/^import type [^']*'[^']*'/gm, '')
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)]
    .map(([, name]) => path.posix.join(path.posix.dirname(file), name!))
    .filter((target) => existsSync(path.join(ROOT, target)))
}
