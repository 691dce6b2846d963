/** What the protocol says about a row of frames on a socket that has had its WELCOME, read frame by frame. */
import { judgeDevice, judgeViewer, valueByOfficial } from '../protocol/reference.ts'
import { readOr, UNDECODABLE } from '../protocol/verdict.ts'

export type Place = 'device' | 'viewer' | 'stats'

export interface Expected {
  /** Codes with which the socket may end; empty: it stays open. Several, where something takes its time. */
  codes: number[]
  /** What ERROR refers to, when 4500 is the only way; undefined: that cannot be said. */
  ref: number | null | undefined
  /** How many frames were looked at for that. */
  frames: number
}

/** The hub may have read a seq before it came to what nobody can read. */
const UNREADABLE: Judged = { type: 'malformed' }
const [HELLO, POINTS, SESSION, AUTH, BYE, SUB, RESYNC] = [1, 2, 3, 5, 6, 16, 18]

export function judgeOf(place: Place, bytes: Uint8Array, batchPointsMax: number): Judged {
  const value = readOr(valueByOfficial, bytes)
  if (value === UNDECODABLE) return UNREADABLE
  return (place === 'device' ? judgeDevice(value, batchPointsMax) : judgeViewer(value)) as Judged
}

interface Judged {
  type: number | string
  ref?: number | null
  seq?: number
}

export function expectedOf(place: Place, rows: readonly Uint8Array[], batchPointsMax: number): Expected {
  // What ends the socket later than the frames behind it may be looked at.
  const pending: number[] = []
  let lastSeq = 0
  let frames = 0
  for (const bytes of rows) {
    frames += 1
    const judged = judgeOf(place, bytes, batchPointsMax)
    const { type, seq = 0 } = judged
    const isOutOfPlace = place === 'stats' && (type === SUB || type === RESYNC)
    if (type === 'malformed' || type === HELLO || isOutOfPlace) {
      const ref = place !== 'device' || type !== 'malformed' ? null : judged.ref
      return { codes: [...pending, 4500], ref, frames }
    }
    if (type === POINTS || type === SESSION) {
      if (place === 'device' && seq <= lastSeq) return { codes: [...pending, 4400], ref: null, frames }
      lastSeq = seq
    }
    if (type === BYE) pending.push(1000)
    if (type === AUTH) pending.push(4503)
  }
  return { codes: pending, ref: null, frames }
}

/** What becomes of a socket whose very first frame this is. */
export function expectedFirst(place: Place, bytes: Uint8Array, batchPointsMax: number): number {
  return judgeOf(place, bytes, batchPointsMax).type === HELLO ? 4503 : 4500
}
