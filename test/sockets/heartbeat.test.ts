/** D11: an idle client hears from the hub, so that it can tell a quiet hub from a dead line. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startHub, type TestHub } from '../rig/hub.ts'
import { quickestKind, type TestDatabase } from '../rig/kinds.ts'
import { until } from '../rig/until.ts'
import { welcomedDevice, welcomedViewer } from '../rig/welcomed.ts'

/** The least that can be set. */
const HEARTBEAT_S = 8

let database: TestDatabase
let hub: TestHub

beforeAll(async () => {
  database = await quickestKind.create()
  hub = await startHub({ database, env: { ALZY_HEARTBEAT_S: String(HEARTBEAT_S), ALZY_TICK_MS: '60000' } })
})
afterAll(async () => {
  await hub?.end()
  await database?.drop()
})

test('a device and a viewer that say nothing are pinged, and stay when they answer', async () => {
  const user = await hub.addUser()
  const device = await welcomedDevice(hub.ws, await hub.addDevice(user))
  const viewer = await welcomedViewer(hub.ws, { token: user.token })
  expect((await device.welcome).heartbeatS).toBe(HEARTBEAT_S)
  for (const { counts } of [device, viewer]) {
    await until(() => counts.pings > 0, 'a ping of the hub', 3 * HEARTBEAT_S * 1_000)
  }
  for (const one of [device, viewer]) {
    expect(one.isOpen()).toBe(true)
    await one.close()
  }
})
