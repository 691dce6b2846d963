import { encode } from '@msgpack/msgpack'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readToDevice, readToViewer } from '../../src/client/frames.ts'
import { runs } from '../rig/runs.ts'

const device = [7, 1, 'van', 'blue', 'android', true, 5, 100, 3, [1, 'active', 1000, 2, 3, null, 4]]

test('integers may come as 64-bit integers or as floats with an integral value', () => {
  const bytes = [0x93, 66, 0xcf, 0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0, 0xcb, 0x40, 0x59, 0, 0, 0, 0, 0, 0]
  expect(readToDevice(Uint8Array.from(bytes))).toEqual({
    type: 66,
    seq: 1_700_000_000_000,
    windowPoints: 100,
    rejected: [],
  })
})

test.each([
  ['no array', 5],
  ['no type', []],
  ['a type that is text', ['ack']],
  ['an ACK without a window', [66, 1]],
  ['an ACK with half a number', [66, 1.5, 100]],
  ['an ACK beyond 2^53 - 1', [66, 2 ** 60, 100]],
  ['a WELCOME with a window of nothing', [65, 7, 0, 10, 1000, 5, 20]],
  ['rejected points that are none', [66, 1, 100, [[1]]]],
])('%s is malformed, not thrown', (_, frame) => {
  expect(readToDevice(encode(frame))).toMatchObject({ type: 'malformed' })
})

test.each([
  ['a LIVE with a point of two elements', [81, 7, 1, 1, 5, 5, [[0, 1]]]],
  ['a LIVE with a point in degrees', [81, 7, 1, 1, 5, 5, [[0, 48.1, 11.5]]]],
  ['a SNAP without devices', [80, 0, true]],
  ['a SNAP with half a device', [80, 0, true, [[1, 2]]]],
  ['a session with a status of its own', [83, 7, 1, 1, 3, 5, 'asleep', null]],
])('%s is malformed', (_, frame) => {
  expect(readToViewer(encode(frame))).toMatchObject({ type: 'malformed' })
})

test('elements that a later version adds are ignored everywhere', () => {
  const longer = [...device.slice(0, 9), [...(device[9] as unknown[]), 5, 6, 1, 'new'], 'new']
  const frame = readToViewer(encode([80, 0, true, [longer], 'new']))
  expect(frame).toMatchObject({ type: 80, devices: [{ deviceId: 7, n: 3, last: { status: 'active' } }] })
  expect(
    readToViewer(encode([81, 7, 1, 1, 5, 5, [[0, 1, 2, null, null, null, null, 1, 'new']]])),
  ).toMatchObject({
    type: 81,
  })
})

test('types that are not known are ignored', () => {
  expect(readToDevice(encode([77, 'anything']))).toEqual({ type: 'ignored' })
  expect(readToViewer(encode([200]))).toEqual({ type: 'ignored' })
})

test('no bytes make the reader throw', () => {
  const types = fc.constantFrom(65, 66, 67, 68, 70, 71, 72, 73, 80, 81, 82, 83, 84, 85, 88, 90)
  const anything = fc.anything({ withNullPrototype: false, withBigInt: false, withSparseArray: false })
  fc.assert(
    fc.property(types, fc.array(anything, { maxLength: 8 }), (type, fields) => {
      const bytes = encode([type, ...fields])
      readToDevice(bytes)
      readToViewer(bytes)
    }),
    { numRuns: runs(500) },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      readToDevice(bytes)
      readToViewer(bytes)
    }),
    { numRuns: runs(1000) },
  )
})
