import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type FileQueue, openFileQueue } from '../../src/client/fileQueue.ts'
import { describeEntry, ENTRY_AT, ENTRY_POINT, ENTRY_STRIDE } from '../../src/client/queue.ts'
import { createRecording } from '../../src/client/recording.ts'
import { ACK, openDeviceRig, secondsOf, sent, track } from './deviceRig.ts'
import { START_MS } from './drivenClock.ts'

const RECORD_BYTES = 84
let folder: string
let path: string
let queue: FileQueue

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'alzy-queue-'))
  path = join(folder, 'points.queue')
  queue = openFileQueue({ path })
})

afterEach(() => {
  queue.close()
  rmSync(folder, { recursive: true })
})

function point(ms: number): Float64Array {
  const entry = new Float64Array(ENTRY_STRIDE).fill(Number.NaN)
  entry[ENTRY_AT.kind] = ENTRY_POINT
  entry[ENTRY_AT.timeMs] = ms
  entry[ENTRY_AT.point + 1] = 480_000_000
  entry[ENTRY_AT.point + 2] = 110_000_000
  return entry
}

/** Times of the points that are held, in order. */
function times(): number[] {
  const entry = new Float64Array(ENTRY_STRIDE)
  const held: number[] = []
  for (let id = queue.firstId; id < queue.nextId; id++) {
    queue.read(id, entry)
    held.push(entry[ENTRY_AT.timeMs]!)
  }
  return held
}

function reopen(options: { entriesMax?: number } = {}): void {
  queue.close()
  queue = openFileQueue({ path, ...options })
}

test('what was pushed is there after a restart, whole and in order', () => {
  const op = new Float64Array(ENTRY_STRIDE).fill(Number.NaN)
  op[ENTRY_AT.kind] = 3
  op[ENTRY_AT.session] = 77
  op[ENTRY_AT.timeMs] = 99
  queue.push(point(1))
  queue.push(op)
  queue.push(point(2))
  reopen()
  expect(times()).toEqual([1, 99, 2])
  const entry = new Float64Array(ENTRY_STRIDE)
  queue.read(queue.firstId + 1, entry)
  expect(describeEntry(entry)).toEqual({ kind: 'session', op: 'end', session: 77, atMs: 99 })
  queue.read(queue.firstId, entry)
  expect(describeEntry(entry)).toMatchObject({ kind: 'point', point: { lat: 48, lng: 11, session: null } })
})

test('what was dropped does not come back', () => {
  for (let ms = 1; ms <= 10; ms++) queue.push(point(ms))
  queue.dropBelow(queue.firstId + 3)
  queue.dropBelow(queue.firstId + 2)
  reopen()
  expect(times()).toEqual([6, 7, 8, 9, 10])
  queue.dropBelow(queue.nextId)
  reopen()
  expect(times()).toEqual([])
})

test('the greatest time survives a restart even when nothing is held', () => {
  queue.push(point(5000))
  queue.dropBelow(queue.nextId)
  reopen()
  reopen()
  expect(queue.lastRecordedMs).toBe(5000)
  const recording = createRecording(queue, true, () => {})
  recording.tryRecord({ recordedMs: 4000, lat: 1, lng: 2 })
  recording.tryRecord({ recordedMs: 5000, lat: 1, lng: 2 })
  expect(times()).toEqual([5001, 5002])
})

test.each([1, 40, 83])('a last record cut to %d bytes is left out, and the file is whole again', (left) => {
  for (let ms = 1; ms <= 3; ms++) queue.push(point(ms))
  queue.close()
  truncateSync(path, 3 * RECORD_BYTES + left)
  queue = openFileQueue({ path })
  expect(queue.tornBytes).toBe(left)
  expect(times()).toEqual([1, 2])
  queue.push(point(4))
  reopen()
  expect(queue.tornBytes).toBe(0)
  expect(times()).toEqual([1, 2, 4])
})

test('a record with a wrong bit, and what follows it, is left out', () => {
  for (let ms = 1; ms <= 4; ms++) queue.push(point(ms))
  queue.close()
  const bytes = readFileSync(path)
  bytes[3 * RECORD_BYTES + 20]! ^= 1
  writeFileSync(path, bytes)
  queue = openFileQueue({ path })
  expect(queue.tornBytes).toBe(2 * RECORD_BYTES)
  expect(times()).toEqual([1, 2])
})

test('zeros at the end, as a loss of power leaves them, are left out', () => {
  queue.push(point(1))
  queue.close()
  appendFileSync(path, Buffer.alloc(3 * RECORD_BYTES))
  queue = openFileQueue({ path })
  expect(times()).toEqual([1])
})

test('a file that is no queue is refused and left as it is', () => {
  const other = join(folder, 'notes.txt')
  writeFileSync(other, 'not a queue '.repeat(20))
  expect(() => openFileQueue({ path: other })).toThrow('is not a queue file')
  expect(readFileSync(other, 'utf8')).toBe('not a queue '.repeat(20))
})

test('the queue is bounded', () => {
  reopen({ entriesMax: 2 })
  queue.push(point(1))
  queue.push(point(2))
  expect(queue.hasRoom).toBe(false)
  expect(() => queue.push(point(3))).toThrow('full')
  queue.dropBelow(queue.firstId + 1)
  queue.push(point(3))
  expect(times()).toEqual([2, 3])
})

test('the file does not grow with what went through it', () => {
  for (let ms = 1; ms <= 20_000; ms++) {
    queue.push(point(ms))
    if (ms > 10) queue.dropBelow(queue.firstId + 1)
  }
  expect(statSync(path).size).toBeLessThan(2_000 * RECORD_BYTES)
  reopen()
  expect(times()).toEqual(Array.from({ length: 10 }, (_, i) => 19_991 + i))
})

test('a device goes on after a restart with what was not acknowledged', async () => {
  let rig = await openDeviceRig({ queue })
  for (const recorded of track(5)) await rig.device.record(recorded)
  const peer = await rig.welcome({ batchPointsMax: 2 })
  await sent(rig, peer)
  peer.say(ACK, 1, 100)
  await rig.event('acknowledged')
  await rig.close()
  reopen()

  rig = await openDeviceRig({ queue })
  await rig.device.record({ recordedMs: START_MS + 1000, lat: 1, lng: 2 })
  const again = await rig.welcome()
  expect(secondsOf(await sent(rig, again))).toEqual([2, 3, 4, 4.001])
  await rig.close()
})
