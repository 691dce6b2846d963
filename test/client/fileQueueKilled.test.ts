/** A file queue whose process is killed: what the library that is shipped kept is all there. */
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openFileQueue } from '../../src/client/fileQueue.ts'
import { ENTRY_AT, ENTRY_STRIDE } from '../../src/client/queue.ts'
import { built } from '../rig/gear.ts'

const RECORDER = join(import.meta.dirname, 'recordUntilKilled.js')
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'alzy-queue-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

test('a process killed in the midst of recording loses nothing it was told is kept', async () => {
  const path = join(folder, 'victim.queue')
  const child = fork(RECORDER, [await built('client/node.js'), path])
  let told = 0
  await new Promise<void>((resolve) => {
    child.on('message', (ms: number) => {
      told = ms
      if (ms >= 5_000) child.kill('SIGKILL')
    })
    child.once('close', () => resolve())
  })
  expect(child.signalCode).toBe('SIGKILL')
  expect(told).toBeGreaterThanOrEqual(5_000)
  const queue = openFileQueue({ path })
  const entry = new Float64Array(ENTRY_STRIDE)
  const held: number[] = []
  for (let id = queue.firstId; id < queue.nextId; id++) {
    queue.read(id, entry)
    held.push(entry[ENTRY_AT.timeMs]!)
  }
  expect(held.at(-1)).toBeGreaterThanOrEqual(told)
  expect(held).toEqual(Array.from({ length: held.length }, (_, i) => held[0]! + i))
  // It held a hundred, and dropped one after each that it added.
  expect([100, 101]).toContain(held.length)
  expect(queue.lastRecordedMs).toBe(held.at(-1))
  queue.close()
})
