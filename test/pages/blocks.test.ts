/** The blocks of commands that lead a new user are run as they stand on their pages, line by line, by a shell. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ROOT } from '../rig/dist.ts'
import { startHub, type TestHub } from '../rig/hub.ts'
import { createPostgres, type TestDatabase } from '../rig/kinds.ts'
import { postgresMissing } from '../rig/sharedPostgres.ts'
import { until } from '../rig/until.ts'
import { readPage, readPages } from './pages.ts'

const missing = postgresMissing ?? missingTool(['bash', 'curl', 'openssl'])
const STEP_MS = 60_000
const HERE = 'http://127.0.0.1:9001'

describe.skipIf(missing !== null)(`the pages${missing === null ? '' : ` (${missing})`}`, () => {
  let database: TestDatabase
  let hub: TestHub
  let directory: string

  beforeEach(async () => {
    database = await createPostgres()
    hub = await startHub({ database })
    // A clone in which a file may be saved.
    directory = await mkdtemp(path.join(os.tmpdir(), 'alzy-pages-'))
    for (const name of ['package.json', 'node_modules', 'dist', 'src', 'sql']) {
      await symlink(path.join(ROOT, name), path.join(directory, name))
    }
  })
  afterEach(async () => {
    await hub?.end()
    await database?.drop()
    await rm(directory, { recursive: true, force: true })
  })

  test('README.md leads to a first device and a first viewer', { timeout: 10 * STEP_MS }, async () => {
    const block = blockIn('README.md', 'A first device and a first viewer')
    const shell = openShell(directory, { ...database.env, ALZY_URL: hub.http })
    await shell.run(`${block} &`)
    await until(() => /^\d{4}-\S+Z {2}Phone {2}/m.test(shell.output), 'the device to be watched', STEP_MS)
    const stored = () => hub.metric('alzy_points_stored_total')
    await until(async () => (await stored()) > 0, 'a point to be stored', STEP_MS)
    // Whoever is not welcome any more ends: the replay and the watch.
    expect((await hub.request('PATCH', '/v1/users/1', { isActive: false })).status).toBe(200)
    await shell.run('wait')
    expect(await shell.end()).toBe(0)
  })

  test('src/api/README.md leads from nothing to a live share and its end', {
    timeout: 10 * STEP_MS,
  }, async () => {
    const [setUp, pair, stream, share, save, endShare, revoke, ...more] = blockIn(
      'src/api/README.md',
      '## From nothing to a live share',
    ).split('\n\n')
    expect(more).toEqual([])
    const shell = openShell(directory, database.env)
    await shell.run(setUp!.replaceAll(HERE, hub.http))
    await shell.run(pair!)
    await shell.run(`${stream}\nreplay=$!`)
    await until(
      async () => (await hub.metric('alzy_points_stored_total')) > 0,
      'a point to be stored',
      STEP_MS,
    )
    await shell.run(`${share}\nwatch=$!`)
    await until(() => /^\d{4}-\S+Z {2}Bike {2}/m.test(shell.output), 'the device to be watched', STEP_MS)
    await shell.run(save!)
    expect(await readFile(path.join(directory, 'bike.gpx'), 'utf8')).toMatch(/<trkpt lat="45\./)
    expect(await hub.metric('alzy_viewers')).toBe(1)
    await shell.run(endShare!)
    await shell.run('wait $watch; echo "watch ended with $?"')
    expect(shell.output).toContain('watch ended with 1')
    expect(await hub.metric('alzy_devices')).toBe(1)
    await shell.run(revoke!)
    await shell.run('wait $replay; echo "replay ended with $?"')
    expect(shell.output).toContain('replay ended with 1')
    // What was on its way when the device was taken out is stored as well.
    await until(async () => (await hub.metric('alzy_backlog_frames')) === 0, 'all to be stored')
    const [row] = await database.query(
      'select count(*)::int as count, max(d.id) as device from points p join devices d on d.id = p.device_id where d.deleted_at is not null',
    )
    expect(row).toEqual({ count: await hub.metric('alzy_points_stored_total'), device: 1 })
    expect(await shell.end()).toBe(0)
  })

  test('src/OPERATING.md leads to a first admin, and to what to watch', {
    timeout: 10 * STEP_MS,
  }, async () => {
    const shell = openShell(directory, { ...database.env, ALZY_URL: hub.http })
    await shell.run(blockIn('src/OPERATING.md', 'the first admin'))
    expect(shell.output).toContain('user 1: me@example.org (admin)')
    const token = /^ey\S+$/m.exec(shell.output)![0]
    expect((await hub.request('GET', '/v1/errors', undefined, token)).status).toBe(200)
    await shell.run(blockIn('src/OPERATING.md', '## Watch it').replaceAll(HERE, hub.http))
    expect(shell.output).toMatch(/^alzy_lanes_away 0$/m)
    expect(await shell.end()).toBe(0)
  })

  test('name no route and no figure that the hub does not have', async () => {
    const { paths } = (await hub.request('GET', '/openapi.json')).json
    const figures = await (await fetch(`${hub.http}/metrics`)).text()
    for (const { name, code } of readPages()) {
      for (const { text } of code) {
        for (const [all, method, place] of text.matchAll(/\b(GET|POST|PATCH|DELETE) (\/[\w/{}.]*)/g)) {
          expect(paths[place!]?.[method!.toLowerCase()], `${all} on ${name}`).toBeDefined()
        }
        for (const [figure] of text.matchAll(/\balzy_[a-z_]+\b(?!…)/g)) {
          expect(figures, `${figure} on ${name}`).toMatch(new RegExp(`^${figure}\\b`, 'm'))
        }
      }
    }
  })
})

/** The first block of commands behind these words of a page. */
function blockIn(page: string, words: string): string {
  const { text } = readPage(page)
  const [, block] = /```sh\n([\s\S]*?)```/.exec(text.slice(text.indexOf(words)))!
  return block!.trimEnd()
}

function openShell(cwd: string, env: Record<string, string>) {
  const child = spawn('bash', ['-s'], { cwd, env: { ...process.env, ...env } })
  let output = ''
  let count = 0
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk
    })
  }
  return {
    run,
    end,
    get output() {
      return output
    },
  }

  /** Resolves when the shell is through with it; what it started goes on. */
  async function run(commands: string): Promise<void> {
    count += 1
    const mark = `step ${count} is done`
    child.stdin.write(`${commands}\necho "${mark}"\n`)
    await until(
      () => output.includes(mark),
      `the shell to be through with ${commands}\nafter ${output}`,
      STEP_MS,
    )
  }

  async function end(): Promise<number | null> {
    const closed = once(child, 'close')
    child.stdin.end()
    return (await closed)[0]
  }
}

function missingTool(names: readonly string[]): string | null {
  for (const name of names) {
    try {
      execFileSync('which', [name], { stdio: 'ignore' })
    } catch {
      return `there is no ${name}`
    }
  }
  return null
}
