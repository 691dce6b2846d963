/** The lock of a data directory, as other processes see it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { lockDirectory } from '../../../src/store/open/lock.ts'
import { StartError } from '../../../src/store/open/startError.ts'
import { built } from '../../rig/gear.ts'

const HOLDER = `
  const { lockDirectory } = await import(process.argv[1])
  const unlock = await lockDirectory(process.argv[2]).catch((error) => {
    console.log(error.message)
    process.exit(1)
  })
  console.log('locked')
  process.stdin.once('data', async () => {
    await unlock()
    console.log('unlocked')
  })
`
let directory: string
const holders: ChildProcess[] = []

beforeEach(async () => {
  directory = path.join(await mkdtemp(path.join(os.tmpdir(), 'alzy-lock-')), 'data')
})

afterEach(async () => {
  for (const holder of holders.splice(0)) holder.kill('SIGKILL')
  await rm(path.dirname(directory), { recursive: true, force: true })
})

/** Another process that takes the lock if it can; what it says, line by line. */
async function startHolder() {
  const lock = await built('store/open/lock.js')
  const holder = spawn(process.execPath, ['--input-type=module', '--eval', HOLDER, lock, directory], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  holders.push(holder)
  const lines = createInterface({ input: holder.stdout! })[Symbol.asyncIterator]()
  return { holder, said: async () => (await lines.next()).value as string }
}

const IN_USE = /^the data directory .*data is in use by another hub; .*ALZY_DATA_DIR.*$/

test('a second process is refused, with one line that says what to do', async () => {
  const first = await startHolder()
  expect(await first.said()).toBe('locked')
  const second = await startHolder()
  expect(await second.said()).toMatch(IN_USE)
  const refused = await lockDirectory(directory).catch((error) => error)
  expect(refused).toBeInstanceOf(StartError)
  expect(refused.message).toMatch(IN_USE)
})

test('the lock of a process that was killed is free at once', async () => {
  const first = await startHolder()
  expect(await first.said()).toBe('locked')
  first.holder.kill('SIGKILL')
  await once(first.holder, 'exit')
  const second = await startHolder()
  expect(await second.said()).toBe('locked')
})

test('the lock of a process that let go of it is free while that process lives', async () => {
  const first = await startHolder()
  expect(await first.said()).toBe('locked')
  first.holder.stdin!.write('let go\n')
  expect(await first.said()).toBe('unlocked')
  const second = await startHolder()
  expect(await second.said()).toBe('locked')
  await expect(lockDirectory(directory)).rejects.toBeInstanceOf(StartError)
})

test('it is refused twice within one process as well', async () => {
  const unlock = await lockDirectory(directory)
  await expect(lockDirectory(directory)).rejects.toThrow(IN_USE)
  await unlock()
  await (await lockDirectory(directory))()
})

test('the directory is made for its owner alone, and a file in its place is refused', async () => {
  const unlock = await lockDirectory(directory)
  expect((await stat(directory)).mode & 0o777).toBe(0o700)
  await unlock()
  const file = path.join(directory, 'file')
  await writeFile(file, '')
  const refused = await lockDirectory(file).catch((error) => error)
  expect(refused).toBeInstanceOf(StartError)
  expect(refused.message).toMatch(/^cannot create the data directory .*file: .*$/)
})
