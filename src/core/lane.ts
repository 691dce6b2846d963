/**
 * Which of the two lanes a viewer is in (V4): the live stream, or snapshots at its own pace. It is told of ticks that
 * go out and answers that come back, and says what to do; it sends nothing and reads no clock.
 */
export interface LaneLimits {
  tickMs: number
  seenLateMs: number
  seenTimeoutMs: number
}

export interface Lane {
  isLive: boolean
  isDemoted: boolean
  /** The last one, until it is answered. */
  tick: number | null
  tickSentMs: number
  answersInARow: number
  answersNeeded: number
  demotedMs: number
}

/** Timely answers in a row before a demoted viewer returns to live; doubled after each relapse. */
const ANSWERS_TO_RETURN = 3
const ANSWERS_TO_RETURN_MAX = 96
/** A relapse within so long after the last one counts against the viewer. */
const RELAPSE_MS = 10 * 60_000

/** A viewer begins with the snapshot of its subscription, and goes live with the last part of it. */
export function createLane(): Lane {
  return {
    isLive: false,
    isDemoted: false,
    tick: null,
    tickSentMs: 0,
    answersInARow: 0,
    answersNeeded: ANSWERS_TO_RETURN,
    demotedMs: Number.NEGATIVE_INFINITY,
  }
}

/** Whether the viewer has answered everything, so that more may be sent to it. */
export function isClear({ tick }: Lane): boolean {
  return tick === null
}

/** Whether a snapshot that is complete may be its last, after which the viewer is live. */
export function mayReturn({ isDemoted, answersInARow, answersNeeded }: Lane): boolean {
  return !isDemoted || answersInARow >= answersNeeded
}

export function ticked(lane: Lane, number: number, nowMs: number): void {
  lane.tick = number
  lane.tickSentMs = nowMs
}

/** A TICK did not fit into the buffer: there is nothing to wait for, but a while to wait. */
export function missed(lane: Lane, nowMs: number): void {
  lane.tickSentMs = nowMs
}

export function isTickDue({ tick, tickSentMs }: Lane, nowMs: number, { tickMs }: LaneLimits): boolean {
  return tick === null && nowMs - tickSentMs >= tickMs
}

/** An answer. False when it answers nothing, which is not worth a word. */
export function seen(lane: Lane, number: number, nowMs: number, { seenLateMs }: LaneLimits): boolean {
  if (number !== lane.tick) return false
  const isTimely = nowMs - lane.tickSentMs <= seenLateMs
  lane.answersInARow = isTimely ? lane.answersInARow + 1 : 0
  lane.tick = null
  return true
}

/** What the time since the last tick says of the viewer. */
export function judge(
  { tick, tickSentMs }: Lane,
  nowMs: number,
  limits: LaneLimits,
): 'fine' | 'late' | 'lost' {
  if (tick === null) return 'fine'
  const waitedMs = nowMs - tickSentMs
  if (waitedMs > limits.seenTimeoutMs) return 'lost'
  return waitedMs > limits.seenLateMs ? 'late' : 'fine'
}

export function demote(lane: Lane, nowMs: number): void {
  if (lane.isDemoted) return
  const isRelapse = nowMs - lane.demotedMs <= RELAPSE_MS
  lane.answersNeeded = isRelapse ? Math.min(lane.answersNeeded * 2, ANSWERS_TO_RETURN_MAX) : ANSWERS_TO_RETURN
  lane.demotedMs = nowMs
  lane.isLive = false
  lane.isDemoted = true
  lane.answersInARow = 0
}

export function goLive(lane: Lane): void {
  lane.isLive = true
  lane.isDemoted = false
}

/** A new subscription or a resync begins with a snapshot; a demotion stays what it is. */
export function restart(lane: Lane): void {
  lane.isLive = false
}
