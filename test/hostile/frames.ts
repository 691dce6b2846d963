/**
 * Hostile frames by the million, from a seed: a frame of the protocol is written in some form, then its values and its
 * bytes are damaged. Quicker than test/protocol/mutations.ts, whose samples and kinds of values it takes.
 */
import fc from 'fast-check'
import { type Wire, write } from '../protocol/encodings.ts'
import { BATCH_POINTS_MAX, deviceSample, viewerSample } from '../protocol/frames.ts'
import { EVERY_KIND } from '../protocol/mutations.ts'
import type { Chance } from '../rig/chance.ts'

const SAMPLES = 2_000
const KINDS: Wire[] = Object.values(EVERY_KIND)
const NUMBERS = [0, 1, -1, 4, 7, 64, 111, 112, 127, 128, 2 ** 31, 2 ** 32, 2 ** 53 - 1, -(2 ** 53) + 1]
/** Heads that announce more than there is, and nests. */
const LIES = [
  [0xdc, 0xff, 0xff],
  [0xdd, 0xff, 0xff, 0xff, 0xff],
  [0xdd, 0x00, 0x0f, 0x42, 0x40],
  [0xdf, 0x80, 0x00, 0x00, 0x00],
  [0xdb, 0xff, 0xff, 0xff, 0xff],
  [0xc6, 0x7f, 0xff, 0xff, 0xff],
  [0xc9, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0xc1],
  Array(64).fill(0x91),
  Array(64).fill(0x81),
  Array(64).fill(0xdd),
].map((bytes) => Uint8Array.from(bytes))

/** Returns what makes the next frame. `of`: whose frames are damaged. */
export function createHostileFrames(chance: Chance, of: 'device' | 'viewer' | 'both') {
  const seed = chance.whole(0, 2 ** 31 - 1)
  const samples = [
    ...(of === 'viewer' ? [] : fc.sample(deviceSample, { seed, numRuns: SAMPLES })),
    ...(of === 'device' ? [] : fc.sample(viewerSample, { seed, numRuns: SAMPLES })),
  ]
  return next

  function next(): Uint8Array {
    const fields = chance.pick(samples).fields
    const isPlain = chance.yes(0.5)
    const damaged = isPlain ? fields : withOddValue(fields)
    const picks = chance.whole(0, 3) === 0
    let bytes = write(damaged, picks ? (count) => chance.whole(0, count - 1) : () => 0)
    for (let left = chance.whole(isPlain ? 0 : -1, 2); left > 0; left--) bytes = withOddBytes(bytes)
    return bytes
  }

  /** Goes down into arrays by chance, and changes one of the elements there. */
  function withOddValue(fields: readonly Wire[]): Wire[] {
    const copy = [...fields]
    const at = chance.whole(0, copy.length)
    const inner = copy[at]
    if (Array.isArray(inner) && inner.length > 0 && chance.yes(0.7)) {
      copy[at] = withOddValue(inner)
      return copy
    }
    const way = chance.whole(0, 3)
    if (way === 0) copy.splice(at, 1)
    else if (way === 1) copy.splice(at, 0, oddValue())
    else copy.splice(Math.min(at, copy.length - 1), 1, oddValue())
    return copy
  }

  function oddValue(): Wire {
    switch (chance.whole(0, 5)) {
      case 0:
        return chance.pick(NUMBERS)
      case 1:
        return 'z'.repeat(chance.pick([65, 257, 4_097]))
      case 2:
        return Array(chance.pick([0, 1, BATCH_POINTS_MAX, BATCH_POINTS_MAX + 1, 257])).fill(
          chance.pick([1, null]),
        )
      default:
        return chance.pick(KINDS)
    }
  }

  function withOddBytes(bytes: Uint8Array): Uint8Array {
    const reach = chance.yes(0.6) ? Math.min(24, bytes.length) : bytes.length
    const at = chance.whole(0, Math.max(0, reach - 1))
    switch (chance.whole(0, 6)) {
      case 0:
        return bytes.subarray(0, at)
      case 1:
        return changed(bytes, at, (bytes[at] ?? 0) ^ (1 << chance.whole(0, 7)))
      case 2:
        return changed(bytes, at, 0xc0 + chance.whole(0, 31))
      case 3:
        return spliced(bytes, at, 0, chance.pick(LIES))
      case 4:
        return spliced(bytes, at, chance.whole(1, 12), new Uint8Array(0))
      case 5:
        return spliced(bytes, at, 0, chance.bytes(chance.whole(1, 6)))
      default:
        return spliced(bytes, at, chance.whole(0, 9), chance.pick(LIES))
    }
  }
}

function changed(bytes: Uint8Array, at: number, byte: number): Uint8Array {
  const copy = new Uint8Array(bytes)
  if (at < copy.length) copy[at] = byte
  return copy
}

function spliced(bytes: Uint8Array, at: number, out: number, put: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + out)]))
}
