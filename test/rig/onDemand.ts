/**
 * Starts what tests ask for when the first of them asks (gear.ts), once for the whole run, and ends it after the last
 * test, however the run ends. A run that asks for nothing starts nothing.
 */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'
import { distComplaint, ROOT } from './dist.ts'
import type { Gear, GearAnswer } from './gear.ts'
import { outsideOf } from './outside.ts'
import { findPostgres, startPostgres } from './postgres.ts'

const run = promisify(execFile)
/** On a machine that does a lot besides. */
const START_MS_MAX = 240_000
const ends: (() => Promise<void> | void)[] = []

const starts: { [Name in keyof Gear]: () => Promise<Gear[Name]> } = {
  postgres: startShared,
  embedded: makeTemplate,
  build,
}
const started = new Map<keyof Gear, Promise<unknown>>()

export async function setup(project: TestProject): Promise<void> {
  const found = findPostgres()
  const postgresMissing = 'missing' in found ? found.missing : null
  if (postgresMissing !== null) {
    console.warn(`Tests that need PostgreSQL are skipped: ${postgresMissing}.`)
  }
  const server = createServer((request, response) => {
    void answerTo(request.url!.slice(1) as keyof Gear).then((answer) => response.end(JSON.stringify(answer)))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  ends.push(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  project.provide('gear', { url: `http://127.0.0.1:${port}`, postgresMissing })
}

/** What is still starting is waited for, or nobody would end it. */
export async function teardown(): Promise<void> {
  await Promise.allSettled(started.values())
  for (const end of ends.splice(0).reverse()) await end()
}

async function answerTo<Name extends keyof Gear>(name: Name): Promise<GearAnswer<Name>> {
  if (!started.has(name)) started.set(name, starts[name]())
  try {
    return { value: (await started.get(name)) as Gear[Name] }
  } catch (fault) {
    return { fault: (fault as Error).message }
  }
}

async function startShared(): Promise<Gear['postgres']> {
  const cluster = await startPostgres()
  if ('missing' in cluster) throw new Error(`no PostgreSQL: ${cluster.missing}`)
  ends.push(cluster.stop)
  await cluster.createPostgisTemplate()
  return cluster.facts
}

/** As a first start does it. Whoever asks has seen to it that dist/ is as it should be. */
async function makeTemplate(): Promise<Gear['embedded']> {
  const dataDir = mkdtempSync(path.join(os.tmpdir(), 'alzy-template-'))
  const env = { PATH: process.env.PATH, ALZY_DATA_DIR: dataDir }
  const main = path.join(ROOT, 'dist/main.js')
  const made = run(process.execPath, [main, 'migrate'], { env, timeout: START_MS_MAX })
  const remove = () => {
    made.child.kill('SIGKILL')
    rmSync(dataDir, { recursive: true, force: true })
  }
  process.once('exit', remove)
  ends.push(() => {
    process.removeListener('exit', remove)
    remove()
  })
  await made
  return dataDir
}

/** Only `npm test` may: whoever watches, or runs vitest themselves, wants to know when dist/ is touched. */
async function build(): Promise<null> {
  const complaint = distComplaint()
  if (complaint === null) return null
  if (process.env.TEST_BUILDS !== '1') throw new Error(complaint)
  const options = { cwd: ROOT, env: outsideOf(process.env), timeout: START_MS_MAX }
  await run('npm', ['run', '--silent', 'build'], options).catch(({ message, stdout, stderr }) => {
    throw new Error(`dist/ could not be built: ${stdout || stderr || message}`)
  })
  return null
}
