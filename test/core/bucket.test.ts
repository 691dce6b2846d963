/** What a token bucket lets through, against a bucket that is filled by hand one millisecond after the other. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createBucket, isEmpty, take } from '../../src/core/bucket.ts'
import { NOW_MS } from './frames.ts'

test('a new bucket lets its burst through at once, and no more', () => {
  const bucket = createBucket(1, 3)
  expect([1, 2, 3, 4].map(() => take(bucket, 1, NOW_MS))).toEqual([true, true, true, false])
})

test('an empty bucket lets through what flows in, at its rate', () => {
  const bucket = createBucket(2, 10)
  take(bucket, 10, NOW_MS)
  expect(isEmpty(bucket, NOW_MS)).toBe(true)
  expect(take(bucket, 1, NOW_MS + 500)).toBe(true)
  expect(take(bucket, 1, NOW_MS + 500)).toBe(false)
})

test('a bucket never holds more than its burst, however long it rests', () => {
  const bucket = createBucket(1_000, 2)
  take(bucket, 1, NOW_MS)
  const laterMs = NOW_MS + 3_600_000
  expect([1, 2, 3].map(() => take(bucket, 1, laterMs))).toEqual([true, true, false])
})

test('a large frame passes whole while anything is left, and is paid back before the next', () => {
  const bucket = createBucket(1, 5)
  expect(take(bucket, 15, NOW_MS)).toBe(true)
  expect(isEmpty(bucket, NOW_MS + 9_000)).toBe(true)
  expect(take(bucket, 1, NOW_MS + 10_000)).toBe(false)
  expect(take(bucket, 1, NOW_MS + 11_000)).toBe(true)
})

test('asking whether a bucket is empty takes nothing', () => {
  const bucket = createBucket(1, 1)
  for (let i = 0; i < 5; i++) expect(isEmpty(bucket, NOW_MS)).toBe(false)
  expect(take(bucket, 1, NOW_MS)).toBe(true)
})

test('what was refused costs nothing', () => {
  const bucket = createBucket(1, 1)
  take(bucket, 1, NOW_MS)
  for (let i = 0; i < 5; i++) take(bucket, 1, NOW_MS)
  expect(take(bucket, 1, NOW_MS + 1_000)).toBe(true)
})

describe('a clock that jumps back', () => {
  test('does not empty a bucket', () => {
    const bucket = createBucket(1, 2)
    expect(take(bucket, 1, NOW_MS)).toBe(true)
    expect(take(bucket, 1, NOW_MS - 60_000)).toBe(true)
  })

  test('fills nothing, and from there on as ever', () => {
    const bucket = createBucket(1, 1)
    take(bucket, 1, NOW_MS)
    expect(take(bucket, 1, NOW_MS - 60_000)).toBe(false)
    expect(take(bucket, 1, NOW_MS - 59_000)).toBe(true)
  })
})

test('whatever is asked of it and when, a bucket answers as one filled by hand', () => {
  const asked = fc.record({
    waitMs: fc.oneof(fc.nat(5), fc.nat(40), fc.integer({ min: -30, max: -1 })),
    count: fc.integer({ min: 1, max: 12 }),
  })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.array(asked, { maxLength: 40 }), (burst, asks) => {
      // One token a millisecond keeps every sum a whole number.
      const bucket = createBucket(1_000, burst)
      let nowMs = NOW_MS
      let tokens = burst
      expect(isEmpty(bucket, nowMs)).toBe(false)
      for (const { waitMs, count } of asks) {
        nowMs += waitMs
        tokens = Math.min(burst, tokens + Math.max(0, waitMs))
        const isOpen = tokens > 0
        expect(take(bucket, count, nowMs)).toBe(isOpen)
        if (isOpen) tokens -= count
      }
    }),
  )
})
