/** The stats socket, seen from an admin. */
import { expect, test } from 'vitest'
import { describeOnEachDatabase } from '../rig/eachDatabase.ts'
import { pointsFrame, STATS } from '../rig/points.ts'
import { welcomedDevice } from '../rig/welcomed.ts'
import { openStats } from '../rig/wire.ts'

describeOnEachDatabase('the stats socket', {}, (on) => {
  test('is for admins only', async () => {
    const user = await on.hub.addUser()
    const socket = await openStats(on.hub.ws, { hello: false })
    socket.send([1, user.token])
    expect((await socket.closed).code).toBe(4503)
  })

  test('sends the figures of /metrics once a second', async () => {
    const admin = await on.hub.addUser({ role: 'admin' })
    const socket = await openStats(on.hub.ws, { token: admin.token })
    const device = await welcomedDevice(on.hub.ws, await on.hub.addDevice(admin))
    device.send(pointsFrame(1, Date.now() - 60_000, 40))
    await device.ack(1)
    while (socket.take(STATS) !== undefined);
    // One may have been on its way when the ACK came.
    await socket.next(STATS)
    const [, told] = await socket.next(STATS)
    const stats = told as Record<string, unknown>
    expect(stats).toMatchObject({
      devices: 1,
      admins: 1,
      pointsReceived: 40,
      pointsStored: 40,
      framesAcknowledged: 1,
      backlogPoints: 0,
    })
    expect(stats.pointsStored).toBe(await on.hub.metric('alzy_points_stored_total'))
    for (const figure of ['batchRows', 'writeMs', 'ackMs']) {
      expect(Object.keys(stats[figure] as object)).toEqual(['count', 'p50', 'p99'])
    }
    for (const figure of [
      'eventLoopLagMs',
      'residentBytes',
      'heapBytes',
      'windowPointsHeld',
      'viewersLive',
    ]) {
      expect(stats[figure], figure).toEqual(expect.any(Number))
    }
    await device.close()
    await socket.close()
  })
})
