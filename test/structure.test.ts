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
  test('without network, database or anything outside core and protocol', () => {
    const allowed = file.startsWith('core/') ? ['core', 'protocol'] : ['protocol']
    const strangers = targetsOf(file).filter((target) => !isUnder(target, ...allowed))
    const packages = file === 'protocol/http.ts' ? ['zod'] : ['lru-cache', 'msgpackr']
    expect(strangers.filter((name) => !packages.includes(name))).toEqual([])
  })

  test('without reading a clock, chance or the process', () => {
    expect(textOf(file)).not.toMatch(
      /Date\.now|new Date\(\)|performance\.|Math\.random|setTimeout|setInterval|process\./,
    )
  })
})

test('only sockets/ imports uWebSockets.js, only store/ the database', () => {
  const users = (name: RegExp) => files.filter((file) => importsOf(file).some((target) => name.test(target)))
  expect(users(/^uWebSockets\.js$/).filter((file) => !file.startsWith('sockets/'))).toEqual([])
  expect(users(/^postgres$|pglite/).filter((file) => !file.startsWith('store/'))).toEqual([])
})

test('sockets/ and store/ do not import each other', () => {
  const across = (from: string, to: string) =>
    inFolder(from).filter((file) => targetsOf(file).some((target) => isUnder(target, to)))
  expect(across('sockets', 'store')).toEqual([])
  expect(across('store', 'sockets')).toEqual([])
})

test('api/ knows no server and no database', () => {
  const strangers = inFolder('api').filter((file) =>
    targetsOf(file).some((target) => isUnder(target, 'sockets', 'store')),
  )
  expect(strangers).toEqual([])
})

test('client/ knows only protocol/, and of it not the HTTP API', () => {
  const strangers = inFolder('client').flatMap((file) =>
    targetsOf(file).filter(
      (target) => target === HTTP || (/^\w+\/.*\.ts$/.test(target) && !isUnder(target, 'client', 'protocol')),
    ),
  )
  expect(strangers).toEqual([])
})

test('only api/ takes more of the JSON shapes than their types', () => {
  const takers = files.filter((file) => targetsOf(file).includes(HTTP) && !file.startsWith('api/'))
  expect(takers.length).toBeGreaterThan(20)
  const heavy = /import \{[^}]*\} from '[./]+protocol\/http\.ts'/
  expect(takers.filter((file) => heavy.test(textOf(file)))).toEqual([])
})

test('web/ knows only client/ and the shapes of the HTTP API', () => {
  const pages = inFolder('web').filter((file) => file !== 'web/vite.config.ts')
  expect(pages.length).toBeGreaterThan(40)
  const strangers = pages.flatMap((file) =>
    targetsOf(file).filter(
      (target) => /^\w+\/.*\.tsx?$/.test(target) && !isUnder(target, 'web', 'client') && target !== HTTP,
    ),
  )
  expect(strangers).toEqual([])
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
  // The list that it is to become is still to be written.
  expect(long.filter((file) => file !== 'hub.ts')).toEqual([])
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
