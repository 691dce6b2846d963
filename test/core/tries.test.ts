/** How often one place and all places together may try, and what one place is. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { networkOf } from '../../src/core/network.ts'
import { createTries } from '../../src/core/tries.ts'

const LIMITS = { perMin: 60, burst: 3, perMinInAll: 120, burstInAll: 10, networksMax: 4 }
const START_MS = 1_000_000

describe('one place', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['0000:0000:0000:0000:0000:ffff:c000:0201', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:0db8:0001:0002:ffff:ffff:ffff:ffff', '2001:db8:1:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['2001:db8:1:2::', '2001:db8:1:2'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
    ['::1', '0:0:0:0'],
    ['::', '0:0:0:0'],
    ['64:ff9b::192.0.2.33', '64:ff9b:0:0'],
    ['', ''],
  ])('of %s is %s', (address, network) => {
    expect(networkOf(address)).toBe(network)
  })

  test('is the same for every address of a /64, and for no other', () => {
    const group = fc.integer({ min: 0, max: 0xffff })
    const prefix = fc.tuple(group, group, group, group)
    fc.assert(
      fc.property(prefix, prefix, prefix, (one, rest, other) => {
        const text = (groups: number[]) => groups.map((part) => part.toString(16)).join(':')
        fc.pre(one.some((part) => part !== 0))
        expect(networkOf(text([...one, ...rest]))).toBe(networkOf(text([...one, ...other])))
        if (text(one) !== text(other)) {
          expect(networkOf(text([...one, ...rest]))).not.toBe(networkOf(text([...other, ...rest])))
        }
      }),
    )
  })
})

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
    for (let i = 0; i < 100; i++) take('2001:db8::1', START_MS)
    expect(take('2001:db8::2', START_MS)).toBe('network')
    expect(take('2001:db8:0:1::1', START_MS)).toBe('taken')
  })

  test('of all together are limited as well, also where there are more places than are remembered', () => {
    const { take } = createTries(LIMITS)
    const answers = Array.from({ length: 100 }, (_, i) => take(`192.0.2.${i}`, START_MS))
    expect(answers.filter((answer) => answer === 'taken').length).toBe(10)
    expect(answers.slice(10).every((answer) => answer === 'all')).toBe(true)
    expect(take('192.0.2.200', START_MS + 500)).toBe('taken')
  })
})
