/**
 * The hub's decoder against a naive reading of the protocol on top of two libraries: whatever the bytes are,
 * they must come to the same verdict. Where they may differ is written down here, and nowhere else:
 *
 * - float32 is no int of the protocol, but both libraries make a number of it. Its payload is overwritten
 *   with NaN, which is no int for anybody, before the three are asked.
 * - @msgpack/msgpack refuses a map with the key __proto__ even where any value is ignored.
 * - msgpackr reads ext types as records, sets and more, and takes 0xc1, and text that is not UTF-8, for
 *   values. It is asked only about bytes without these, and without maps, whose keys it changes.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeDeviceFrame, decodeViewerFrame } from '../../src/protocol/decode.ts'
import { runs } from '../rig/runs.ts'
import { chooseFrom, write } from './encodings.ts'
import { anyPicks, BATCH_POINTS_MAX, deviceSample, viewerSample } from './frames.ts'
import { damagedFrame, oddFrame } from './mutations.ts'
import { type Value, valueByMsgpackr, valueByOfficial } from './reference.ts'
import { type Survey, survey } from './survey.ts'
import { faultOfDevice, faultOfViewer, readOr, withoutFloat32 } from './verdict.ts'

interface Library {
  name: string
  read: (bytes: Uint8Array) => Value
  isAsked: (bytes: Uint8Array, found: Survey) => boolean
}

const libraries: Library[] = [
  {
    name: '@msgpack/msgpack',
    read: valueByOfficial,
    isAsked: (bytes, found) => !(found.hasMap && Buffer.from(bytes).includes('__proto__')),
  },
  {
    name: 'msgpackr',
    read: valueByMsgpackr,
    isAsked: (_bytes, found) =>
      found.wellFormed && !found.hasMap && !found.hasExt && !found.hasTextThatIsNotUtf8,
  },
]

const sources: Record<string, { bytes: fc.Arbitrary<Uint8Array>; runs: number }> = {
  'legal frames in any form': {
    bytes: fc
      .tuple(fc.oneof(deviceSample, viewerSample), anyPicks)
      .map(([{ fields }, picks]) => write(fields, chooseFrom(picks))),
    runs: 2_000,
  },
  'frames with odd values': { bytes: oddFrame, runs: 3_000 },
  'frames with damaged bytes': { bytes: damagedFrame, runs: 3_000 },
  'random bytes that begin like a frame': {
    bytes: fc
      .tuple(fc.constantFrom(1, 2, 3, 4, 5, 6, 16, 18, 19, 112), fc.uint8Array({ maxLength: 24 }))
      .map(([type, rest]) => Uint8Array.of(0x90 | Math.min(15, rest.length + 1), type, ...rest)),
    runs: 3_000,
  },
}

describe.each(libraries)('next to $name', (library) => {
  test.each(Object.entries(sources))('the hub comes to the same verdict about %s', (_name, source) => {
    const tries = runs(source.runs)
    let asked = 0
    fc.assert(
      fc.property(source.bytes, (generated) => {
        const bytes = withoutFloat32(generated)
        if (!library.isAsked(bytes, survey(bytes))) return
        asked += 1
        const value = readOr(library.read, bytes)
        expect(faultOfDevice(decodeDeviceFrame(bytes, BATCH_POINTS_MAX), value, BATCH_POINTS_MAX)).toBeNull()
        expect(faultOfViewer(decodeViewerFrame(bytes), value)).toBeNull()
      }),
      { numRuns: tries },
    )
    // A comparison that was never made would agree with everything.
    expect(asked).toBeGreaterThan(tries / 20)
  })
})

test('what the hub reads or ignores is always one whole msgpack value', () => {
  fc.assert(
    fc.property(damagedFrame, (bytes) => {
      if (survey(bytes).wellFormed) return
      expect(decodeDeviceFrame(bytes, BATCH_POINTS_MAX)).toMatchObject({ type: 'malformed' })
      expect(decodeViewerFrame(bytes)).toMatchObject({ type: 'malformed' })
    }),
    { numRuns: runs(3_000) },
  )
})
