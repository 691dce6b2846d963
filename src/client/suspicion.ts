/**
 * Finds the entry that makes the hub refuse a frame (D14): which part of the head of the queue to send
 * next, and when an entry is found guilty. It sees ids, counts and close codes, and decides; device.ts acts.
 */
import { CLOSE, CLOSE_NONE_SEEN, CLOSE_OVERSIZE } from '../protocol/closes.ts'

/** The same first frame is halved when it was refused so often. */
const REFUSALS = 2
/**
 * A connection that just breaks (1006) is weak evidence: a network does that too. An entry alone in its
 * frame is set aside only when the connection broke right after it so often.
 */
const BREAKS_ALONE = 4

/** A connection that breaks later than this after a frame does not speak against the frame. */
const BREAK_WITHIN_MS = 2_000

/**
 * Whether the hub may have ended the connection because of a frame that was sent so long ago. What this side
 * gave up itself is nobody's refusal.
 */
export function isRefusal({ code, local }: { code: number; local: boolean }, sentAgoMs: number): boolean {
  if (local) return false
  if (code === CLOSE_NONE_SEEN) return sentAgoMs <= BREAK_WITHIN_MS
  return code === CLOSE.malformed.code || code === CLOSE_OVERSIZE
}

export function createSuspicion() {
  let headId = -1
  let refusals = 0
  let framePointsMax = Number.POSITIVE_INFINITY
  let halving = false
  /** Below it lies the frame that was refused first. */
  let frameEndId = 0
  /** Below it lies everything that was in flight when a frame was refused. */
  let suspectedBelowId = 0

  return {
    /** How many points the next frame may have. */
    get framePointsMax() {
      return framePointsMax
    },
    /** One frame at a time, so that a refusal can only mean that one. */
    get isSuspecting() {
      return suspectedBelowId > 0
    },
    refused,
    suspect,
    settled,
  }

  /**
   * The connection ended with `code` while the `count` entries from `firstId` on were its first
   * unacknowledged frame, and everything below `sentBelowId` was sent. Returns the id of an entry to set
   * aside, or null.
   */
  function refused(code: number, firstId: number, count: number, sentBelowId: number): number | null {
    suspect(sentBelowId)
    if (firstId !== headId) {
      headId = firstId
      refusals = 0
      if (!halving) frameEndId = firstId + count
    }
    refusals += 1
    // From now on the same frame is cut, even if more was recorded meanwhile.
    framePointsMax = Math.min(framePointsMax, count)
    if (refusals < refusalsNeeded(code, count)) return null
    refusals = 0
    if (count === 1) {
      trustFrames()
      return firstId
    }
    halving = true
    framePointsMax = Math.floor(count / 2)
    return null
  }

  /** Something below `belowId` may be refused; nothing says which frame. */
  function suspect(belowId: number): void {
    suspectedBelowId = Math.max(suspectedBelowId, belowId)
  }

  function refusalsNeeded(code: number, count: number): number {
    if (code === CLOSE_NONE_SEEN) return count === 1 ? BREAKS_ALONE : REFUSALS
    return halving ? 1 : REFUSALS
  }

  /** Everything below `id` is acknowledged or set aside. */
  function settled(id: number): void {
    if (!suspectedBelowId) return
    if (id > headId) refusals = 0
    if (id >= frameEndId) trustFrames()
    if (id >= suspectedBelowId) suspectedBelowId = 0
  }

  function trustFrames(): void {
    framePointsMax = Number.POSITIVE_INFINITY
    halving = false
    headId = -1
    refusals = 0
  }
}
