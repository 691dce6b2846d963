/** The scan of every hub's log knows a secret when it sees one, and takes nothing else for one. */
import { expect, test } from 'vitest'
import { hubToken } from './forgery.ts'
import { point } from './points.ts'
import { secretIn } from './secrets.ts'

test.each([
  ['a device key', `{"msg":"refused","key":"alzy_12_${'aB-_'.repeat(10)}xyz"}`],
  [
    'a token',
    JSON.stringify({ err: hubToken('thirty-two bytes of a secret, or more', { claims: { sub: '1' } }) }),
  ],
  ['a password', '{"url":"postgres://alzy:hunter2@127.0.0.1/alzy"}'],
  ['a coordinate', JSON.stringify({ frame: point(0, 7) })],
  ['a coordinate', '{"msg":"at 52.5200007, 13.4050000"}'],
  ['a coordinate', '{"fields":{"lat":1,"lng":2}}'],
  ['a coordinate', '{"where":[52.5200007,13.4050000]}'],
  ['a coordinate', '{"east":13.405,"north":52.5200007}'],
  ['a row', '{"detail":"Failing row contains (1, 2, 3)."}'],
])('%s is found in a line', (kind, line) => {
  expect(secretIn(line)).toBe(kind)
})

test.each([
  `{"level":"info","time":1700000000525,"msg":"device connected","deviceId":12}`,
  `{"level":"info","time":"2026-11-24T17:57:52.522Z","msg":"audit"}`,
  `{"level":"info","time":"2026-11-24T17:57:13.405Z","receivedMs":1749134050000,"tookMs":13.405}`,
  `{"level":"info","url":"postgres://alzy@127.0.0.1/alzy","msg":"ready"}`,
  `{"level":"warn","msg":"refused","reason":"badKey","address":"192.0.2.1"}`,
])('and nothing in %s', (line) => {
  expect(secretIn(line)).toBeNull()
})
