/** What was noted is not lost with a hub that is told to end. */
import { expect, test } from 'vitest'
import { describeOnEachDatabase } from '../rig/eachDatabase.ts'
import { welcomedDevice } from '../rig/welcomed.ts'

describeOnEachDatabase('a hub that writes seldom', { ALZY_LAST_SEEN_FLUSH_MS: '600000' }, (on) => {
  test('has written when a device was seen and when its user came, once it has ended', async () => {
    const user = await on.hub.addUser()
    const device = await on.hub.addDevice(user)
    const socket = await welcomedDevice(on.hub.ws, device)
    expect(await on.hub.end()).toBe(0)
    await socket.closed
    const [row] = await on.database.query('select last_seen_at from devices where id = $1::int', [device.id])
    expect(row!.last_seen_at).not.toBeNull()
  })
})
