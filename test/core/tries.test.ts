/** How often one place and all places together may try. */
import { describe, expect, test } from 'vitest'
import { createTries } from '../../src/core/tries.ts'

const LIMITS = { perMin: 60, burst: 3, perMinInAll: 120, burstInAll: 10, networksMax: 4 }
const START_MS = 1_000_000

describe('tries', () => {
  test('are taken up to the burst, and come back with time', () => {
    const { take } = createTries(LIMITS)
    const five = (nowMs: number) => Array.from({ length: 5 }, () => take('192.0.2.1', nowMs))
    expect(five(START_MS)).toEqual(['taken', 'taken', 'taken', 'network', 'network'])
    expect(five(START_MS + 1_000)).toEqual(['taken', 'network', 'network', 'network', 'network'])
    expect(five(START_MS + 60_000)).toEqual(['taken', 'taken', 'taken', 'network', 'network'])
  })

  test('of one place leave those of another alone, however many were refused', () => {
    const { take } = createTries(LIMITS)
    for (let i = 0; i < 100; i++) take('192.0.2.1', START_MS)
    expect(take('192.0.2.1', START_MS)).toBe('network')
    expect(take('192.0.2.2', START_MS)).toBe('taken')
  })

  test('of all together are limited as well, also where there are more places than are remembered', () => {
    const { take } = createTries(LIMITS)
    const answers = Array.from({ length: 100 }, (_, i) => take(`192.0.2.${i}`, START_MS))
    expect(answers.filter((answer) => answer === 'taken').length).toBe(10)
    expect(answers.slice(10).every((answer) => answer === 'all')).toBe(true)
    expect(take('192.0.2.200', START_MS + 500)).toBe('taken')
  })
})
