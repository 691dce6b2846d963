/** Who is let in as a device, decided apart from sockets and database: clocks and changes in the middle of a HELLO. */
import { expect, test } from 'vitest'
import { createAdmission } from '../../src/access/admission.ts'
import { createDeviceKey } from '../../src/access/deviceKey.ts'
import { parseConfig } from '../../src/config.ts'
import { createFleet } from '../../src/core/fleet.ts'
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
  isGone: false,
}

type Row = typeof ROW
type Answer = Row | undefined

function setUp({
  nowMs = BUILT_MS + 1,
  read = async (_: number): Promise<Answer> => ROW,
  keyTrustMs = 30_000,
} = {}) {
  let elapsedMs = 0
  const clock = {
    /** So much time passes. */
    move: (ms: number) => {
      nowMs += ms
      elapsedMs += ms
    },
    /** Somebody sets the clock. */
    set: (ms: number) => {
      nowMs += ms
    },
  }
  const away: unknown[] = []
  const reads = { access: 0, device: 0 }
  const fleet = createFleet(parseConfig({}).limits)
  const admission = createAdmission({
    fleet,
    limits: { keyTrustMs },
    readAccess: (id) => {
      reads.access += 1
      return read(id)
    },
    readDevice: (id) => {
      reads.device += 1
      return read(id)
    },
    ops: {
      counts: { keysTrusted: 0 },
      faults: { judge: (error: unknown) => void away.push(error) },
    } as never,
    builtMs: BUILT_MS,
    clock: { now: () => nowMs, elapsed: () => elapsedMs },
  })
  return { admission, away, reads, fleet, clock }
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

test('a device whose user is deactivated while its HELLO is read is not let in', async () => {
  const answers = [ROW, ROW, { ...ROW, isActive: false }]
  const { admission } = setUp({
    read: async () => {
      const answer = answers.shift()
      // In the middle of the second read, of what the hub has to know besides.
      if (answers.length === 1) admission.noteUserChange(1)
      return answer
    },
  })
  expect(await admission.admit(deviceKey)).toEqual({ close: CLOSE.refused })
  expect(answers).toEqual([])
})

test('a device in memory comes again without a question, as long as the database answers others', async () => {
  const { admission, reads, clock } = setUp()
  await admission.admit(deviceKey)
  for (let i = 0; i < 10; i++) {
    clock.move(29_000)
    admission.noteAnswer()
    expect('device' in (await admission.admit(deviceKey))).toBe(true)
  }
  expect(reads).toEqual({ access: 1, device: 1 })
})

test('a wrong key of a device in memory costs the same question as one of no device', async () => {
  const { admission, reads } = setUp()
  await admission.admit(deviceKey)
  await admission.admit(createDeviceKey(7).deviceKey)
  const ofKnown = { ...reads }
  await admission.admit(createDeviceKey(8).deviceKey)
  await admission.admit('nonsense')
  expect([ofKnown.access, ofKnown.device]).toEqual([2, 1])
  expect(reads).toEqual({ access: 4, device: 1 })
})

test.each<[string, (on: ReturnType<typeof setUp>) => void]>([
  ['the device was changed', ({ admission }) => admission.noteChange(7)],
  ['its user was deactivated', ({ admission }) => admission.noteUserChange(1)],
  ['the device is not in memory any more', ({ fleet }) => fleet.forget(fleet.get(7)!)],
  ['the database has been silent for long', ({ clock }) => clock.move(30_000)],
  [
    'it has, and the clock of the machine was set back meanwhile',
    ({ clock }) => {
      clock.move(30_000)
      clock.set(-3_600_000)
    },
  ],
])('memory is asked no more once %s', async (what, happens) => {
  const rows: Answer[] = [ROW, ROW, { ...ROW, isActive: false }]
  const on = setUp({ nowMs: BUILT_MS + 7_200_000, read: async () => rows.shift() })
  const first = await on.admission.admit(deviceKey)
  if ('device' in first) on.fleet.release(first.device)
  happens(on)
  expect(await on.admission.admit(deviceKey), what).toEqual({ close: CLOSE.refused })
  expect(rows).toEqual([])
})

test('a change of another user’s device or of another user leaves memory as it is', async () => {
  const { admission, reads } = setUp()
  await admission.admit(deviceKey)
  admission.noteChange(8)
  admission.noteUserChange(2)
  await admission.admit(deviceKey)
  expect(reads.access).toBe(1)
})
