/** What the README says under "Run it for real" is run as it stands there, line by line, by a shell. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startHub, type TestHub } from '../rig/hub.ts'
import { createPostgres, type TestDatabase } from '../rig/kinds.ts'
import { postgresMissing } from '../rig/sharedPostgres.ts'
import { until } from '../rig/until.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const missing = postgresMissing ?? missingTool(['bash', 'curl', 'openssl'])
const STEP_MS = 60_000

describe.skipIf(missing !== null)(`the README${missing === null ? '' : ` (${missing})`}`, () => {
  let database: TestDatabase
  let hub: TestHub
  let directory: string

  beforeAll(async () => {
    database = await createPostgres()
    hub = await startHub({ database })
    // A clone in which a file may be saved.
    directory = await mkdtemp(path.join(os.tmpdir(), 'alzy-readme-'))
    for (const name of ['package.json', 'node_modules', 'dist', 'src', 'sql']) {
      await symlink(path.join(ROOT, name), path.join(directory, name))
    }
  })
  afterAll(async () => {
    await hub?.end()
    await database?.drop()
    await rm(directory, { recursive: true, force: true })
  })

  test('leads from nothing to a live share and its end', { timeout: 10 * STEP_MS }, async () => {
    const [setUp, pair, stream, share, save, endShare, revoke, ...more] = await steps()
    expect(more).toEqual([])
    const shell = openShell(directory, database.env)
    await shell.run(setUp!.replaceAll('http://127.0.0.1:9001', hub.http))
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
})

/** The paragraphs of the section's block of commands. */
async function steps(): Promise<string[]> {
  const readme = await readFile(path.join(ROOT, 'README.md'), 'utf8')
  const block = /## Run it for real[\s\S]*?```sh\n([\s\S]*?)```/.exec(readme)
  return block![1]!.trimEnd().split('\n\n')
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
