/** When the hub looks again at what was granted, and whom it tells; the database is the test. */
import { expect, test } from 'vitest'
import { createRights } from '../../src/access/rights.ts'
import type { Grant, Withdrawal } from '../../src/core/grant.ts'

const DEVICE: Grant = { role: 'device', userId: 1, deviceId: 7, keyHash: 'a hash' }
const VIEWER: Grant = { role: 'user', userId: 1 }

/** A database that has withdrawn everything; `asked`: what each look was about. */
function setUp() {
  const asked: Grant[][] = []
  const told: [Grant, Withdrawal][] = []
  const rights = createRights({
    readWithdrawn: async (grants) => {
      asked.push([...grants])
      return new Map(grants.map((grant) => [grant, 'gone']))
    },
    onAnswer: () => {},
  })
  const hold = (grant: Grant) => rights.hold(grant, (why) => told.push([grant, why]))
  return { rights, hold, asked, told }
}

test('a device that left before anybody looked is looked at once, or memory would let it in for ever', async () => {
  const { rights, hold, asked, told } = setUp()
  hold(DEVICE)()
  await rights.check()
  expect(asked).toEqual([[DEVICE]])
  expect(told).toEqual([[DEVICE, 'gone']])
  await rights.check()
  expect(asked).toHaveLength(1)
})

test('a device that leaves after a look is looked at no more, and a viewer that left never', async () => {
  const { rights, hold, asked, told } = setUp()
  const releaseDevice = hold(DEVICE)
  await rights.check()
  releaseDevice()
  hold(VIEWER)()
  await rights.check()
  expect(asked).toEqual([[DEVICE]])
  expect(told).toEqual([[DEVICE, 'gone']])
})

test('a device that leaves during the look is told of what it has found', async () => {
  const { rights, hold, told } = setUp()
  const release = hold(DEVICE)
  const looking = rights.check()
  release()
  await looking
  expect(told).toEqual([[DEVICE, 'gone']])
})
