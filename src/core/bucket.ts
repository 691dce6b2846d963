/**
 * A token bucket: so many per second in the long run, `burst` at once. Sockets have one each, so it is data, and what
 * is done with it is shared. It reads no clock.
 */
export interface Bucket {
  readonly perSecond: number
  readonly burst: number
  tokens: number
  filledMs: number
}

export function createBucket(perSecond: number, burst: number): Bucket {
  return { perSecond, burst, tokens: burst, filledMs: Number.NEGATIVE_INFINITY }
}

/** Takes `count` and may go below zero once: a frame is let through whole or not at all. */
export function take(bucket: Bucket, count: number, nowMs: number): boolean {
  if (isEmpty(bucket, nowMs)) return false
  bucket.tokens -= count
  return true
}

export function isEmpty(bucket: Bucket, nowMs: number): boolean {
  const { perSecond, burst, filledMs } = bucket
  if (nowMs > filledMs && filledMs > 0) {
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - filledMs) / 1000) * perSecond)
  }
  // Also back: a clock that jumps must not keep the bucket from being filled until it has caught up.
  bucket.filledMs = nowMs
  return bucket.tokens <= 0
}
