/** Who is let in as a device, decided apart from sockets and database: clocks and changes in the middle of a HELLO. */
import { expect, test } from 'vitest'
import { createAdmission } from '../../src/admission.ts'
import { parseConfig } from '../../src/config.ts'
import { createFleet } from '../../src/core/fleet.ts'
import { createDeviceKey } from '../../src/deviceKey.ts'
import { CLOSE } from '../../src/protocol/closes.ts'

const BUILT_MS = Date.UTC(2026, 0, 1)
const { deviceKey, keyHash } = createDeviceKey(7)
const ROW = {
  id: 7,
  userId: 1,
  name: 'Bike',
  color: 'blue' as const,
  platform: 'android' as const,
  lastSeenMs: null,
  newest: null,
  sessions: [],
  keyHash,
  isActive: true,
}

function setUp({
  nowMs = BUILT_MS + 1,
  read = async (_: number): Promise<typeof ROW | undefined> => ROW,
} = {}) {
  const away: unknown[] = []
  const admission = createAdmission({
    fleet: createFleet(parseConfig({}).limits),
    readDevice: read,
    builtMs: BUILT_MS,
    onAway: (error) => void away.push(error),
    now: () => nowMs,
  })
  return { admission, away }
}

test('the right key of an active device is let in', async () => {
  const admitted = await setUp().admission.admit(deviceKey)
  expect('device' in admitted && admitted.device.id).toBe(7)
})

test.each([
  ['a wrong key', createDeviceKey(7).deviceKey, ROW],
  ['a key of a device that has none', deviceKey, { ...ROW, keyHash: null as never }],
  ['a key of a device that is not active', deviceKey, { ...ROW, isActive: false }],
  ['a key of no device', deviceKey, undefined],
  ['something else', 'alzy_7_short', ROW],
])('%s is refused, and told nothing more', async (_, key, row) => {
  expect(await setUp({ read: async () => row }).admission.admit(key)).toEqual({ close: CLOSE.refused })
})

test('a hub whose clock is behind its own build accepts nobody', async () => {
  expect(await setUp({ nowMs: BUILT_MS - 1 }).admission.admit(deviceKey)).toEqual({
    close: CLOSE.unavailable,
  })
})

test('a hub whose clock is a minute behind the newest stored point accepts nobody', async () => {
  const { admission } = setUp({ nowMs: BUILT_MS + 1_000 })
  admission.noteReceived(BUILT_MS + 61_000)
  expect('device' in (await admission.admit(deviceKey))).toBe(true)
  admission.noteReceived(BUILT_MS + 61_001)
  expect(await admission.admit(deviceKey)).toEqual({ close: CLOSE.unavailable })
})

test('a database that is away is nobody’s fault', async () => {
  const fault = new Error('away')
  const { admission, away } = setUp({ read: () => Promise.reject(fault) })
  expect(await admission.admit(deviceKey)).toEqual({ close: CLOSE.unavailable })
  expect(away).toEqual([fault])
})

test('a device that is deleted while its HELLO is read is not let in', async () => {
  const answers = [ROW, { ...ROW, isActive: false }]
  const { admission } = setUp({
    read: async () => {
      const answer = answers.shift()
      // The deletion commits after the row was read, and before the hub acts on it.
      if (answers.length === 1) admission.noteChange(7)
      return answer
    },
  })
  expect(await admission.admit(deviceKey)).toEqual({ close: CLOSE.refused })
  expect(answers).toEqual([])
})
