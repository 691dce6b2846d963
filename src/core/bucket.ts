/** A token bucket: so many per second in the long run, `burst` at once. It reads no clock. */
export function createBucket(perSecond: number, burst: number) {
  let tokens = burst
  let filledMs = Number.NEGATIVE_INFINITY
  return { take, isEmpty }

  /** Takes `count` and may go below zero once: a frame is let through whole or not at all. */
  function take(count: number, nowMs: number): boolean {
    if (isEmpty(nowMs)) return false
    tokens -= count
    return true
  }

  function isEmpty(nowMs: number): boolean {
    if (nowMs > filledMs && filledMs > 0) {
      tokens = Math.min(burst, tokens + ((nowMs - filledMs) / 1000) * perSecond)
    }
    // Also back: a clock that jumps must not keep the bucket from being filled until it has caught up.
    filledMs = nowMs
    return tokens <= 0
  }
}

export type Bucket = ReturnType<typeof createBucket>
