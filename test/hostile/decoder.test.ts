/**
 * The decoders of what comes from outside, on frames by the million: the verdict is that of the reference, nothing is
 * thrown, and nothing is allocated for a count that the bytes could not fill.
 */
import { expect, test } from 'vitest'
import { decodeDeviceFrame, decodeViewerFrame } from '../../src/protocol/decode.ts'
import { addFailed, addResult, NOTHING_STORED, ROWS_APART } from '../fault/result.ts'
import { watchAllocations } from '../protocol/allocations.ts'
import { BATCH_POINTS_MAX } from '../protocol/frames.ts'
import { valueByOfficial } from '../protocol/reference.ts'
import { faultOfDevice, faultOfViewer, readOr, withoutFloat32 } from '../protocol/verdict.ts'
import { createChance } from '../rig/chance.ts'
import { runs } from '../rig/runs.ts'
import { createHostileFrames } from './frames.ts'

const IS_LONG = process.env.FAULT_LONG === '1'
const FRAMES = IS_LONG ? 10_000_000 : runs(1_000_000, 10_000)
const SEED = Number(process.env.FAULT_SEED)
/** A slab that small frames share. */
const DOUBLES_SPARE = 1_024

test(`${FRAMES} hostile frames are read as the protocol says`, { timeout: FRAMES }, () => {
  const line = { fault: ROWS_APART.decoder, isLong: IS_LONG }
  let tries = 0
  try {
    const next = createHostileFrames(createChance(SEED, 'decoder'), 'both')
    const seen = { understood: 0, ignored: 0, malformed: 0 }
    for (; tries < FRAMES; tries++) {
      const bytes = withoutFloat32(next())
      const fault = faultOf(bytes, seen)
      if (fault !== null) {
        expect.fail(`seed ${SEED}, frame ${tries}: ${fault}\n${Buffer.from(bytes).toString('hex')}`)
      }
    }
    // Frames that are all refused, or all understood, would prove little.
    for (const [verdict, count] of Object.entries(seen)) {
      expect(count, verdict).toBeGreaterThan(FRAMES / (verdict === 'ignored' ? 10_000 : 20))
    }
  } catch (error) {
    addFailed({ ...line, failed: `seed ${SEED}, after ${tries} frames` })
    throw error
  }
  addResult({ ...line, ...NOTHING_STORED, tries, seed: SEED })
})

interface Verdict {
  type: number | string
}

function faultOf(bytes: Uint8Array, seen: { understood: number; ignored: number; malformed: number }) {
  try {
    // A library may take the one key of a map for an attack, where the hub ignores the map.
    const isAsked = !(bytes.includes(0x5f) && Buffer.from(bytes).includes('__proto__'))
    let device: Verdict = { type: '' }
    let viewer: Verdict = { type: '' }
    const { arrayMax, doublesMax } = watchAllocations(() => {
      device = decodeDeviceFrame(bytes, BATCH_POINTS_MAX)
      viewer = decodeViewerFrame(bytes)
    })
    if (arrayMax > bytes.length) return `an array of ${arrayMax} for ${bytes.length} bytes`
    if (doublesMax > 8 * bytes.length + DOUBLES_SPARE)
      return `${doublesMax} doubles for ${bytes.length} bytes`
    for (const { type } of [device, viewer] as Verdict[]) {
      seen[type === 'malformed' || type === 'ignored' ? type : 'understood'] += 1
    }
    if (!isAsked) return null
    const value = readOr(valueByOfficial, bytes)
    return faultOfDevice(device, value, BATCH_POINTS_MAX) ?? faultOfViewer(viewer, value)
  } catch (fault) {
    return `it throws ${(fault as Error).stack}`
  }
}
