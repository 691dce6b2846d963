/** Makes one embedded database before the first test file, as a first start does; the tests copy it. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
let dataDir = ''

export async function setup(project: TestProject): Promise<void> {
  dataDir = await mkdtemp(path.join(os.tmpdir(), 'alzy-template-'))
  const env = { PATH: process.env.PATH, ALZY_DATA_DIR: dataDir }
  await promisify(execFile)(process.execPath, [MAIN, 'migrate'], { env })
  project.provide('embeddedTemplate', dataDir)
}

export async function teardown(): Promise<void> {
  await rm(dataDir, { recursive: true, force: true })
}
