/** A hub that stands still for longer than it would wait for anybody: what came meanwhile has come in time. */
import { expect, test } from 'vitest'
import { describeOnEachDatabase } from '../rig/eachDatabase.ts'
import { SEEN, TICK } from '../rig/points.ts'
import { signal, stateOf } from '../rig/processes.ts'
import { until } from '../rig/until.ts'
import { openDevice, openStats, openViewer } from '../rig/wire.ts'

/** Longer than every patience below. */
const STILL_MS = 4_500
const PATIENCE = {
  ALZY_HELLO_TIMEOUT_MS: '2500',
  ALZY_TICK_MS: '500',
  ALZY_SEEN_LATE_MS: '1000',
  ALZY_SEEN_TIMEOUT_MS: '2500',
}
const EACH = 5

describeOnEachDatabase('a hub that was stopped', PATIENCE, (on) => {
  /** `meanwhile` is done while the hub stands still. */
  async function whileStopped(meanwhile: () => void): Promise<void> {
    const pid = on.hub.process.pid!
    signal(pid, 'SIGSTOP')
    await until(() => stateOf(pid)?.startsWith('T'), 'the hub stands still')
    const stoppedMs = performance.now()
    meanwhile()
    await until(() => performance.now() - stoppedMs > STILL_MS, 'it has stood still for long')
    expect(stateOf(pid)).toMatch(/^T/)
    signal(pid, 'SIGCONT')
  }

  test.each([
    { who: 'viewers', open: openViewer, role: 'user' },
    { who: 'admins', open: openStats, role: 'admin' },
  ] as const)('keeps $who whose SEEN it reads late', async ({ open, role }) => {
    const user = await on.hub.addUser({ role })
    const sockets = await Promise.all(
      Array.from({ length: EACH }, () => open(on.hub.ws, { token: user.token, answersTicks: false })),
    )
    const ticks = await Promise.all(sockets.map((socket) => socket.next(TICK)))
    await whileStopped(() => {
      sockets.forEach((socket, i) => {
        socket.send([SEEN, ticks[i]![1]])
      })
    })
    // Nobody is asked again who has not answered.
    const asked = await Promise.all(
      sockets.map((socket) =>
        Promise.race([socket.next(TICK).then(() => 'again'), socket.closed.then(({ code }) => code)]),
      ),
    )
    expect(asked).toEqual(sockets.map(() => 'again'))
    for (const socket of sockets) await socket.close()
  })

  test('welcomes whoever said HELLO in time', async () => {
    const user = await on.hub.addUser({ role: 'admin' })
    const device = await on.hub.addDevice(user)
    const sockets = [
      { socket: await openDevice(on.hub.ws), credential: device.deviceKey },
      { socket: await openViewer(on.hub.ws), credential: user.token },
      { socket: await openStats(on.hub.ws), credential: user.token },
    ]
    await whileStopped(() => {
      for (const { socket, credential } of sockets) socket.send([1, credential, 'stopped', Date.now()])
    })
    const answered = await Promise.all(
      sockets.map(({ socket }) =>
        Promise.race([socket.welcome.then(() => 'welcome'), socket.closed.then(({ code }) => code)]),
      ),
    )
    expect(answered).toEqual(['welcome', 'welcome', 'welcome'])
    for (const { socket } of sockets) await socket.close()
  })

  test('closes those that say nothing, once it attends to them again', async () => {
    const socket = await openViewer(on.hub.ws)
    await whileStopped(() => {})
    expect((await socket.closed).code).toBe(4408)
  })
})
