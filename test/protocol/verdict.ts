/**
 * What the hub's decoder says of some bytes, held against a naive reading of the protocol on top of a library. Where
 * the two may differ is written down here and in oracle.test.ts.
 */
import { isDeepStrictEqual } from 'node:util'
import { judgeDevice, judgeViewer, type Value } from './reference.ts'
import { survey } from './survey.ts'

export const UNDECODABLE = Symbol('the library threw')

export function readOr(read: (bytes: Uint8Array) => Value, bytes: Uint8Array): Value | typeof UNDECODABLE {
  try {
    return read(bytes)
  } catch {
    return UNDECODABLE
  }
}

/** What is wrong with the verdict about a frame of a device; null: nothing. */
export function faultOfDevice(
  verdict: { type: number | string },
  value: Value | typeof UNDECODABLE,
  batchPointsMax: number,
): string | null {
  return fault(verdict, value === UNDECODABLE ? null : judgeDevice(value, batchPointsMax))
}

export function faultOfViewer(
  verdict: { type: number | string },
  value: Value | typeof UNDECODABLE,
): string | null {
  // No frame of a viewer has a seq, so an error never refers to one.
  const judgement = value === UNDECODABLE ? null : judgeViewer(value)
  return fault(verdict, judgement !== null && 'ref' in judgement ? { ...judgement, ref: null } : judgement)
}

function fault(verdict: { type: number | string }, judgement: object | null): string | null {
  const { message, ...rest } = verdict as { type: number | string; message?: string }
  if (verdict.type === 'malformed' && !message) return 'a refusal without a reason'
  if (judgement === null) return verdict.type === 'malformed' ? null : 'understood what nobody can read'
  return isDeepStrictEqual(rest, judgement)
    ? null
    : `not what the protocol says: ${JSON.stringify(judgement)}`
}

/**
 * float32 is no int of the protocol, but libraries make a number of it: its payload is overwritten with NaN, which is no
 * int for anybody.
 */
export function withoutFloat32(bytes: Uint8Array): Uint8Array {
  const { float32At } = survey(bytes)
  if (float32At.length === 0) return bytes
  const copy = new Uint8Array(bytes)
  for (const at of float32At) copy.set([0x7f, 0xc0, 0, 0].slice(0, copy.length - at), at)
  return copy
}
