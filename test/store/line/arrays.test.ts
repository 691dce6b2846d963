/** Arrays as the database reads them: written by hand, so that nothing may enter that would need quoting. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { column, hexes, numbers, words } from '../../../src/store/line/arrays.ts'

const anyFraction = fc.double({ noNaN: true, noDefaultInfinity: true })

test('numbers are written as they are, and what is not a number as NULL', () => {
  expect(numbers([])).toBe('{}')
  expect(numbers([1, -2.5, 0, Number.NaN, 9_007_199_254_740_991])).toBe('{1,-2.5,0,NULL,9007199254740991}')
  expect(column([{ a: 1 }, { a: null }], ({ a }) => a)).toBe('{1,NULL}')
})

test('every number is written as JavaScript writes it', () => {
  const powers = Array.from({ length: 16 }, (_, i) => 10 ** i)
  const edges = [
    ...powers.flatMap((p) => [p - 1, p, p + 1, 7 * p]),
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32,
    2 ** 53 - 1,
  ]
  const values = [...edges, ...edges.map((edge) => -edge), 1_700_000_000_007, 0.1, 1e21, -5e-324]
  expect(numbers(values)).toBe(`{${values.join()}}`)
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.maxSafeInteger(), fc.integer(), anyFraction)), (some) => {
      expect(numbers(some)).toBe(`{${some.join()}}`)
    }),
  )
})

test('an array may be of any length', () => {
  const many = Array.from({ length: 50_000 }, (_, i) => (i % 3 === 0 ? Number.NaN : -(i ** 3)))
  expect(numbers(many)).toBe(`{${many.map((value) => (Number.isNaN(value) ? 'NULL' : value)).join()}}`)
})

test.each([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('%d is not written', (infinite) => {
  expect(() => numbers([1, infinite])).toThrow(RangeError)
})

test('words are written as they are', () => {
  expect(words([])).toBe('{}')
  expect(words(['gps', 'a_b'])).toBe('{gps,a_b}')
})

test.each(['', 'two words', 'a,b', '{a}', '"a"', 'NULL', 'a\\'])('%j is not written as a word', (word) => {
  expect(() => words(['gps', word])).toThrow(RangeError)
})

test('hexadecimal digits are written as they are, and nothing else', () => {
  expect(hexes([])).toBe('{}')
  expect(hexes(['0a1b', '99'])).toBe('{0a1b,99}')
  for (const other of ['', 'null', '0A', '1,2', '"1"']) expect(() => hexes(['0a', other])).toThrow(RangeError)
})
