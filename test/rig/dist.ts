/**
 * Whether dist/ is what src/ says: the build leaves a list there of the files that it began with, which has the time of
 * that moment. It knows neither how dist/ is built nor what is in it.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** Below the root of a tree. It is there only when the whole build has come to its end. */
export const SOURCES = 'dist/.sources'
const BUILD = 'run npm run build'

/** Null, or in one line what is wrong with the dist/ of this tree. */
export function distComplaint(root = ROOT): string | null {
  const list = path.join(root, SOURCES)
  if (!existsSync(list)) return `dist/ was not built to its end: ${BUILD}`
  const beganMs = statSync(list).mtimeMs
  const then = new Set(readFileSync(list, 'utf8').trimEnd().split('\n'))
  const now = sourcesOf(root)
  const newer =
    // The time of any change of a file, which no copying or moving sets back as it does the time of its content.
    now.find((file) => !then.has(file) || statSync(path.join(root, file)).ctimeMs > beganMs) ??
    [...then].find((file) => !now.includes(file))
  return newer === undefined ? null : `dist/ is older than ${newer}: ${BUILD}`
}

/** As the build lists them: neither texts nor what editors put beside a file. */
function sourcesOf(root: string): string[] {
  return readdirSync(path.join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/^\.|\.md$/.test(entry.name))
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
}
