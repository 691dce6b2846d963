/** What a client does after each way a connection can end: the table of PROTOCOL.md section 5. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CLOSE, reconnectDelayMs, type Verdict, verdictOf } from '../../src/protocol/closes.ts'

const table: [number, Verdict][] = [
  [1000, { do: 'finish' }],
  [1001, { do: 'finish' }],
  [1006, { do: 'reconnect', delayMsMin: 0 }],
  [1009, { do: 'reconnect', delayMsMin: 0 }],
  [1011, { do: 'reconnect', delayMsMin: 0 }],
  [1012, { do: 'reconnect', delayMsMin: 0 }],
  [1013, { do: 'reconnect', delayMsMin: 5_000 }],
  [4400, { do: 'reconnect', delayMsMin: 0 }],
  [4402, { do: 'reconnect', delayMsMin: 0 }],
  [4408, { do: 'reconnect', delayMsMin: 0 }],
  [4409, { do: 'reconnect', delayMsMin: 60_000 }],
  [4429, { do: 'reconnect', delayMsMin: 0 }],
  [4451, { do: 'renewToken' }],
  [4500, { do: 'inspect' }],
  [4503, { do: 'stop' }],
]

describe('a client that was closed', () => {
  test.each(table)('with %d knows what to do', (code, verdict) => {
    expect(verdictOf(code)).toStrictEqual(verdict)
  })

  test('with a code it has never heard of goes by the range', () => {
    const known = table.map(([code]) => code)
    for (let code = 4_400; code < 4_600; code++) {
      if (known.includes(code)) continue
      expect(verdictOf(code).do).toBe(code < 4_500 ? 'reconnect' : 'stop')
    }
  })
})

describe('a code that the hub sends', () => {
  const closes = Object.values(CLOSE)

  test('means one thing', () => {
    expect(new Set(closes.map(({ code }) => code)).size).toBe(closes.length)
  })

  test('is in the table and may be sent in a close frame', () => {
    for (const { code, reason } of closes) {
      expect(table.map(([known]) => known)).toContain(code)
      // 1004 to 1006 and 1015 are for reports only (RFC 6455, 7.4.1), and a reason has at most 123 bytes.
      expect([1004, 1005, 1006, 1015]).not.toContain(code)
      expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(123)
    }
  })
})

describe('the delay before a client reconnects', () => {
  const anyChance = fc.double({ min: 0, max: 1, noNaN: true })

  test('is anything from nothing to a bound that doubles from half a second to a minute', () => {
    const bounds = Array.from({ length: 9 }, (_, attempt) => reconnectDelayMs(attempt, 1))
    expect(bounds).toStrictEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
    expect(reconnectDelayMs(5, 0)).toBe(0)
    expect(reconnectDelayMs(5, 0.5)).toBe(8_000)
  })

  test('stays a number within a minute however often it was tried', () => {
    fc.assert(
      fc.property(fc.nat(), anyChance, (attempt, chance) => {
        const delayMs = reconnectDelayMs(attempt, chance)
        expect(delayMs).toBeGreaterThanOrEqual(0)
        expect(delayMs).toBeLessThanOrEqual(60_000)
      }),
    )
  })
})
