/** The viewer socket, seen from a viewer: whom it sees, what it sees, and what becomes of a slow one. */
import { expect, test } from 'vitest'
import { describeOnEachDatabase, type HubUnderTest } from '../rig/eachDatabase.ts'
import type { TestUser } from '../rig/hub.ts'
import {
  BACKFILLED,
  BYE,
  DEVICE,
  ERROR,
  GONE,
  LIVE,
  POINTS,
  PRESENCE,
  point,
  pointsFrame,
  RATE,
  RESYNC,
  SEEN,
  SESSION,
  SESSION_CHANGE,
  SNAP,
  SUB,
  TICK,
} from '../rig/points.ts'
import { until } from '../rig/until.ts'
import { type Device as DeviceSocket, welcomedDevice, welcomedViewer } from '../rig/welcomed.ts'
import { openViewer } from '../rig/wire.ts'

const LIMITS = { ALZY_TICK_MS: '200', ALZY_SNAP_BYTES_MAX: '2048' }
/** Where every frame counts, nobody is to be late, however much else this machine has to do. */
const NEVER_LATE = { ALZY_SEEN_LATE_MS: '60000', ALZY_SEEN_TIMEOUT_MS: '600000' }
type Frame = readonly unknown[]
type Device = readonly unknown[]

async function watcher(on: HubUnderTest, user: TestUser) {
  const viewer = await welcomedViewer(on.hub.ws, { token: user.token })
  viewer.send([SUB])
  return viewer
}

describeOnEachDatabase('a viewer', { ...LIMITS, ...NEVER_LATE }, (on) => {
  const url = () => on.hub.ws

  test('is welcomed as who it is', async () => {
    const user = await on.hub.addUser()
    const viewer = await welcomedViewer(url(), { token: user.token })
    const { userId, role, authExpiresMs } = await viewer.welcome
    expect({ userId, role }).toEqual({ userId: user.id, role: 'user' })
    expect(authExpiresMs).toBeGreaterThan(Date.now())
    await viewer.close()
  })

  test.each([
    ['nonsense', 'nonsense'],
    ['a token of somebody else’s key', 'eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiIxIn0.AAAA'],
  ])('with %s for a token is refused with 4503', async (_, token) => {
    const viewer = await openViewer(url(), { token, hello: false })
    viewer.send([1, token])
    expect((await viewer.closed).code).toBe(4503)
  })

  test('is closed with 4451 when its token expires', async () => {
    const { id } = await on.hub.addUser()
    // Long enough to come with: how short that is depends on the machine.
    let ttlS = 1
    const { viewer, token } = await until(async () => {
      const { json } = await on.hub.request('POST', `/v1/users/${id}/tokens`, { ttlS })
      ttlS *= 2
      return { viewer: await welcomedViewer(url(), { token: json.token }), token: json.token }
    }, 'it to be let in before its token expires')
    expect((await viewer.closed).code).toBe(4451)
    const late = await openViewer(url(), { token, hello: false })
    late.send([1, token])
    expect((await late.closed).code).toBe(4451)
  })

  test('sees its own devices only, whatever it asks for', async () => {
    const [alice, bob] = [await on.hub.addUser(), await on.hub.addUser()]
    const [hers, his] = [await on.hub.addDevice(alice, 'hers'), await on.hub.addDevice(bob, 'his')]
    const viewer = await watcher(on, alice)
    const snapshot = await viewer.snapshot()
    expect(snapshot.map(([id]) => id)).toEqual([hers.id])
    viewer.send([SUB, [bob.id]])
    expect((await viewer.next(ERROR)).slice(0, 2)).toEqual([ERROR, 4403])
    viewer.send([SUB, [], null])
    expect((await viewer.next(ERROR)).slice(0, 2)).toEqual([ERROR, 4403])
    viewer.send([SUB, null, [his.id, hers.id]])
    const narrowed = await viewer.snapshot()
    expect(narrowed.map(([id]) => id)).toEqual([hers.id])

    const [of, from] = [await welcomedDevice(url(), his), await welcomedDevice(url(), hers)]
    for (let seq = 1; seq <= 20; seq++) {
      of.send(pointsFrame(seq, Date.now() + seq))
      from.send(pointsFrame(seq, Date.now() + seq))
    }
    await of.ack(20)
    await from.ack(20)
    await until(() => viewer.frames.filter(([type]) => type === LIVE).length >= 20, '20 live points of hers')
    const seen = new Set(
      viewer.frames.filter(([type]) => (type as number) > SNAP && type !== TICK).map(([, id]) => id),
    )
    expect([...seen]).toEqual([hers.id])
    for (const socket of [of, from, viewer]) await socket.close()
  })

  test('sees every point once and in order, from a snapshot on, while devices write', async () => {
    const user = await on.hub.addUser()
    const device = await on.hub.addDevice(user)
    const socket = await welcomedDevice(url(), device)
    const startMs = Date.now() - 30_000
    const total = 600
    const shown: number[][] = []
    const viewers = []
    for (let i = 0; i < total; i++) {
      socket.send(pointsFrame(i + 1, startMs + i * 10))
      // Viewers come in the middle of it, as they do.
      if (i % 100 === 50) viewers.push(await watcher(on, user))
      if (i % 50 === 0) await socket.ack(i + 1)
    }
    await socket.ack(total)
    const lastMs = startMs + (total - 1) * 10
    for (const viewer of viewers) {
      await until(() => newestOf(viewer.frames, device.id) === lastMs, 'the newest point to be shown')
      shown.push(timesAfterSnapshot(viewer.frames, device.id))
      expectUnbroken(viewer.frames, device.id)
    }
    for (const times of shown) {
      // Without a hole from the snapshot to the last point.
      expect(times.length).toBe((lastMs - times[0]!) / 10 + 1)
    }
    for (const one of [socket, ...viewers]) await one.close()
  })

  test('gets a snapshot larger than a part in several, then the live stream', async () => {
    const user = await on.hub.addUser()
    const devices = []
    for (let i = 0; i < 100; i++)
      devices.push(await on.hub.addDevice(user, `A device with a longer name ${i}`))
    const viewer = await watcher(on, user)
    await until(() => viewer.frames.some(([type, , last]) => type === SNAP && last === true), 'the last part')
    const parts = viewer.frames.filter(([type]) => type === SNAP)
    expect(parts.length).toBeGreaterThan(2)
    expect(parts.map(([, part]) => part)).toEqual(parts.map((_, i) => i))
    const ids = parts.flatMap(([, , , list]) => (list as Device[]).map(([id]) => id))
    expect(ids.sort()).toEqual(devices.map(({ id }) => id).sort())
    const socket = await welcomedDevice(url(), devices[99]!)
    socket.send(pointsFrame(1, Date.now()))
    expect((await viewer.next(LIVE))[1]).toBe(devices[99]!.id)
    for (const one of [socket, viewer]) await one.close()
  })

  test('hears of presence, sessions, new, renamed and deleted devices', async () => {
    const user = await on.hub.addUser()
    const viewer = await watcher(on, user)
    await viewer.snapshot()
    const device = await on.hub.addDevice(user, 'Bike')
    const [, added] = await viewer.next(DEVICE)
    expect((added as Device).slice(0, 4)).toEqual([device.id, user.id, 'Bike', 'blue'])
    await on.hub.request('PATCH', `/v1/devices/${device.id}`, { name: 'Bicycle', color: 'red' }, user.token)
    const [, changed] = await viewer.next(DEVICE)
    expect((changed as Device).slice(2, 4)).toEqual(['Bicycle', 'red'])

    const socket = await welcomedDevice(url(), device)
    const [, id, epoch, n, online] = await viewer.next(PRESENCE)
    expect([id, n, online]).toEqual([device.id, 1, true])
    const startMs = Date.now()
    socket.send([SESSION, 1, startMs, 0, startMs])
    socket.send(pointsFrame(2, startMs, 1, startMs))
    socket.send([SESSION, 3, startMs, 1, startMs + 1])
    socket.send([SESSION, 4, startMs, 3, startMs + 2])
    await socket.ack(4)
    await until(
      () => viewer.frames.some(([type, , , , , , s]) => type === SESSION_CHANGE && s === 'ended'),
      'the end',
    )
    const last = viewer.frames.filter(([type]) => type === SESSION_CHANGE).at(-1)!
    expect(last.slice(5)).toEqual([startMs, 'ended', startMs + 2])
    socket.send([BYE])
    await socket.closed
    await until(() => viewer.frames.some((f) => f[0] === PRESENCE && f[4] === false), 'it to go offline')
    expectUnbroken(viewer.frames, device.id)
    expect(viewer.frames.every((f) => f[0] !== PRESENCE || f[2] === epoch)).toBe(true)

    await on.hub.request('DELETE', `/v1/devices/${device.id}`, undefined, user.token)
    expect(await viewer.next(GONE)).toEqual([GONE, device.id])
    await viewer.close()
  })

  test('gets the last position of an old replay at once, and BACKFILLED for the rest after the commit', async () => {
    const user = await on.hub.addUser()
    const device = await on.hub.addDevice(user)
    const viewer = await watcher(on, user)
    await viewer.snapshot()
    const socket = await welcomedDevice(url(), device)
    const baseMs = Date.UTC(2020, 5, 1)
    socket.send(pointsFrame(1, baseMs, 10))
    const [, , , , , liveMs, points] = await viewer.next(LIVE)
    expect([(liveMs as number) + (points as number[][])[0]![0]!, (points as number[][]).length]).toEqual([
      baseMs + 9000,
      1,
    ])
    await socket.ack(1)
    expect((await viewer.next(BACKFILLED)).slice(4)).toEqual([baseMs, baseMs + 8000])
    // Older than what is shown: nothing of it is live.
    socket.send(pointsFrame(2, baseMs - 60_000, 5))
    await socket.ack(2)
    expect((await viewer.next(BACKFILLED)).slice(4)).toEqual([baseMs - 60_000, baseMs - 56_000])
    expect(viewer.frames.filter(([type]) => type === LIVE).length).toBe(1)
    for (const one of [socket, viewer]) await one.close()
  })

  test('never sees a point from the future as the newest', async () => {
    const user = await on.hub.addUser()
    const device = await on.hub.addDevice(user)
    const viewer = await watcher(on, user)
    await viewer.snapshot()
    const socket = await welcomedDevice(url(), device)
    const now = Date.now()
    socket.send([POINTS, 1, null, now, [point(0), point(3_600_000, 1), point(1000, 2)]])
    await socket.ack(1)
    const live = await viewer.next(LIVE)
    await viewer.next(LIVE)
    expect(live[5]).toBe(now)
    expect(newestOf(viewer.frames, device.id)).toBe(now + 1000)
    viewer.send([RESYNC])
    const list = await viewer.snapshot()
    expect((list[0]![9] as number[])[2]).toBe(now + 1000)
    for (const one of [socket, viewer]) await one.close()
  })

  test('makes its devices send more often as long as it watches', async () => {
    const user = await on.hub.addUser()
    const socket = await welcomedDevice(url(), await on.hub.addDevice(user))
    expect((await socket.next(RATE))[2]).toBe(false)
    const viewer = await watcher(on, user)
    // At most one in ten seconds.
    const [, watchedMs, watched] = await socket.next(RATE)
    expect(watched).toBe(true)
    await viewer.close()
    const [, unwatchedMs, still] = await socket.next(RATE)
    expect(still).toBe(false)
    expect(unwatchedMs as number).toBeGreaterThan(watchedMs as number)
    await socket.close()
  })
})

describeOnEachDatabase(
  'a viewer',
  { ...LIMITS, ALZY_SEEN_LATE_MS: '2000', ALZY_SEEN_TIMEOUT_MS: '60000' },
  (on) => {
    test('that answers late is served snapshots, slows nobody, and comes back to the live stream', async () => {
      const user = await on.hub.addUser()
      const device = await on.hub.addDevice(user)
      const socket = await welcomedDevice(on.hub.ws, device)
      const fast = await watcher(on, user)
      const slow = await watcher(on, user)
      await fast.snapshot()
      await slow.snapshot()
      const demoted = await on.hub.metric('alzy_viewers_demoted_total')
      const returned = await on.hub.metric('alzy_viewers_returned_total')
      slow.answerTicks(false)
      const stop = keepMoving(socket)
      await until(
        async () => (await on.hub.metric('alzy_viewers_demoted_total')) > demoted,
        'the slow one to be demoted',
      )
      const liveBefore = slow.frames.filter(([type]) => type === LIVE).length
      slow.answerTicks(true)
      slow.send([SEEN, slow.frames.filter(([type]) => type === TICK).at(-1)![1]])
      await until(
        async () => (await on.hub.metric('alzy_viewers_returned_total')) > returned,
        'the slow one to return',
      )
      await until(
        () => slow.frames.filter(([type]) => type === LIVE).length > liveBefore + 3,
        'live frames again',
      )
      const lastMs = await stop()
      for (const viewer of [fast, slow]) {
        await until(() => newestOf(viewer.frames, device.id) === lastMs, 'both to show the newest point')
        expectUnbroken(viewer.frames, device.id)
      }
      expect(timesAfterSnapshot(fast.frames, device.id).length).toBeGreaterThan(
        timesAfterSnapshot(slow.frames, device.id).length,
      )
      for (const one of [socket, fast, slow]) await one.close()
    })
  },
)

describeOnEachDatabase(
  'a viewer that stopped',
  // For as long the one that goes on, too, may be busy with something else.
  { ALZY_TICK_MS: '100', ALZY_SEEN_LATE_MS: '300', ALZY_SEEN_TIMEOUT_MS: '6000' },
  (on) => {
    test('is closed with 4402 while another one goes on', async () => {
      const user = await on.hub.addUser()
      const dead = await welcomedViewer(on.hub.ws, { token: user.token })
      const alive = await welcomedViewer(on.hub.ws, { token: user.token })
      dead.answerTicks(false)
      for (const viewer of [dead, alive]) viewer.send([SUB])
      expect((await dead.closed).code).toBe(4402)
      expect(alive.isOpen()).toBe(true)
      await alive.close()
    })
  },
)

describeOnEachDatabase('a right that is withdrawn in the database', {}, (on, kind) => {
  // The embedded database belongs to the hub alone: nobody else can write to it while it runs.
  test.runIf(kind === 'postgresql')(
    'closes the sockets of a user who is deactivated, and of the devices',
    async () => {
      const [user, bystander] = [await on.hub.addUser(), await on.hub.addUser()]
      const device = await welcomedDevice(on.hub.ws, await on.hub.addDevice(user))
      const viewer = await welcomedViewer(on.hub.ws, { token: user.token })
      const other = await welcomedViewer(on.hub.ws, { token: bystander.token })
      await on.database.query('update users set is_active = false where id = $1', [user.id])
      expect((await viewer.closed).code).toBe(4503)
      expect((await device.closed).code).toBe(4503)
      expect(other.isOpen()).toBe(true)
      await other.close()
    },
  )

  test.runIf(kind === 'postgresql')('closes the sockets of an admin who is one no longer', async () => {
    const admin = await on.hub.addUser({ role: 'admin' })
    const viewer = await welcomedViewer(on.hub.ws, { token: admin.token })
    viewer.send([SUB, []])
    await viewer.snapshot()
    await on.database.query(`update users set role = 'user' where id = $1`, [admin.id])
    expect((await viewer.closed).code).toBe(4503)
  })
})

describeOnEachDatabase('an admin', {}, (on: HubUnderTest) => {
  test('may watch everybody, or a user, and hears of everything there', async () => {
    const [admin, alice, bob] = [
      await on.hub.addUser({ role: 'admin' }),
      await on.hub.addUser(),
      await on.hub.addUser(),
    ]
    const [hers, his] = [await on.hub.addDevice(alice), await on.hub.addDevice(bob)]
    const everybody = await welcomedViewer(on.hub.ws, { token: admin.token })
    everybody.send([SUB, []])
    const ofAlice = await welcomedViewer(on.hub.ws, { token: admin.token })
    ofAlice.send([SUB, [alice.id]])
    expect((await everybody.snapshot()).map(([id]) => id).sort()).toEqual([hers.id, his.id].sort())
    expect((await ofAlice.snapshot()).map(([id]) => id)).toEqual([hers.id])
    const socket = await welcomedDevice(on.hub.ws, his)
    socket.send(pointsFrame(1, Date.now()))
    expect((await everybody.next(LIVE))[1]).toBe(his.id)
    await socket.ack(1)
    expect(ofAlice.frames.filter(([type]) => type === LIVE)).toEqual([])
    for (const one of [socket, everybody, ofAlice]) await one.close()
  })
})

/** Sends a point every few milliseconds until told to stop; resolves with the time of the last one. */
function keepMoving(socket: DeviceSocket): () => Promise<number> {
  let seq = 0
  let lastMs = 0
  const timer = setInterval(() => {
    seq += 1
    lastMs = Math.max(lastMs + 1, Date.now())
    socket.send(pointsFrame(seq, lastMs))
  }, 20)
  return async () => {
    clearInterval(timer)
    await socket.ack(seq)
    return lastMs
  }
}

/** The time of the newest point of the device that these frames show. */
function newestOf(frames: readonly Frame[], deviceId: number): number {
  let newest = Number.NEGATIVE_INFINITY
  for (const frame of frames) for (const ms of timesIn(frame, deviceId)) newest = Math.max(newest, ms)
  return newest
}

function timesIn(frame: Frame, deviceId: number): number[] {
  if (frame[0] === LIVE && frame[1] === deviceId) {
    return (frame[6] as number[][]).map(([dtMs]) => (frame[5] as number) + dtMs!)
  }
  if (frame[0] !== SNAP) return []
  const device = (frame[3] as Device[]).find(([id]) => id === deviceId)
  const last = device?.[9] as number[] | null | undefined
  return last ? [last[2]!] : []
}

/** Times as a viewer applies them: the snapshot's, then each newer one. Throws when one is shown twice or late. */
function timesAfterSnapshot(frames: readonly Frame[], deviceId: number): number[] {
  const times: number[] = []
  for (const frame of frames) {
    for (const ms of timesIn(frame, deviceId)) {
      if (frame[0] === LIVE)
        expect(ms, 'live points are newer than everything before').toBeGreaterThan(times.at(-1) ?? 0)
      if (ms > (times.at(-1) ?? 0)) times.push(ms)
    }
  }
  return times
}

/** `(epoch, n)` of a device grows by one from each snapshot on (V2). */
function expectUnbroken(frames: readonly Frame[], deviceId: number): void {
  let held: { epoch: number; n: number } | null = null
  for (const frame of frames) {
    if (frame[0] === SNAP) {
      const device = (frame[3] as Device[]).find(([id]) => id === deviceId)
      if (device) held = { epoch: device[7] as number, n: device[8] as number }
    } else if (
      [LIVE, PRESENCE, SESSION_CHANGE, BACKFILLED].includes(frame[0] as number) &&
      frame[1] === deviceId
    ) {
      const [epoch, n] = [frame[2] as number, frame[3] as number]
      if (held !== null && epoch === held.epoch) expect(n, 'a frame is missing').toBe(held.n + 1)
      else if (held !== null) expect([epoch > held.epoch, n]).toEqual([true, 1])
      held = { epoch, n }
    }
  }
}
