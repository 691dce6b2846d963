/** What a hub never writes down: coordinates, keys, tokens. */
import { expect, test } from 'vitest'
import { describeOnEachDatabase } from '../rig/eachDatabase.ts'
import { ERROR, HELLO, POINTS, SNAP, SUB } from '../rig/points.ts'
import { welcomedDevice, welcomedViewer } from '../rig/welcomed.ts'
import { openDevice } from '../rig/wire.ts'

/** A place that no other test is at, as every part of the hub would write it. */
const [LAT, LNG] = [481234567, 169876543]
const CANARIES = [String(LAT), String(LNG), '48.1234567', '16.9876543', '48.12', '16.98']

describeOnEachDatabase('the log', { ALZY_LOG_LEVEL: 'trace' }, (on) => {
  test('holds no coordinate, key or token, whatever goes well or wrong', async () => {
    const user = await on.hub.addUser()
    const device = await on.hub.addDevice(user)
    const wrongKey = `alzy_${device.id}_${'W'.repeat(43)}`
    const viewer = await welcomedViewer(on.hub.ws, { token: user.token })
    viewer.send([SUB])
    await viewer.next(SNAP)
    const refused = await openDevice(on.hub.ws, { hello: false })
    refused.send([HELLO, wrongKey])
    await refused.closed
    const socket = await welcomedDevice(on.hub.ws, device)
    const now = Date.now()
    socket.send([
      POINTS,
      1,
      null,
      now,
      [
        [0, LAT, LNG],
        [48 * 3_600_000, LAT, LNG],
        [1, LAT * 10, LNG],
      ],
    ])
    expect((await socket.ack(1)).rejected.length).toBe(2)
    socket.send([POINTS, 2, null, now, [[2, LAT, `${LNG}`]]])
    await socket.next(ERROR)
    await on.hub.request('POST', '/v1/users', { email: user.token, name: device.deviceKey }, user.token)
    await on.hub.end()
    const log = JSON.stringify(on.hub.log)
    expect(log).toContain('"ready"')
    for (const canary of [...CANARIES, user.token, device.deviceKey, wrongKey, device.deviceKey.slice(-43)]) {
      expect(log.includes(canary), 'a secret or a place is in the log').toBe(false)
    }
    await viewer.closed
  })
})
