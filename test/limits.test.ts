/**
 * What people read of settings and limits is what the hub goes by. `npm run limits:page` puts the tables into
 * OPERATING.md: the page is its own snapshot.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { settingsHelp } from '../src/commands/settings.ts'
import { parseConfig, settingTable } from '../src/config.ts'
import { LIMITS, limitTable, type Row, variableOf } from '../src/limits.ts'
import { createMetrics, GAUGES, type Gauges } from '../src/ops/metrics.ts'

const PAGE = fileURLToPath(new URL('../src/OPERATING.md', import.meta.url))
/** Read by the commands, not by the hub. */
const CLIENT_SETTINGS = ['ALZY_URL', 'ALZY_TOKEN']
const GROUPS = limitTable()
const ROWS = [...settingTable(), ...GROUPS.flatMap(({ rows }) => rows)]
const KNOWN = ROWS.map(({ variable }) => variable)

test('each means something: one sentence, in which no setting is named that is not there', () => {
  for (const { variable, meaning } of ROWS) {
    expect(meaning, variable).toMatch(/^[A-Z][^\n]*[\w)]\.$/)
    expect(meaning, variable).not.toMatch(/[.!?] [A-Z]/)
    expect(KNOWN, variable).toEqual(expect.arrayContaining(settingsIn(meaning)))
  }
})

test('each limit is in its group once, with a default that may be set', () => {
  expect(GROUPS.flatMap(({ rows }) => rows).map(({ variable }) => variable)).toEqual(
    Object.keys(LIMITS).map(variableOf),
  )
  const defaults = Object.entries(LIMITS).map(([name, { value }]) => [variableOf(name), String(value)])
  expect(parseConfig(Object.fromEntries(defaults)).limits).toEqual(parseConfig({}).limits)
})

test('a default is told as it is set, and in a unit that people read', () => {
  const told = Object.fromEntries(ROWS.map(({ variable, value }) => [variable, value]))
  expect(told).toMatchObject({
    ALZY_HOST: '127.0.0.1',
    ALZY_DEVICES_MAX: '5000',
    ALZY_SOCKETS_PER_ADDRESS_PER_S: '20',
    ALZY_HEARTBEAT_S: '60 (1 min)',
    ALZY_SESSION_IDLE_MS: '86400000 (24 h)',
    ALZY_TOKEN_TTL_S_MAX: '7776000 (90 days)',
    ALZY_SNAP_BYTES_MAX: '32768 (32 KiB)',
    // It depends on the machine.
    ALZY_WRITER_LANES: '1 or 2',
  })
})

test('serve --help has all of them, on lines that a terminal has room for', () => {
  const lines = settingsHelp().split('\n')
  expect(lines.filter((line) => line.length > 100)).toEqual([])
  const first = lines.filter((line) => /^ {2}\S/.test(line)).map((line) => line.trim().split(' ')[0])
  expect(first).toEqual(KNOWN)
})

test('the tables of the page are those of the hub', async () => {
  const settings = tableOf(['setting', 'default', 'meaning'], settingTable())
  const limits = GROUPS.map(
    ({ title, rows }) => `### ${title}\n\n${tableOf(['limit', 'default', 'range', 'meaning'], rows)}`,
  )
  let page = readFileSync(PAGE, 'utf8')
  page = withBlock(page, 'settings', settings)
  page = withBlock(page, 'limits', limits.join('\n\n'))
  await expect(page).toMatchFileSnapshot(PAGE)
})

test('the page names no setting and no figure that is not there', async () => {
  const page = readFileSync(PAGE, 'utf8')
  expect([...KNOWN, ...CLIENT_SETTINGS]).toEqual(expect.arrayContaining(settingsIn(page)))
  const none = Object.fromEntries(Object.keys(GAUGES).map((name) => [name, 0])) as Gauges
  const metrics = createMetrics(() => none)
  const figures = await metrics.text()
  metrics.close()
  const named = page.match(/`(alzy|nodejs)_[a-z0-9_…]+`/g)!.map((name) => name.replaceAll('`', ''))
  expect(named.length).toBeGreaterThan(5)
  for (const name of named) expect(figures).toMatch(new RegExp(`^${name.replace('…', '\\w+')} `, 'm'))
})

function settingsIn(text: string): string[] {
  return text.match(/\bALZY_[A-Z_]*[A-Z]/g) ?? []
}

/** The text between the two marks of its name is this. */
function withBlock(page: string, name: string, block: string): string {
  const [begin, end] = [`<!-- ${name}: made by npm run limits:page -->`, `<!-- /${name} -->`]
  const [from, to] = [page.indexOf(begin), page.indexOf(end)]
  expect(from, `where the ${name} begin`).toBeGreaterThan(0)
  expect(to, `where the ${name} end`).toBeGreaterThan(from)
  return `${page.slice(0, from)}${begin}\n${block}\n${page.slice(to)}`
}

function tableOf(columns: readonly string[], rows: readonly Row[]): string {
  const head = [rowOf(columns), rowOf(columns.map(() => '---'))]
  const body = rows.map(({ variable, value, range, meaning }) => {
    const given = [`\`${variable}\``, value || '–', ...(columns.includes('range') ? [range] : [])]
    return rowOf([...given, meaning.replace(/\b(ALZY_[A-Z_]*[A-Z]|DATABASE_URL)\b/g, '`$&`')])
  })
  return [...head, ...body].join('\n')
}

function rowOf(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}
