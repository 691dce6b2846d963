/** The door, decided apart from sockets: who may open, connect and ask, and what is forgotten. */
import { expect, test } from 'vitest'
import { createDoor, type DoorLimits } from '../../src/access/door.ts'
import { createTally } from '../../src/core/tally.ts'

const MANY = 1_000_000
const LIMITS: DoorLimits = {
  waitingSocketsMax: MANY,
  waitingPerAddressMax: MANY,
  socketsPerAddressMax: MANY,
  socketsPerAddressPerS: MANY,
  socketsPerAddressBurst: MANY,
  connectionsPerAddressPerS: MANY,
  connectionsPerAddressBurst: MANY,
  requestsPerAddressPerS: MANY,
  requestsPerAddressBurst: MANY,
  addressesMax: 100,
}
const T = 1_000

test('an address may have so many sockets open, and as many again once they are closed', () => {
  const door = createDoor({ ...LIMITS, socketsPerAddressMax: 2 })
  const passes = [door.open('a'), door.open('a')]
  expect(door.refusal('a', T)).toBe('addressFull')
  expect(door.refusal('b', T)).toBeNull()
  door.close(passes[0]!)
  expect(door.refusal('a', T)).toBeNull()
  door.close(passes[0]!)
  door.open('a')
  expect(door.refusal('a', T)).toBe('addressFull')
})

test('a socket waits until its WELCOME or its close, whichever comes first', () => {
  const door = createDoor({ ...LIMITS, waitingPerAddressMax: 1, waitingSocketsMax: 2 })
  const first = door.open('a')
  expect(door.refusal('a', T)).toBe('addressWaiting')
  door.admit(first)
  expect(door.refusal('a', T)).toBeNull()
  door.admit(first)
  door.close(first)
  expect(door.waiting).toBe(0)
  const own = [door.open(null), door.open(null)]
  expect([door.refusal('b', T), door.refusal(null, T)]).toEqual(['crowded', 'crowded'])
  for (const pass of own) door.close(pass)
  expect([door.refusal('b', T), door.waiting]).toEqual([null, 0])
})

test('new sockets, connections and requests of an address have a rate each, and others have their own', () => {
  const slow = {
    ...LIMITS,
    socketsPerAddressBurst: 2,
    connectionsPerAddressBurst: 3,
    requestsPerAddressBurst: 4,
  }
  const door = createDoor({
    ...slow,
    socketsPerAddressPerS: 1,
    connectionsPerAddressPerS: 1,
    requestsPerAddressPerS: 1,
  })
  const count = (may: () => boolean) => Array.from({ length: 10 }, may).filter(Boolean).length
  for (const block of ['a', 'b']) {
    expect(count(() => door.refusal(block, T) === null)).toBe(2)
    expect(count(() => door.mayConnect(block, T))).toBe(3)
    expect(count(() => door.mayRequest(block, T))).toBe(4)
  }
  expect(door.refusal('a', T)).toBe('addressRate')
  expect(door.refusal('a', T + 1_000)).toBeNull()
  expect(count(() => door.mayRequest(null, T))).toBe(10)
  expect(count(() => door.mayConnect(null, T))).toBe(10)
})

test('what is remembered of addresses is bounded, but never forgets an open socket', () => {
  const door = createDoor({ ...LIMITS, socketsPerAddressMax: 1, addressesMax: 10 })
  const pass = door.open('here')
  for (let i = 0; i < 1_000; i++) door.mayRequest(`a${i}`, T)
  expect(door.addresses).toBe(11)
  expect(door.refusal('here', T)).toBe('addressFull')
  door.close(pass)
  expect(door.addresses).toBe(10)
})

test('an owner may hold so many, and owners that hold none are forgotten', () => {
  const tally = createTally(2)
  expect([tally.take(1), tally.take(1), tally.take(1), tally.take(2)]).toEqual([true, true, false, true])
  tally.release(1)
  expect([tally.take(1), tally.take(1)]).toEqual([true, false])
})
