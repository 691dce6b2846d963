/** The last error of each device, as admins see it. */
import { expect, test } from 'vitest'
import { describeOnEachDatabase } from '../rig/eachDatabase.ts'
import { welcomedDevice } from '../rig/welcomed.ts'

const POINTS = 2

describeOnEachDatabase('the last errors', {}, (on) => {
  test('are of devices that did something wrong, the newest of each, for admins only', async () => {
    const admin = await on.hub.addUser({ role: 'admin' })
    const user = await on.hub.addUser()
    const [bad, good] = [await on.hub.addDevice(user), await on.hub.addDevice(user)]
    const fine = await welcomedDevice(on.hub.ws, good)
    fine.send([POINTS, 1, null, Date.now(), [[0, 10, 10]]])
    await fine.ack(1)
    await fine.close()
    const wrong = await welcomedDevice(on.hub.ws, bad)
    wrong.send([POINTS, 1, null, Date.now(), [[0, 2_000_000_000, 10]]])
    await wrong.ack(1)
    const errors = async () => (await on.hub.request('GET', '/v1/errors', undefined, admin.token)).json.errors
    expect(await errors()).toEqual([
      { deviceId: bad.id, at: expect.any(String), message: 'point rejected: coordinate out of range' },
    ])
    wrong.send([POINTS, 1, null, Date.now(), [[0, 10, 10]]])
    expect((await wrong.closed).code).toBe(4400)
    expect(await errors()).toEqual([
      { deviceId: bad.id, at: expect.any(String), message: 'seq went backwards' },
    ])
    expect((await on.hub.request('GET', '/v1/errors', undefined, user.token)).status).toBe(403)
  })
})
