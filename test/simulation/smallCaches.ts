/**
 * The caches of the hub with room for a few: what is made for ten thousand would cost a simulated hub more than all it
 * does, and would never be full.
 */
import type { LRUCache } from 'lru-cache'

type CacheClass = typeof LRUCache
const MAX = 64

export function small(Cache: CacheClass): CacheClass {
  return class<Key extends object, Value extends object> extends Cache<Key, Value> {
    constructor(options: LRUCache.Options<Key, Value, unknown>) {
      super({ ...options, max: Math.min(options.max ?? MAX, MAX) } as LRUCache.Options<Key, Value, unknown>)
    }
  } as unknown as CacheClass
}
