/** The device socket, seen from a device: what is acknowledged, what is refused, and how it ends. */
import { Encoder } from '@msgpack/msgpack'
import { expect, test } from 'vitest'
import { describeOnEachDatabase } from '../rig/eachDatabase.ts'
import {
  ACK,
  BYE,
  ERROR,
  HELLO,
  PING,
  POINTS,
  PONG,
  point,
  pointsFrame,
  RATE,
  SESSION,
  WELCOME,
} from '../rig/points.ts'
import { until } from '../rig/until.ts'
import { welcomedDevice } from '../rig/welcomed.ts'
import { openDevice, upgradeStatus } from '../rig/wire.ts'

const LIMITS = {
  ALZY_BATCH_POINTS_MAX: '20',
  ALZY_WINDOW_POINTS_MAX: '100',
  ALZY_DEVICES_MAX: '100',
  ALZY_BACKLOG_POINTS_MAX: '20000',
  ALZY_DEVICE_FRAMES_BURST: '300',
  ALZY_DEVICE_FRAMES_PER_S: '1',
}
const pack = (value: unknown) => new Encoder().encode(value)

describeOnEachDatabase('a device', LIMITS, (on) => {
  async function device() {
    const user = await on.hub.addUser()
    const { id, deviceKey } = await on.hub.addDevice(user)
    return { user, id, deviceKey, url: on.hub.ws }
  }

  /** Points in the database, once nothing is on its way there any more, of whatever device. */
  async function storedByNow(): Promise<number> {
    await until(async () => (await on.hub.metric('alzy_backlog_frames')) === 0, 'all to be stored')
    return on.hub.metric('alzy_points_stored_total')
  }

  test('is welcomed with its id, its window and the limits of a frame', async () => {
    const { id, deviceKey, url } = await device()
    const socket = await welcomedDevice(url, { deviceKey })
    const { windowPoints, serverNowMs, ...rest } = await socket.welcome
    expect(rest).toEqual({ deviceId: id, batchPointsMax: 20, frameBytesMax: 32_768, heartbeatS: 60 })
    expect(windowPoints).toBeGreaterThanOrEqual(20)
    expect(windowPoints).toBeLessThanOrEqual(100)
    expect(Math.abs(Date.now() - serverNowMs)).toBeLessThan(60_000)
    await socket.close()
  })

  test('is told at once that nobody watches it', async () => {
    const { deviceKey, url } = await device()
    const socket = await welcomedDevice(url, { deviceKey })
    const [, intervalMs, watched] = await socket.next(RATE)
    expect([typeof intervalMs, watched]).toEqual(['number', false])
    await socket.close()
  })

  test('gets an ACK that covers every frame, and the points are counted as stored', async () => {
    const { deviceKey, url } = await device()
    const before = await storedByNow()
    const socket = await welcomedDevice(url, { deviceKey })
    const baseMs = Date.now() - 100_000
    for (let seq = 1; seq <= 4; seq++) socket.send(pointsFrame(seq * 10, baseMs + seq * 20_000, 20))
    expect((await socket.ack(40)).rejected).toEqual([])
    expect((await on.hub.metric('alzy_points_stored_total')) - before).toBe(80)
    await socket.close()
  })

  test('sends everything again after a reconnect, and it is stored once', async () => {
    const { deviceKey, url } = await device()
    const before = await storedByNow()
    const duplicates = await on.hub.metric('alzy_points_duplicate_total')
    const baseMs = Date.now() - 30_000
    const first = await welcomedDevice(url, { deviceKey })
    first.send(pointsFrame(1, baseMs, 20))
    await first.ack(1)
    first.terminate()
    const second = await welcomedDevice(url, { deviceKey })
    second.send(pointsFrame(1, baseMs, 20))
    expect((await second.ack(1)).rejected).toEqual([])
    expect((await on.hub.metric('alzy_points_stored_total')) - before).toBe(20)
    expect((await on.hub.metric('alzy_points_duplicate_total')) - duplicates).toBe(20)
    await second.close()
  })

  test('has its bad points rejected with their places and reasons, and the rest stored', async () => {
    const { deviceKey, url } = await device()
    const before = await storedByNow()
    const socket = await welcomedDevice(url, { deviceKey })
    const now = Date.now()
    const points = [
      point(0),
      [1, 900_000_001, 0],
      [2, 0, -1_800_000_001],
      [25 * 3_600_000, 0, 0],
      [-now + 1, 0, 0],
      [5, 0, 0, null, null, 36_000],
      [6, 0, 0, -1],
      [7, 0, 0, null, null, null, null, 4],
      point(8),
    ]
    socket.send([POINTS, 7, null, now, points])
    expect((await socket.ack(7)).rejected).toEqual([
      [7, 1, 1],
      [7, 2, 1],
      [7, 3, 2],
      [7, 4, 3],
      [7, 5, 4],
      [7, 6, 4],
      [7, 7, 4],
    ])
    expect((await on.hub.metric('alzy_points_stored_total')) - before).toBe(2)
    await socket.close()
  })

  test('has a frame of an impossible session rejected as a whole', async () => {
    const { deviceKey, url } = await device()
    const socket = await welcomedDevice(url, { deviceKey })
    const now = Date.now()
    socket.send(pointsFrame(1, now, 3, 1_000))
    socket.send([SESSION, 2, now + 48 * 3_600_000, 0, now])
    expect((await socket.ack(2)).rejected).toEqual([
      [1, -1, 3],
      [2, -1, 2],
    ])
    await socket.close()
  })

  test('gets its last ACK after BYE, then a normal close', async () => {
    const { deviceKey, url } = await device()
    const socket = await welcomedDevice(url, { deviceKey })
    socket.send(pointsFrame(1, Date.now(), 20))
    socket.send([BYE])
    expect((await socket.closed).code).toBe(1000)
    expect(socket.frames.some(([type, seq]) => type === ACK && seq === 1)).toBe(true)
  })

  test('gets a PONG with its nonce', async () => {
    const { deviceKey, url } = await device()
    const socket = await welcomedDevice(url, { deviceKey })
    socket.send([PING, 4711, Date.now()])
    expect((await socket.next(PONG)).slice(0, 2)).toEqual([PONG, 4711])
    await socket.close()
  })

  test('that connects twice keeps the newer socket; what the older one sent is committed', async () => {
    const { deviceKey, url } = await device()
    const before = await storedByNow()
    const older = await welcomedDevice(url, { deviceKey })
    older.send(pointsFrame(1, Date.now() - 60_000, 20))
    const newer = await welcomedDevice(url, { deviceKey })
    expect((await older.closed).code).toBe(4409)
    newer.send(pointsFrame(1, Date.now(), 1))
    await newer.ack(1)
    await until(
      async () => (await on.hub.metric('alzy_points_stored_total')) - before === 21,
      'the points of both sockets to be stored',
    )
    await newer.close()
  })

  test('that never says HELLO is closed with 4408, however it drips', async () => {
    const { url } = await device()
    const silent = await openDevice(url, { hello: false })
    expect((await silent.closed).code).toBe(4408)
  })

  test('that goes back in seq is closed with 4400', async () => {
    const { deviceKey, url } = await device()
    const socket = await welcomedDevice(url, { deviceKey })
    socket.send(pointsFrame(5, Date.now()))
    socket.send(pointsFrame(5, Date.now() + 1))
    expect((await socket.closed).code).toBe(4400)
  })

  test('that exceeds its window is closed with 4429', async () => {
    const { deviceKey, url } = await device()
    const before = await on.hub.metric('alzy_windows_exceeded_total')
    const socket = await welcomedDevice(url, { deviceKey })
    // All in one go, so that no ACK can have raised the window before the last of them is read.
    socket.sendTogether(Array.from({ length: 12 }, (_, i) => pointsFrame(i + 1, Date.now() + i * 20_000, 20)))
    expect((await socket.closed).code).toBe(4429)
    expect(await on.hub.metric('alzy_windows_exceeded_total')).toBe(before + 1)
  })

  test('that exceeds its rate is closed with 4429, and reconnecting is no way around', async () => {
    const { deviceKey, url } = await device()
    const before = await on.hub.metric('alzy_device_rates_exceeded_total')
    const socket = await welcomedDevice(url, { deviceKey })
    expect(await sendUntilClosed(socket)).toBeGreaterThan(300)
    const again = await welcomedDevice(url, { deviceKey })
    expect(await sendUntilClosed(again)).toBeLessThan(300)
    expect(await on.hub.metric('alzy_device_rates_exceeded_total')).toBe(before + 2)
  })

  /** Sends as many frames at once as the window takes: one by one a slow hub would be within the rate. */
  async function sendUntilClosed(socket: Awaited<ReturnType<typeof welcomedDevice>>): Promise<number> {
    const closed = socket.closed.then(({ code }) => code)
    const baseMs = Date.now() - 400_000
    let seq = 0
    let { windowPoints } = await socket.welcome
    while (socket.isOpen()) {
      for (let i = 0; i < windowPoints; i++) {
        seq += 1
        socket.send(pointsFrame(seq, baseMs + seq))
      }
      // The frame that goes too far gets no ACK.
      const acked = await Promise.race([socket.ack(seq).catch(() => null), closed.then(() => null)])
      windowPoints = acked?.windowPoints ?? 0
    }
    expect(await closed).toBe(4429)
    return seq
  }

  test.each([
    ['no key at all', 'nonsense'],
    ['a key of no device', `alzy_999999_${'A'.repeat(43)}`],
    ['a wrong key of a device', null],
  ])('with %s is refused with 4503', async (_, key) => {
    const { id, url } = await device()
    const socket = await openDevice(url, { hello: false })
    socket.send([HELLO, key ?? `alzy_${id}_${'A'.repeat(43)}`])
    expect((await socket.closed).code).toBe(4503)
    expect(socket.frames).toEqual([])
  })

  test('that was deleted is closed with 4503 and cannot come back; what it sent before is stored', async () => {
    const { user, id, deviceKey, url } = await device()
    const before = await storedByNow()
    const socket = await welcomedDevice(url, { deviceKey })
    socket.send(pointsFrame(1, Date.now(), 20))
    await socket.ack(1)
    expect((await on.hub.request('DELETE', `/v1/devices/${id}`, undefined, user.token)).status).toBe(204)
    expect((await socket.closed).code).toBe(4503)
    const again = await openDevice(url, { hello: false })
    again.send([HELLO, deviceKey])
    expect((await again.closed).code).toBe(4503)
    expect((await on.hub.metric('alzy_points_stored_total')) - before).toBe(20)
  })

  test('whose key is replaced is closed with 4503, and the new key is welcome', async () => {
    const { user, id, deviceKey, url } = await device()
    const socket = await welcomedDevice(url, { deviceKey })
    const { json } = await on.hub.request('POST', `/v1/devices/${id}/key`, {}, user.token)
    expect((await socket.closed).code).toBe(4503)
    const again = await welcomedDevice(url, { deviceKey: json.deviceKey })
    expect((await again.welcome).deviceId).toBe(id)
    await again.close()
  })

  test.each<[string, Uint8Array]>([
    ['bytes that are no msgpack', Uint8Array.of(0xc1)],
    ['an empty frame', new Uint8Array(0)],
    ['a map', pack({ type: 2 })],
    ['an unknown type', pack([111])],
    ['a second HELLO', pack([HELLO, 'alzy_1_x'])],
    ['a frame of the hub', pack([WELCOME, 1])],
    ['a coordinate that is text', pack([POINTS, 9, null, 0, [[0, '52', 13]]])],
    ['a fraction', pack([POINTS, 9, null, 0, [[0, 52.5, 13]]])],
    ['a point too short', pack([POINTS, 9, null, 0, [[0, 1]]])],
    ['no points', pack([POINTS, 9, null, 0, []])],
    ['more points than a frame may have', pack(pointsFrame(9, 0, 21))],
    ['an op that does not exist', pack([SESSION, 9, 0, 4, 0])],
    ['trailing bytes', Uint8Array.of(...pack([BYE]), 0)],
  ])('that sends %s gets ERROR, then 4500, and nothing else', async (_, bytes) => {
    const { deviceKey, url } = await device()
    const socket = await welcomedDevice(url, { deviceKey })
    await socket.next(RATE)
    const before = socket.frames.length
    socket.sendRaw(bytes)
    expect((await socket.closed).code).toBe(4500)
    const after = socket.frames.slice(before)
    expect(after.map(([type, code]) => [type, code])).toEqual([[ERROR, 4500]])
    const hasSeq = bytes[1] === POINTS || bytes[1] === SESSION
    expect(after[0]![3] ?? null).toBe(hasSeq ? 9 : null)
  })

  test('that sends a text frame is closed with 4500', async () => {
    const { deviceKey, url } = await device()
    const socket = await welcomedDevice(url, { deviceKey })
    socket.sendRaw('[6]')
    expect((await socket.closed).code).toBe(4500)
  })

  test('that sends a frame larger than announced sees 1009 or 1006', async () => {
    const { deviceKey, url } = await device()
    const socket = await welcomedDevice(url, { deviceKey })
    socket.sendRaw(new Uint8Array(32 * 1024 + 1))
    expect([1006, 1009]).toContain((await socket.closed).code)
  })

  test('may send optional types and extra elements, which are ignored', async () => {
    const { deviceKey, url } = await device()
    const socket = await welcomedDevice(url, { deviceKey })
    socket.send([112, { any: 'thing' }])
    socket.send([...pointsFrame(1, Date.now()), { more: [1, 2] }, 'x'])
    await socket.ack(1)
    expect(socket.isOpen()).toBe(true)
    await socket.close()
  })

  test('is refused at the door when it does not speak the protocol', async () => {
    const { ws } = on.hub
    const status = async (path: string, headers: Record<string, string | null>) =>
      (await upgradeStatus(ws + path, headers)).status
    const offer = (name: string) => ({ 'sec-websocket-protocol': name })
    expect(await status('/v1/device', {})).toBe(400)
    expect(await status('/v1/device', offer('alzy.live.v1'))).toBe(400)
    expect(await status('/v2/device', offer('alzy.device.v1'))).toBe(404)
    expect(await status('/v1/device', { connection: null, upgrade: null, 'sec-websocket-key': null })).toBe(
      426,
    )
    expect(await status('/v1/live', { ...offer('alzy.live.v1'), origin: 'https://elsewhere.example' })).toBe(
      403,
    )
    const own = { ...offer('other, alzy.live.v1'), origin: on.hub.http }
    const accepted = await upgradeStatus(`${ws}/v1/live`, own)
    expect([accepted.status, accepted.headers['sec-websocket-protocol']]).toEqual([101, 'alzy.live.v1'])
  })
})
