/** What a device or a viewer says is what the hub reads, whichever library or form of msgpack it uses. */
import { encode as encodeOfficial } from '@msgpack/msgpack'
import fc from 'fast-check'
import { Packr, pack as packDefault } from 'msgpackr'
import { describe, expect, test } from 'vitest'
import { decodeDeviceFrame, decodeViewerFrame } from '../../src/protocol/decode.ts'
import { runs } from '../rig/runs.ts'
import { chooseFrom, integerForms, joined, shortest, type Wire, write } from './encodings.ts'
import { anyPicks, BATCH_POINTS_MAX, deviceSample, INTEGER_EDGES, viewerSample } from './frames.ts'

const packr = new Packr({ useRecords: false })

const encoders: Record<string, (fields: Wire[]) => Uint8Array> = {
  'msgpackr, a Packr without records': (fields) => packr.pack(fields),
  'msgpackr, its plain pack': (fields) => packDefault(fields),
  '@msgpack/msgpack': (fields) => encodeOfficial(fields),
  '@msgpack/msgpack with every integer as a float64': (fields) =>
    encodeOfficial(fields, { forceIntegerToFloat: true }),
  'the shortest form by hand': (fields) => write(fields, shortest),
  'the longest form by hand': (fields) => write(fields, (count) => count - 1),
}

const device = (bytes: Uint8Array) => decodeDeviceFrame(bytes, BATCH_POINTS_MAX)

describe.each(Object.entries(encoders))('a frame written by %s', (_name, encode) => {
  test('is read as the device meant it', () => {
    fc.assert(
      fc.property(deviceSample, ({ fields, message }) => {
        expect(device(encode(fields))).toStrictEqual(message)
      }),
      { numRuns: runs(1_000) },
    )
  })

  test('is read as the viewer meant it', () => {
    fc.assert(
      fc.property(viewerSample, ({ fields, message }) => {
        expect(decodeViewerFrame(encode(fields))).toStrictEqual(message)
      }),
      { numRuns: runs(1_000) },
    )
  })
})

describe('a frame in any mixture of legal forms', () => {
  test('is read as the device meant it', () => {
    fc.assert(
      fc.property(deviceSample, anyPicks, ({ fields, message }, picks) => {
        expect(device(write(fields, chooseFrom(picks)))).toStrictEqual(message)
      }),
      { numRuns: runs(2_000) },
    )
  })

  test('is read as the viewer meant it', () => {
    fc.assert(
      fc.property(viewerSample, anyPicks, ({ fields, message }, picks) => {
        expect(decodeViewerFrame(write(fields, chooseFrom(picks)))).toStrictEqual(message)
      }),
      { numRuns: runs(2_000) },
    )
  })

  test.each(INTEGER_EDGES)('has %d as an integer in each of its forms', (value) => {
    const forms = integerForms(value)
    expect(forms.length).toBeGreaterThan(1)
    for (const form of forms) {
      const bytes = joined([Uint8Array.of(0x92, 4), form])
      expect(device(bytes)).toStrictEqual({ type: 4, nonce: value, nowMs: null })
    }
  })
})

describe('the bytes of a frame', () => {
  const bytes = write([2, 7, null, 1_700_000_000_000, [[0, 1, 2]]], shortest)
  const message = {
    type: 2,
    seq: 7,
    session: null,
    values: Float64Array.of(1_700_000_000_000, 1, 2, Number.NaN, Number.NaN, Number.NaN, Number.NaN, 0),
  }

  test('may be an ArrayBuffer, as uWebSockets.js hands them over', () => {
    expect(decodeDeviceFrame(new Uint8Array(bytes).buffer, BATCH_POINTS_MAX)).toStrictEqual(message)
  })

  test('may lie in the middle of other bytes', () => {
    const around = joined([Uint8Array.of(0xc1, 0xc1, 0xc1), bytes, Uint8Array.of(0xc1)])
    expect(device(around.subarray(3, -1))).toStrictEqual(message)
  })

  test('end where they end, even if the bytes behind them would complete the frame', () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(device(bytes.subarray(0, length))).toMatchObject({ type: 'malformed' })
    }
  })

  test('may be thrown away or overwritten once the frame is read', () => {
    const passing = new Uint8Array(bytes)
    const read = device(passing)
    passing.fill(0xff)
    expect(read).toStrictEqual(message)
  })
})

test('the points of a frame stay as they are while later frames are read and changed', () => {
  const sizes = [1, 2, 3, 20, 19, 7, 1, 200, 2]
  const frames = Array.from({ length: 500 }, (_, i) => {
    const points = Array.from({ length: sizes[i % sizes.length]! }, (_, dt) => [dt, i, dt, 1, 2, 3, 4, 1])
    const read = decodeDeviceFrame(write([2, i + 1, null, 0, points], shortest), 200)
    const expected = Float64Array.from(points.flat())
    if (!('values' in read)) throw new Error('not read as POINTS')
    if (i % 3 === 0) {
      read.values.fill(i)
      expected.fill(i)
    }
    return { read, expected }
  })
  for (const { read, expected } of frames) expect(read.values).toStrictEqual(expected)
})
