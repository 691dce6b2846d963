/** What the pages say of the repository is so: where links lead, which files and scripts there are, what is set how. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { ConfigError, parseConfig } from '../../src/config.ts'
import { ROOT } from '../rig/dist.ts'
import { FILES, isFile, type Page, readPage, readPages } from './pages.ts'

const README_BYTES_MAX = 12 * 1024
const { scripts } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'))
const pages = readPages()

test('the pages are where whoever looks for them looks', () => {
  const folders = ['', 'src/', 'src/client/', 'src/api/', 'test/', 'bench/', 'sql/']
  const others = ['CHANGELOG.md', 'src/OPERATING.md', 'src/protocol/PROTOCOL.md', 'bench/RESULTS.md']
  const wanted = [...folders.map((folder) => `${folder}README.md`), ...others]
  expect(pages.map(({ name }) => name)).toEqual(expect.arrayContaining(wanted))
})

test('the README can be read in a few minutes', () => {
  expect(Buffer.byteLength(readPage('README.md').text)).toBeLessThanOrEqual(README_BYTES_MAX)
})

describe.each(pages)('$name', (page) => {
  test('has no link that leads nowhere', () => {
    expect(page.links.filter((link) => !leadsSomewhere(page, link))).toEqual([])
  })

  test('names no file that is not there', () => {
    expect(pathsOn(page).filter((named) => !isFile(page.name, named))).toEqual([])
  })

  test('names no script that package.json has not', () => {
    expect(scriptsOn(page).filter((name) => !(name in scripts))).toEqual([])
  })

  test('names no setting that the hub would refuse', () => {
    const names = matches(page, /\bALZY_[A-Z0-9_]*[A-Z0-9]\b(?!…)/g)
    expect(names.filter((name) => !isSetting(name))).toEqual([])
  })
})

describe('the map of src/', () => {
  const map = readPage('src/README.md').code.find(({ text }) => text.startsWith('src/\n'))!.text
  const [top, ...rooms] = map.split(/^ {2}(?=\w+\/ )/m)

  test('has the files at the top', () => {
    expect([...top!.matchAll(/\w+\.ts/g)].map(([name]) => name).sort()).toEqual(
      entriesOf('src/').filter((name) => name.endsWith('.ts')),
    )
  })

  test('has every folder', () => {
    expect(rooms.map((room) => /^\w+\//.exec(room)![0]).sort()).toEqual(
      entriesOf('src/').filter((name) => name.endsWith('/')),
    )
  })

  test.each(rooms.map((room) => [room.split(' ')[0]!, room]))('has what is in %s', (_, room) => {
    const [, folder, told] = /^(\w+\/) +(?:[A-Z ?]+(?= ))?(.*)$/.exec(room.replace(/\([^)]*\)|\s+/g, ' '))!
    const names = told!.split('·').map((name) => name.trim())
    // Of some folders nothing is told but what they are for.
    if (names.join('') === '') return
    const there = entriesOf(`src/${folder}`).filter((name) => /^\w+(\.tsx?|\/)$/.test(name))
    expect(names.sort()).toEqual(there.map((name) => name.replace('.ts', '')).sort())
  })
})

/** What lies in a folder itself. */
function entriesOf(folder: string): string[] {
  const below = [...FILES].filter((name) => name.startsWith(folder)).map((name) => name.slice(folder.length))
  return below.filter((name) => /^[^/]+\/?$/.test(name)).sort()
}

function leadsSomewhere(page: Page, link: string): boolean {
  if (/^https?:/.test(link)) return URL.canParse(link)
  const [file = '', anchor] = link.split('#')
  if (file !== '' && !FILES.has(path.join(path.dirname(page.name), file))) return false
  if (anchor === undefined) return true
  const target = file === '' ? page : readPage(path.join(path.dirname(page.name), file))
  return target.anchors.has(anchor)
}

/** What looks like a path, and is none of the formats, addresses and packages that do as well. */
function pathsOn(page: Page): string[] {
  const alone = page.code
    .filter(({ language, text }) => language === null && /^[\w.*-]+(\/[\w.*-]+)*\/?$/.test(text))
    .map(({ text }) => text)
    .filter((text) => text.includes('/') || /\.(tsx?|js|json|md|sql|jsonl)$/.test(text))
    .filter((text) => !/^(\d|\.\/|alzy\/client$|(application|text|image)\/)/.test(text))
  const named = matches(
    page,
    /(?<![\w/.$-])(?:(?:src|test|bench|sql|dist)\/[\w./*-]*|[\w/-]+\/[\w.]+\.(?:ts|md|sql))\b/g,
  )
  return [...alone, ...named].map(sourceOf)
}

/** What is built is there as its source. */
function sourceOf(named: string): string {
  if (!named.startsWith('dist/')) return named
  const source = named.startsWith('dist/bench/')
    ? named.slice('dist/bench/'.length)
    : named.replace('dist', 'src')
  return source.replace(/\.js$/, '.ts')
}

function scriptsOn(page: Page): string[] {
  return matches(page, /\bnpm (?:run (?:--silent )?)?(?!run\b)([\w:]+)/g).filter(
    (name) => !['ci', 'i', 'install', 'prune'].includes(name),
  )
}

/** What the code of a page has of a pattern: its first group, or all of it. */
function matches(page: Page, pattern: RegExp): string[] {
  return page.code.flatMap(({ text }) => [...text.matchAll(pattern)].map(([all, group]) => group ?? all))
}

function isSetting(name: string): boolean {
  try {
    parseConfig({ [name]: '1' })
    return true
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return !error.problems.some((problem) => problem.includes('no such setting'))
  }
}
