/** How often something that could be guessed may be tried, from one place and from everywhere. It reads no clock. */
import { LRUCache } from 'lru-cache'
import { type Bucket, createBucket, take as takeFrom } from './bucket.ts'

export interface TriesLimits {
  perMin: number
  burst: number
  perMinInAll: number
  burstInAll: number
  /** Places that are remembered; whoever has more of them than that meets the limit for everybody. */
  networksMax: number
}

/** `network` and `all` say which limit was met. */
export type Try = 'taken' | 'network' | 'all'

export function createTries(limits: TriesLimits) {
  const inAll = createBucket(limits.perMinInAll / 60, limits.burstInAll)
  const buckets = new LRUCache<string, Bucket>({ max: limits.networksMax })
  return { take }

  /** `network` is what the limit counts by: see addresses.ts. */
  function take(network: string, nowMs: number): Try {
    // Its own limit first: one place that tries too often takes nothing from the others.
    if (!takeFrom(bucketOf(network), 1, nowMs)) return 'network'
    return takeFrom(inAll, 1, nowMs) ? 'taken' : 'all'
  }

  function bucketOf(network: string): Bucket {
    const found = buckets.get(network)
    if (found !== undefined) return found
    const bucket = createBucket(limits.perMin / 60, limits.burst)
    buckets.set(network, bucket)
    return bucket
  }
}
