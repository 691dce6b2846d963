/** What a hub that has just started knows of a device: its newest point, its sessions, when it was last seen. */
import { describe, expect, test } from 'vitest'
import type { Device } from '../../../src/core/device.ts'
import { AT, INT32_MAX } from '../../../src/protocol/messages.ts'
import { readCredentials } from '../../../src/store/live/credentials.ts'
import { writeLastSeen } from '../../../src/store/live/lastSeen.ts'
import { readDeviceIds, readRecords } from '../../../src/store/live/records.ts'
import { deleteDevice, updateDevice, writeDeviceKey } from '../../../src/store/people/devices.ts'
import { NEWEST_ROWS_MAX, readNewestReceivedMs } from '../../../src/store/points/newest.ts'
import { createCoalesced } from '../../../src/upkeep/coalesced.ts'
import { HOUR_MS, MINUTE_MS, NOW_MS, row } from '../../core/frames.ts'
import { describeOnEachStore, forgotten } from '../eachStore.ts'
import { writingTo } from '../writing.ts'

const T = NOW_MS - 6 * HOUR_MS

describeOnEachStore('a device that the hub reads', (on) => {
  async function lastSeenMs(device: Device): Promise<number | null> {
    const [known] = await readCredentials(on.store.read, [device.id])
    return known!.lastSeenMs
  }

  describe('has as its newest point', () => {
    test('none, when it has no points', async () => {
      const device = await on.addDevice()
      expect((await on.reload(device)).newest).toBeNull()
      const [record] = await readRecords(on.store.read, [device.id])
      expect(record).toMatchObject({ deviceId: device.id, userId: device.userId, last: null, online: false })
    })

    test('the latest in time, whenever it came, with every field and its session', () =>
      writingTo(on.store, async (writing) => {
        const device = await on.addDevice()
        const latest = { recordedMs: T + 9, lat: -900_000_000, lng: 1_799_999_999, accuracy: INT32_MAX }
        const point = { ...latest, speed: 1, heading: 35_999, altitude: -7, source: 3 }
        writing.send(device, [T + 1, point, T + 5], T)
        await writing.sendOp(device, T, 1, T + 10).stored
        await writing.send(device, [T + 2], T, NOW_MS + 1).stored
        const { newest } = await on.reload(device)
        expect([...newest!.values]).toEqual(row(point))
        expect(newest!.session).toMatchObject({ startedMs: T, status: 'paused' })
        const [record] = await readRecords(on.store.read, [device.id])
        expect(record!.last).toMatchObject({ sessionMs: T, sessionStatus: 'paused' })
        expect([...record!.last!.values]).toEqual(row(point))
      }))

    test('none that was stamped more than 60 s ahead when it came', () =>
      writingTo(on.store, async (writing) => {
        const device = await on.addDevice()
        await writing.send(device, [NOW_MS + 1, NOW_MS + MINUTE_MS, NOW_MS + MINUTE_MS + 1, NOW_MS + HOUR_MS])
          .stored
        for (const known of [device, await on.reload(device)]) {
          expect(known.newest!.values[AT.recordedMs]).toBe(NOW_MS + MINUTE_MS)
        }
        const [record] = await readRecords(on.store.read, [device.id])
        expect(record!.last!.values[AT.recordedMs]).toBe(NOW_MS + MINUTE_MS)
      }))

    test('none that lies behind very many of those, so that a clock that is ahead never costs a read of everything', () =>
      writingTo(on.store, async (writing) => {
        const device = await on.addDevice()
        await writing.send(device, [NOW_MS - 1], NOW_MS - 1).stored
        const addAhead = (count: number, fromMs: number) =>
          on.store.read(
            `insert into points (device_id, session_id, lat, lng, geom, recorded_at, received_at)
             select device_id, session_id, lat, lng, geom, to_timestamp($2::float8 / 1000) + i * interval '1 ms', received_at
             from points, generate_series(1, $3::int) as i
             where device_id = $1::int and recorded_at = to_timestamp($4::float8 / 1000)`,
            [device.id, fromMs, count, NOW_MS - 1],
          )
        await addAhead(NEWEST_ROWS_MAX - 1, NOW_MS + HOUR_MS)
        expect((await on.reload(device)).newest!.values[AT.recordedMs]).toBe(NOW_MS - 1)
        await addAhead(1, NOW_MS + 2 * HOUR_MS)
        expect((await on.reload(device)).newest).toBeNull()
        const [record] = await readRecords(on.store.read, [device.id])
        expect(record!.last).toBeNull()
      }))

    test('the same as the hub that stored it, also in one of very many sessions', () =>
      writingTo(on.store, async (writing) => {
        const device = await on.addDevice()
        for (let i = 0; i < 70; i++) writing.sendOp(device, T + i * MINUTE_MS, 3, T + i * MINUTE_MS)
        // The first session has ended long before the others, and gets the latest point of all.
        await writing.send(forgotten(device), [NOW_MS], T).stored
        const hub = await on.reload(device)
        expect(hub.newest?.values[AT.recordedMs]).toBe(NOW_MS)
      }))
  })

  test('is told from others by its key, and is active as long as it and its user are', async () => {
    const [device, other] = [await on.addDevice(), await on.addDevice()]
    const key = `${device.id}`.padStart(64, '0')
    await writeDeviceKey(on.store.read, device.id, key)
    const isActive = async () => {
      const known = await readCredentials(on.store.read, [other.id, device.id, 2 ** 30])
      expect(known.map(({ id }) => id).sort((a, b) => a - b)).toEqual([device.id, other.id])
      return known.find(({ id }) => id === device.id)!
    }
    expect(await isActive()).toMatchObject({ keyHash: key, isActive: true, userId: device.userId })
    await updateDevice(on.store.read, device.id, { isActive: false })
    expect((await isActive()).isActive).toBe(false)
    await updateDevice(on.store.read, device.id, { isActive: true })
    await on.store.read('update users set is_active = false where id = $1::int', [device.userId])
    expect((await isActive()).isActive).toBe(false)
    await on.store.read('update users set is_active = true where id = $1::int', [device.userId])
    expect((await isActive()).isActive).toBe(true)
    await deleteDevice(on.store.read, device.id)
    expect(await isActive()).toMatchObject({ keyHash: null, isActive: false })
  })

  test('is listed by its user or with everyone’s, page by page, until it is deleted', async () => {
    const devices = await Promise.all(Array.from({ length: 5 }, on.addDevice))
    const ids = devices.map(({ id }) => id).sort((a, b) => a - b)
    const users = devices.map(({ userId }) => userId)
    const read = (...args: [number[] | null, number, number]) => readDeviceIds(on.store.read, ...args)
    const listed = async (...args: Parameters<typeof read>) => (await read(...args)).map(({ id }) => id)
    expect(await listed(null, ids[0]! - 1, 3)).toEqual(ids.slice(0, 3))
    expect(await listed(null, ids[2]!, 3)).toEqual(ids.slice(3))
    expect(await listed(users, 0, 100)).toEqual(ids)
    expect(await listed([devices[1]!.userId], 0, 100)).toEqual([devices[1]!.id])
    expect(await listed([], 0, 100)).toEqual([])
    await deleteDevice(on.store.read, ids[0]!)
    await updateDevice(on.store.read, ids[1]!, { isActive: false })
    expect((await read(users, 0, 3)).map(({ id, isActive }) => [id, isActive])).toEqual([
      [ids[1], false],
      [ids[2], true],
      [ids[3], true],
    ])
  })

  describe('was last seen', () => {
    test('when it was noted last, and never earlier than before', async () => {
      const [device, other] = [await on.addDevice(), await on.addDevice()]
      expect(await lastSeenMs(device)).toBeNull()
      await writeLastSeen(on.store.read, new Map([[device.id, T]]))
      expect([await lastSeenMs(device), await lastSeenMs(other)]).toEqual([T, null])
      await writeLastSeen(
        on.store.read,
        new Map([
          [other.id, T + 2],
          [device.id, T - HOUR_MS],
          [2 ** 30, T],
        ]),
      )
      expect([await lastSeenMs(device), await lastSeenMs(other)]).toEqual([T, T + 2])
      await writeLastSeen(on.store.read, new Map([[device.id, T + 1]]))
      expect(await lastSeenMs(device)).toBe(T + 1)
    })

    test('at the latest of many moments, which are written in one statement', async () => {
      const devices = await Promise.all(Array.from({ length: 3 }, on.addDevice))
      let statements = 0
      const lastSeen = createCoalesced((seen) => {
        statements += 1
        return writeLastSeen(on.store.read, seen)
      })
      await lastSeen.flush()
      expect(statements).toBe(0)
      for (const ms of [T, T + 1, T + 2]) for (const { id } of devices) lastSeen.note(id, ms)
      await lastSeen.flush()
      await lastSeen.flush()
      expect(statements).toBe(1)
      for (const device of devices) expect(await lastSeenMs(device)).toBe(T + 2)
    })

    test('as it was noted before and during an outage of the database', async () => {
      const [device, other] = [await on.addDevice(), await on.addDevice()]
      let isAway = true
      const lastSeen = createCoalesced(async (seen) => {
        if (!isAway) return writeLastSeen(on.store.read, seen)
        lastSeen.note(device.id, T + 1)
        throw Object.assign(new Error('nobody there'), { code: 'ECONNREFUSED' })
      })
      lastSeen.note(device.id, T)
      lastSeen.note(other.id, T)
      await expect(lastSeen.flush()).rejects.toThrow('nobody there')
      isAway = false
      await lastSeen.flush()
      expect([await lastSeenMs(device), await lastSeenMs(other)]).toEqual([T + 1, T])
    })
  })

  test('tells when its newest point was received, against which a clock can be checked', () =>
    writingTo(on.store, async (writing) => {
      const device = await on.addDevice()
      await writing.send(device, [T], null, NOW_MS + 12_345).stored
      expect(await readNewestReceivedMs(on.store.read)).toBe(NOW_MS + 12_345)
    }))
})
