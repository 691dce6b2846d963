/** Whose fault a failed statement is, and how long the next try waits. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { blame, retryDelayMs } from '../../src/core/blame.ts'

describe('the database is away or busy, and the same is tried again', () => {
  test.each([
    ['08006', 'a lost connection'],
    ['08P01', 'a broken conversation'],
    ['25006', 'a database that only reads'],
    ['28P01', 'a password that is being replaced'],
    ['3D000', 'a database that is being replaced'],
    ['40001', 'a conflict between transactions'],
    ['40P01', 'a deadlock'],
    ['53100', 'a full disk'],
    ['53300', 'too many connections'],
    ['55P03', 'a lock that is held'],
    ['57014', 'a statement that took too long'],
    ['57P01', 'a server that is being stopped'],
    ['57P03', 'a server that is starting'],
    ['58030', 'a disk that fails'],
    ['ECONNREFUSED', 'nobody listening'],
    ['ECONNRESET', 'a reset connection'],
    ['EPIPE', 'a closed pipe, whose code is as long as an SQLSTATE'],
    ['ETIMEDOUT', 'no answer'],
    ['CONNECTION_CLOSED', 'a connection that the driver closed'],
    ['CONNECT_TIMEOUT', 'a connection that the driver gave up'],
  ])('%s: %s', (code) => {
    expect(blame(code)).toBe('database')
  })

  test('an error without a code', () => {
    expect(blame(undefined)).toBe('database')
  })
})

describe('a row cannot be stored, and is looked for', () => {
  test.each([
    ['22003', 'a number out of range'],
    ['22008', 'a time out of range'],
    ['22P02', 'text that is no number'],
    ['23502', 'a missing value'],
    ['23505', 'a value that is taken'],
    ['23514', 'a failed check'],
    ['23P01', 'an exclusion'],
  ])('%s: %s', (code) => {
    expect(blame(code)).toBe('row')
  })
})

test('23503: the row that another refers to is gone', () => {
  expect(blame('23503')).toBe('reference')
})

describe('our own statement or schema is wrong, and the hub stops', () => {
  test.each([
    ['0A000', 'something the server cannot do'],
    ['25P02', 'a transaction that has failed'],
    ['26000', 'a statement that was never prepared'],
    ['42601', 'a syntax error'],
    ['42703', 'a column that does not exist'],
    ['42P01', 'a table that does not exist'],
    ['42501', 'a right that is missing'],
    ['P0001', 'an exception of a function'],
    ['XX000', 'an internal error'],
  ])('%s: %s', (code) => {
    expect(blame(code)).toBe('us')
  })
})

describe('the next try', () => {
  const anyAttempt = fc.nat(2_000)
  const anyChance = fc.double({ min: 0, max: 1, noNaN: true })

  test('waits from 50 to 100 ms after the first failure', () => {
    expect([retryDelayMs(0, 0), retryDelayMs(0, 1)]).toEqual([50, 100])
  })

  test('waits twice as long after each further one, up to 5 s', () => {
    const longestMs = [0, 1, 2, 3, 4, 5, 6, 7, 1_000].map((attempt) => retryDelayMs(attempt, 1))
    expect(longestMs).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000])
  })

  test('is never at once and never later than 5 s, and chance moves it by half', () => {
    fc.assert(
      fc.property(anyAttempt, anyChance, (attempt, chance) => {
        const delayMs = retryDelayMs(attempt, chance)
        const longestMs = retryDelayMs(attempt, 1)
        expect(delayMs).toBeGreaterThanOrEqual(longestMs / 2)
        expect(delayMs).toBeLessThanOrEqual(longestMs)
        expect(longestMs).toBeLessThanOrEqual(5_000)
        expect(retryDelayMs(attempt, 0)).toBe(longestMs / 2)
      }),
    )
  })
})
