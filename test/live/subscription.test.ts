/** SUB replaces what was subscribed to: from its snapshot on nothing of the old subscription comes any more (V1). */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startHub, type TestHub } from '../rig/hub.ts'
import { quickestKind, type TestDatabase } from '../rig/kinds.ts'
import { LIVE, pointsFrame, SUB } from '../rig/points.ts'
import { welcomedDevice, welcomedViewer } from '../rig/welcomed.ts'

let database: TestDatabase
let hub: TestHub

beforeAll(async () => {
  database = await quickestKind.create()
  hub = await startHub({ database })
})
afterAll(async () => {
  await hub?.end()
  await database?.drop()
})

test('a viewer that narrows its subscription hears no more of the others, and each frame of the rest once', async () => {
  const user = await hub.addUser()
  const [kept, left] = [await hub.addDevice(user), await hub.addDevice(user)]
  const sockets = [await welcomedDevice(hub.ws, kept), await welcomedDevice(hub.ws, left)] as const
  const viewer = await welcomedViewer(hub.ws, { token: user.token })
  // Somebody else goes on with all of them: else nobody would be told, whoever has left.
  const other = await welcomedViewer(hub.ws, { token: user.token })
  other.send([SUB])
  await other.snapshot()
  const told = () => viewer.frames.filter(([type]) => type === LIVE).map(([, deviceId]) => deviceId)
  viewer.send([SUB])
  await viewer.snapshot()
  const nowMs = Date.now()
  sockets[1].send(pointsFrame(1, nowMs))
  await viewer.next(LIVE)

  viewer.send([SUB, null, [kept.id]])
  await viewer.snapshot()
  // The other one first: what it said would have come by the time that this one is heard.
  sockets[1].send(pointsFrame(2, nowMs + 1))
  await sockets[1].ack(2)
  sockets[0].send(pointsFrame(1, nowMs))
  await viewer.next(LIVE)
  await sockets[0].ack(1)
  sockets[0].send(pointsFrame(2, nowMs + 1))
  for (let i = 0; i < 4; i++) await other.next(LIVE)
  await viewer.next(LIVE)
  expect(told()).toEqual([left.id, kept.id, kept.id])
  expect(other.frames.filter(([type]) => type === LIVE).length).toBe(4)
  for (const one of [...sockets, viewer, other]) await one.close()
})
