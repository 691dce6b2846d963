/**
 * `npm run dev`: the hub, started anew whenever what it is compiled from has changed, and Vite in front of it, which
 * serves the pages from their source and reloads them. It knows how to start and end these, and nothing of what they do.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createLogger, createServer } from 'vite'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PAGES_CONFIG = fileURLToPath(new URL('../../src/web/vite.config.ts', import.meta.url))
const HUB_PORT = process.env.ALZY_PORT || '9001'
const HUB = `http://127.0.0.1:${HUB_PORT}`
const MAIN = 'dist/main.js'
const COMPILER = 'node_modules/.bin/tsc'
const COMPILER_FLAGS = [
  '-p',
  'src',
  '--watch',
  '--preserveWatchOutput',
  '--listEmittedFiles',
  '--incremental',
]
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** What the hub runs as: `serve`, or whatever stands behind `npm run dev --`. */
const [command = 'serve', ...more] = process.argv.slice(3)
const scratch = mkdtempSync(path.join(os.tmpdir(), 'alzy-dev-'))
process.once('exit', () => rmSync(scratch, { recursive: true, force: true }))
let hub: ChildProcess | null = null
let isChanged = false
let turn: Promise<void> = Promise.resolve()
let isEnding = false

const logger = createLogger('info', { allowClearScreen: false })
const { error } = logger
// While the hub is on its way back every page asks for it in vain, and each time would take five lines.
logger.error = (message, options) => void (/proxy error/.test(message) || error(message, options))
const pages = await createServer({
  configFile: PAGES_CONFIG,
  customLogger: logger,
  server: {
    host: '127.0.0.1',
    // The hub is asked by the name that the browser uses, which makes it the page's own origin.
    proxy: { '^/(v1/|openapi\\.json|healthz|readyz|metrics)': { target: HUB, ws: true } },
  },
})
await pages.listen()
// What it remembers would be wrong in the next run, before which something else may have written to dist/.
const memory = ['--tsBuildInfoFile', path.join(scratch, 'src.tsbuildinfo')]
const compiler = start(COMPILER, [...COMPILER_FLAGS, ...memory], onCompiler)
for (const signal of SIGNALS) process.on(signal, () => void end())

/** What does not compile is told, and the hub that did goes on. A change of the pages alone makes no file here. */
function onCompiler(line: string): void {
  if (line.startsWith('TSFILE:')) isChanged ||= line.endsWith('.js')
  else if (/error TS|Found [1-9]/.test(line)) process.stdout.write(`${line}\n`)
  if (!isChanged || !line.includes('Found 0 errors')) return
  isChanged = false
  turn = turn.then(restart)
}

async function restart(): Promise<void> {
  await stop()
  if (isEnding) return
  const started = start(process.execPath, [MAIN, command, ...more], onHub)
  hub = started
  started.once('close', (code, signal) => {
    if (hub !== started) return
    hub = null
    process.stdout.write(`the hub ended with ${signal ?? code}; the next change starts it again\n`)
  })
}

/** A link to a page leads to the one that reloads itself. */
function onHub(line: string): void {
  const [url] = pages.resolvedUrls!.local
  process.stdout.write(`${line.replaceAll(`${HUB}/#`, `${url}#`)}\n`)
  if (line.includes('"msg":"ready"')) process.stdout.write(`the pages, as they are changed: ${url}\n`)
}

async function stop(): Promise<void> {
  const running = hub
  hub = null
  if (running === null) return
  const closed = once(running, 'close')
  running.kill('SIGTERM')
  await closed
}

async function end(): Promise<void> {
  if (isEnding) return
  isEnding = true
  process.kill(-compiler.pid!, 'SIGTERM')
  await turn.then(stop)
  await pages.close()
  process.exit()
}

/** In a group of its own, so that Ctrl-C is heard here alone, and each process is told once. */
function start(program: string, parameters: readonly string[], onLine: (line: string) => void) {
  const started = spawn(program, parameters, {
    cwd: ROOT,
    detached: true,
    env: { ...process.env, ALZY_PORT: HUB_PORT },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  createInterface({ input: started.stdout }).on('line', onLine)
  return started
}
