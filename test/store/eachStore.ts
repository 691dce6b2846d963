/**
 * The same tests on a store of every kind, opened in this process once for all of them; a kind that is missing is
 * skipped by name. It makes users and devices, and reads what was stored; it writes no point.
 */

import { afterAll, beforeAll, describe } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { type Device, deviceOf } from '../../src/core/device.ts'
import type { DeviceColor, DevicePlatform } from '../../src/protocol/messages.ts'
import type { Run } from '../../src/store/line/run.ts'
import { readCredentials } from '../../src/store/live/credentials.ts'
import { openStore, type Store, type StoreOptions } from '../../src/store/open/store.ts'
import { insertDevice } from '../../src/store/people/devices.ts'
import { insertUser } from '../../src/store/people/users.ts'
import { LIMITS, NOW_MS } from '../core/frames.ts'
import { databaseKinds, type TestDatabase } from '../rig/kinds.ts'

export interface StoreUnderTest {
  kind: 'embedded' | 'postgresql'
  store: Store
  database: TestDatabase
  /** A new device of a new user, as a hub holds it that knows nothing of its past. */
  addDevice: () => Promise<Device>
  /** The same device as a hub holds it that has just started. */
  reload: (device: Device) => Promise<Device>
}

export const STORE_LIMITS = {
  writeTimeoutMs: 15_000,
  readTimeoutMs: 10_000,
  readConnections: 2,
  writerLanes: 2,
}

/** `tests` declares tests that use `on`, whose store is open from before the first to after the last of them. */
export function describeOnEachStore(what: string, tests: (on: StoreUnderTest) => void): void {
  for (const kind of databaseKinds) {
    const name = kind.missing === null ? `${what} (${kind.name})` : `${what} (${kind.name}: ${kind.missing})`
    describe.skipIf(kind.missing !== null)(name, () => {
      const on = {
        kind: kind.name,
        addDevice: () => addDevice(on.store.read),
        reload: (device) => reload(on.store.read, device),
      } as StoreUnderTest
      beforeAll(async () => {
        on.database = await kind.create()
        on.store = await openStore(storeOptions(on.database), new AbortController().signal)
      })
      afterAll(async () => {
        await on.store?.close()
        await on.database?.drop()
      })
      tests(on)
    })
  }
}

export function storeOptions(
  database: TestDatabase,
  limits: Partial<StoreOptions['limits']> = {},
): StoreOptions {
  return {
    databaseUrl: database.env.DATABASE_URL ?? null,
    dataDir: database.env.ALZY_DATA_DIR!,
    limits: { ...STORE_LIMITS, ...limits },
    log: { info: () => {}, warn: () => {} },
    clock: { ...systemClock, random: () => 0 },
  }
}

const DEVICES_MAX = 1_000
let users = 0

export async function addDevice(run: Run): Promise<Device> {
  users += 1
  const user = await insertUser(run, { name: 'Ada', email: `store-${users}@example.org`, role: 'user' })
  const profile = { name: 'van', platform: 'android' as DevicePlatform, color: 'green' as DeviceColor }
  const row = await insertDevice(run, { userId: user!.id, ...profile }, DEVICES_MAX)
  if (row === null || row === 'full') throw new Error('there is no room for a device')
  return unknownDevice(row.id, user!.id)
}

/** A device as a hub holds it that knows nothing of its sessions and points. */
export function unknownDevice(id: number, userId: number): Device {
  const profile = { name: 'van', platform: 'android' as DevicePlatform, color: 'green' as DeviceColor }
  return deviceOf({ id, userId, ...profile, lastSeenMs: null, newest: null, sessions: [] }, NOW_MS, LIMITS)
}

/** The same device, whose sessions and points this hub has never heard of. */
export function forgotten(device: Device): Device {
  return unknownDevice(device.id, device.userId)
}

/** The hubs that may have a device next, by what they know of it. */
export const hubs: [string, (on: StoreUnderTest, device: Device) => Promise<Device>][] = [
  ['the same hub', async (_, device) => device],
  ['a hub that was started since', (on, device) => on.reload(device)],
  ['a hub that has never heard of it', async (_, device) => forgotten(device)],
]

async function reload(run: Run, { id }: Device): Promise<Device> {
  const [known] = await readCredentials(run, [id])
  return deviceOf(known!, NOW_MS, LIMITS)
}

export interface StoredPoint {
  id: string
  sessionId: number
  recordedMs: number
  receivedMs: number
  latE7: number
  lngE7: number
}

/** What the database holds of a device, by time. */
export async function pointsOf(run: Run, { id }: Pick<Device, 'id'>): Promise<StoredPoint[]> {
  const rows = await run(
    `select id::text, session_id, (extract(epoch from recorded_at) * 1000)::float8 as recorded_ms,
            (extract(epoch from received_at) * 1000)::float8 as received_ms,
            (lat * 10000000)::int as lat_e7, (lng * 10000000)::int as lng_e7
     from points where device_id = $1::int order by recorded_at`,
    [id],
  )
  return rows.map((row) => ({
    id: row.id as string,
    sessionId: row.session_id as number,
    recordedMs: row.recorded_ms as number,
    receivedMs: row.received_ms as number,
    latE7: row.lat_e7 as number,
    lngE7: row.lng_e7 as number,
  }))
}

export async function timesOf(run: Run, device: Pick<Device, 'id'>): Promise<number[]> {
  return (await pointsOf(run, device)).map((point) => point.recordedMs)
}

export interface StoredSession {
  id: number
  startedMs: number
  status: string
  endedMs: number | null
  automatic: boolean
  /** The first and the last of its points. */
  firstMs: number | null
  lastMs: number | null
}

/** What the database holds of a device's sessions, by start. */
export async function sessionsOf(run: Run, { id }: Pick<Device, 'id'>): Promise<StoredSession[]> {
  const rows = await run(
    `select s.id, s.status, (extract(epoch from s.started_at) * 1000)::float8 as started_ms,
            (extract(epoch from s.ended_at) * 1000)::float8 as ended_ms,
            s.id in (select session_id from automatic_sessions) as automatic,
            (extract(epoch from min(p.recorded_at)) * 1000)::float8 as first_ms,
            (extract(epoch from max(p.recorded_at)) * 1000)::float8 as last_ms
     from sessions s left join points p on p.session_id = s.id
     where s.device_id = $1::int group by s.id order by s.started_at`,
    [id],
  )
  return rows.map((row) => ({
    id: row.id as number,
    startedMs: row.started_ms as number,
    status: row.status as string,
    endedMs: row.ended_ms as number | null,
    automatic: row.automatic as boolean,
    firstMs: row.first_ms as number | null,
    lastMs: row.last_ms as number | null,
  }))
}

export interface StoredLetter {
  reason: number
  sqlstate: string | null
  recordedMs: number
  latE7: number
  sessionMs: number | null
}

/** The dead letters of a device, by time. */
export async function lettersOf(run: Run, { id }: Pick<Device, 'id'>): Promise<StoredLetter[]> {
  const rows = await run(
    `select reason, sqlstate, recorded_ms::float8 as recorded_ms, lat_e7, session_ms::float8 as session_ms
     from rejected_points where device_id = $1::int order by recorded_ms`,
    [id],
  )
  return rows.map((row) => ({
    reason: row.reason as number,
    sqlstate: row.sqlstate as string | null,
    recordedMs: row.recorded_ms as number,
    latE7: row.lat_e7 as number,
    sessionMs: row.session_ms as number | null,
  }))
}
