/** The one structural rule that a machine has to keep: who may import what (src/README.md, invariant 6). */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseSync } from 'vite'
import { describe, expect, test } from 'vitest'

const SRC = fileURLToPath(new URL('../src/', import.meta.url))
const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) =>
  /(?<!\.d)\.tsx?$/.test(name),
)

const HTTP = 'protocol/http.ts'
const ROOT = ['clock.ts', 'config.ts', 'healthcheck.ts', 'hub.ts', 'limits.ts', 'main.ts']
const textOf = (file: string) => readFileSync(path.join(SRC, file), 'utf8')

function importsOf(file: string): string[] {
  return [...textOf(file).matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(([, name]) => name!)
}

/** Imports as paths from src/ where they are ours, else as they stand. */
function targetsOf(file: string): string[] {
  return importsOf(file).map((name) => (name.startsWith('.') ? path.join(path.dirname(file), name) : name))
}

const inFolder = (folder: string) => files.filter((file) => file.startsWith(`${folder}/`))
const isUnder = (target: string, ...folders: string[]) =>
  folders.some((folder) => target.startsWith(`${folder}/`))

test('the rules below look at real files', () => {
  for (const folder of ['core', 'protocol', 'sockets', 'store', 'api', 'client']) {
    expect(inFolder(folder).length, folder).toBeGreaterThan(2)
  }
  expect(targetsOf('core/device.ts')).toContain('protocol/messages.ts')
})

describe.each([...inFolder('core'), ...inFolder('protocol')])('%s decides', (file) => {
  test('without network or database', () => {
    const packages = importsOf(file).filter((name) => !name.startsWith('.'))
    const allowed = file === HTTP ? ['zod'] : ['lru-cache', 'msgpackr']
    expect(packages.filter((name) => !allowed.includes(name))).toEqual([])
  })

  test('without reading a clock, chance or the process', () => {
    expect(textOf(file)).not.toMatch(/new Date\(\)|performance\.|process\.|clock\.ts/)
  })
})

test('only sockets/ imports uWebSockets.js, only store/ the database', () => {
  const users = (name: RegExp) => files.filter((file) => importsOf(file).some((target) => name.test(target)))
  expect(users(/^uWebSockets\.js$/).filter((file) => !file.startsWith('sockets/'))).toEqual([])
  expect(users(/^postgres$|pglite/).filter((file) => !file.startsWith('store/'))).toEqual([])
})

/** What each folder may import besides itself and the clock; only hub.ts and the command line see both ends. */
const MIDDLE = ['access', 'ops', 'core', 'protocol']
const MAY_IMPORT: Record<string, readonly string[]> = {
  protocol: [],
  core: ['protocol'],
  ops: ['core', 'protocol'],
  access: ['ops', 'core', 'protocol'],
  ingest: MIDDLE,
  live: MIDDLE,
  upkeep: MIDDLE,
  api: ['ingest', 'live', 'upkeep', 'tracks', ...MIDDLE],
  sockets: ['api', 'ingest', 'live', 'upkeep', ...MIDDLE],
  store: ['core', 'protocol'],
  tracks: ['core', 'protocol'],
  client: ['protocol'],
  web: ['client', 'protocol'],
  demo: ['client', 'tracks', 'protocol'],
}

test.each(Object.entries(MAY_IMPORT))('%s/ imports nothing of src/ but %j', (folder, allowed) => {
  const strangers = inFolder(folder).flatMap((file) =>
    targetsOf(file)
      .filter((target) => files.includes(target) && target !== 'clock.ts')
      .filter((target) => !isUnder(target, folder, ...allowed))
      .map((target) => `${file}: ${target}`),
  )
  expect(strangers).toEqual([])
})

test('every folder has its rule, and the root holds what puts them together', () => {
  const folders = new Set(files.filter((file) => file.includes('/')).map((file) => file.split('/')[0]!))
  expect([...folders].sort()).toEqual([...Object.keys(MAY_IMPORT), 'commands'].sort())
  expect(files.filter((file) => !file.includes('/')).sort()).toEqual(ROOT)
})

test('only the clock, the line to the database and the service worker read time or chance, or set a timer', () => {
  const readers = files.filter((file) =>
    /Date\.now|performance\.now|Math\.random|setTimeout|setInterval|timers\/promises/.test(textOf(file)),
  )
  expect(readers.sort()).toEqual(['clock.ts', 'store/line/line.ts', 'web/track/worker.ts'])
})

test('the service worker imports nothing, since it is started as a classic script', () => {
  expect(importsOf('web/track/worker.ts')).toEqual([])
})

test('client/ and web/ know nothing of the HTTP API but types', () => {
  expect(inFolder('client').filter((file) => targetsOf(file).includes(HTTP))).toEqual([])
  expect(
    inFolder('web').filter((file) =>
      targetsOf(file).some((target) => isUnder(target, 'protocol') && target !== HTTP),
    ),
  ).toEqual([])
})

test('only api/ takes more of the JSON shapes than their types', () => {
  const takers = files.filter((file) => targetsOf(file).includes(HTTP) && !file.startsWith('api/'))
  expect(takers.length).toBeGreaterThan(20)
  const heavy = /import \{[^}]*\} from '[./]+protocol\/http\.ts'/
  expect(takers.filter((file) => heavy.test(textOf(file)))).toEqual([])
})

test('no file imports itself by way of others', () => {
  const left = new Set<string>()
  function visit(file: string, way: readonly string[]): void {
    expect(way).not.toContain(file)
    if (left.has(file)) return
    for (const target of targetsOf(file).filter((name) => files.includes(name))) visit(target, [...way, file])
    left.add(file)
  }
  for (const file of files) visit(file, [])
})

test('no function outside web/ has more than 60 lines of its own', () => {
  const long = files.filter((file) => !file.startsWith('web/') && ownLines(file).some((lines) => lines > 60))
  expect(long).toEqual([])
})

/** Of each function in a file, how many of its lines begin in it and in no function inside it. */
function ownLines(file: string): number[] {
  const text = textOf(file)
  const functions: { start: number; end: number; lines: number }[] = []
  collect(parseSync(file, text).program)
  functions.sort((one, other) => one.end - one.start - (other.end - other.start))
  for (const { index } of text.matchAll(/(?<=^ *)\S/gm)) {
    const innermost = functions.find(({ start, end }) => start <= index && index < end)
    if (innermost !== undefined) innermost.lines += 1
  }
  return functions.map(({ lines }) => lines)

  function collect(node: unknown): void {
    if (typeof node !== 'object' || node === null) return
    const { type, body, start, end } = node as { type?: string; body?: unknown; start: number; end: number }
    if (type?.includes('Function') && body) functions.push({ start, end, lines: 0 })
    for (const part of Object.values(node)) collect(part)
  }
}
