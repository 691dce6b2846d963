/** What viewers are told of a device that changes, decided apart from sockets and database. */
import { decode } from '@msgpack/msgpack'
import { expect, test } from 'vitest'
import { parseConfig } from '../../src/config.ts'
import { createFleet } from '../../src/core/fleet.ts'
import { type ChangesOptions, createChanges } from '../../src/live/changes.ts'
import { createRoster } from '../../src/live/roster.ts'
import type { DeviceRecord } from '../../src/protocol/encode.ts'
import type { DeviceJson } from '../../src/protocol/http.ts'

const USER_ID = 1
const PROFILE = { color: 'blue', platform: 'android' } as const
const rowOf = (id: number, name: string) => ({ id, userId: USER_ID, name, ...PROFILE }) as DeviceJson
const recordOf = (deviceId: number, name: string): DeviceRecord => ({
  deviceId,
  userId: USER_ID,
  name,
  ...PROFILE,
  online: false,
  lastSeenMs: null,
  epoch: 0,
  n: 0,
  last: null,
})

/** A hub that holds no device in memory, whose database answers when and what the test says. */
function setUp() {
  const fleet = createFleet(parseConfig({}).limits)
  const asked: { answer: (name: string) => Promise<void>; fail: (error: Error) => Promise<void> }[] = []
  const told: unknown[] = []
  const away: unknown[] = []
  const roster = createRoster({
    fleet,
    records: {
      readIds: async () => [],
      readRecords: ([id]) =>
        new Promise((resolve, reject) => {
          asked.push({
            answer: (name) => settled(() => resolve([recordOf(id!, name)])),
            fail: (error) => settled(() => reject(error)),
          })
        }),
    },
  })
  const changes = createChanges({
    fleet,
    roster,
    access: { admission: { noteChange: () => {} }, rights: {} },
    audience: {
      publish: (_user: number, deviceId: number, frame: Uint8Array) => {
        const [, [, , name]] = decode(frame) as [number, [number, number, string]]
        told.push([deviceId, name])
      },
    },
    ops: { faults: { judge: (error: unknown) => away.push(error) } },
  } as unknown as ChangesOptions)
  return { changes, asked, told, away }
}

/** Everything that follows from it has happened. */
async function settled(act: () => void): Promise<void> {
  act()
  await new Promise((resolve) => setImmediate(resolve))
}

test('a device that changes twice is told as it is, also when the first read is answered last', async () => {
  const { changes, asked, told } = setUp()
  changes.onDevice(rowOf(7, 'Bike'))
  changes.onDevice(rowOf(7, 'Bicycle'))
  changes.onDevice(rowOf(8, 'Van'))
  await asked[1]!.answer('Bicycle')
  await asked[0]!.answer('Bike')
  await asked[2]!.answer('Van')
  expect(told).toEqual([
    [7, 'Bicycle'],
    [8, 'Van'],
  ])
  changes.onDevice(rowOf(7, 'Tandem'))
  await asked[3]!.answer('Tandem')
  expect(told.at(-1)).toEqual([7, 'Tandem'])
})

test('a read that fails is the fault of the database, and the next change is told', async () => {
  const { changes, asked, told, away } = setUp()
  const fault = new Error('away')
  changes.onDevice(rowOf(7, 'Bike'))
  await asked[0]!.fail(fault)
  expect([told, away]).toEqual([[], [fault]])
  changes.onDevice(rowOf(7, 'Bicycle'))
  await asked[1]!.answer('Bicycle')
  expect(told).toEqual([[7, 'Bicycle']])
})
