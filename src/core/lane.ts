/**
 * Which of the two lanes a viewer is in (V4): the live stream, or snapshots at its own pace. It sees ticks go
 * out and answers come back, and says what to do; it sends nothing and reads no clock.
 */
export interface LaneLimits {
  tickMs: number
  seenLateMs: number
  seenTimeoutMs: number
}

export type Lane = ReturnType<typeof createLane>

/** Timely answers in a row before a demoted viewer returns to live; doubled after each relapse. */
const ANSWERS_TO_RETURN = 3
const ANSWERS_TO_RETURN_MAX = 96
/** A relapse within so long after the last one counts against the viewer. */
const RELAPSE_MS = 10 * 60_000

export function createLane(limits: LaneLimits) {
  // A viewer begins with the snapshot of its subscription, and goes live with the last part of it.
  let isLive = false
  let isDemoted = false
  let tick: number | null = null
  let tickSentMs = 0
  let answersInARow = 0
  let answersNeeded = ANSWERS_TO_RETURN
  let demotedMs = Number.NEGATIVE_INFINITY
  return {
    ticked,
    missed,
    seen,
    judge,
    demote,
    goLive,
    restart,
    isTickDue,
    get isLive() {
      return isLive
    },
    get isDemoted() {
      return isDemoted
    },
    /** Whether the viewer has answered everything, so that more may be sent to it. */
    get isClear() {
      return tick === null
    },
    /** Whether a snapshot that is complete may be its last, after which the viewer is live. */
    get mayReturn() {
      return !isDemoted || answersInARow >= answersNeeded
    },
  }

  function ticked(number: number, nowMs: number): void {
    tick = number
    tickSentMs = nowMs
  }

  /** A TICK did not fit into the buffer: there is nothing to wait for, but a while to wait. */
  function missed(nowMs: number): void {
    tickSentMs = nowMs
  }

  function isTickDue(nowMs: number): boolean {
    return tick === null && nowMs - tickSentMs >= limits.tickMs
  }

  /** An answer. False when it answers nothing, which is not worth a word. */
  function seen(number: number, nowMs: number): boolean {
    if (number !== tick) return false
    const isTimely = nowMs - tickSentMs <= limits.seenLateMs
    answersInARow = isTimely ? answersInARow + 1 : 0
    tick = null
    return true
  }

  /** What the time since the last tick says of the viewer. */
  function judge(nowMs: number): 'fine' | 'late' | 'lost' {
    if (tick === null) return 'fine'
    const waitedMs = nowMs - tickSentMs
    if (waitedMs > limits.seenTimeoutMs) return 'lost'
    return waitedMs > limits.seenLateMs ? 'late' : 'fine'
  }

  function demote(nowMs: number): void {
    if (isDemoted) return
    const isRelapse = nowMs - demotedMs <= RELAPSE_MS
    answersNeeded = isRelapse ? Math.min(answersNeeded * 2, ANSWERS_TO_RETURN_MAX) : ANSWERS_TO_RETURN
    demotedMs = nowMs
    isLive = false
    isDemoted = true
    answersInARow = 0
  }

  function goLive(): void {
    isLive = true
    isDemoted = false
  }

  /** A new subscription or a resync begins with a snapshot; a demotion stays what it is. */
  function restart(): void {
    isLive = false
  }
}
