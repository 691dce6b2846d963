/** What devices have sent, read back over HTTP: as other people's parsers understand it, compared with what was sent. */
import { check } from '@placemarkio/check-geojson'
import { gpx } from '@tmcw/togeojson'
import { DOMParser } from '@xmldom/xmldom'
import { parse } from 'csv-parse/sync'
import { beforeAll, describe, expect, test } from 'vitest'
import { describeOnEachDatabase, type HubUnderTest } from '../rig/eachDatabase.ts'
import type { TestDevice, TestUser } from '../rig/hub.ts'
import { POINTS, pointsFrame, SESSION } from '../rig/points.ts'
import { welcomedDevice } from '../rig/welcomed.ts'

const GAP_MS = 60_000
/** So small that every answer here is of several pages. */
const LIMITS = {
  ALZY_PAGE_POINTS_MAX: '10',
  ALZY_SCAN_POINTS_MAX: '25',
  ALZY_SESSION_GAP_MS: String(GAP_MS),
}
const START_MS = Date.UTC(2026, 4, 1, 12, 0, 0, 7)
const NAMESPACE = 'urn:x-alzy:gpx:1'

/** As a device sends it: milliseconds, degrees × 10⁷, centimetres, hundredths of a degree. */
type Sent = [
  ms: number,
  lat: number,
  lng: number,
  accuracy: number | null,
  speed: number | null,
  heading: number | null,
  altitude: number | null,
  source: number,
]

const SOURCES = ['gps', 'network', 'fused', 'manual']
/** The ends of every range, and what is hard to write as text. */
const HARD = (
  [
    [525_200_001, 134_050_003, 1_234, 567, 35_999, -123, 0],
    [1, -1, null, null, null, null, 1],
    [-900_000_000, 1_800_000_000, 0, 0, 0, 0, 2],
    [900_000_000, -1_800_000_000, 2_147_483_647, 2_147_483_647, 1, 2_147_483_647, 3],
    [-7, 1_799_999_999, 1, 1, 9_000, -2_147_483_647, 0],
  ] as const
).map((rest, i): Sent => [START_MS + 40_000 + i * 1_000, ...rest])

function track(count: number, fromMs = START_MS): Sent[] {
  return Array.from({ length: count }, (_, i) => [
    fromMs + i * 1_001,
    525_200_000 + i * 1_000,
    134_050_000 + i * i,
    500 + i,
    i * 10,
    (i * 100) % 36_000,
    i % 3 === 0 ? null : 3_400 + i,
    i % 4,
  ])
}

function shown([ms, lat, lng, accuracy, speed, heading, altitude, source]: Sent) {
  const hundredths = (value: number | null) => (value === null ? null : value / 100)
  return {
    recordedAt: new Date(ms).toISOString(),
    lat: lat / 1e7,
    lng: lng / 1e7,
    accuracy: hundredths(accuracy),
    speed: hundredths(speed),
    heading: hundredths(heading),
    altitude: hundredths(altitude),
    source: SOURCES[source],
  }
}

describeOnEachDatabase('the history', LIMITS, (on) => {
  let alice: TestUser
  let bike: TestDevice
  let sent: Sent[]
  let session: Record<string, unknown>

  beforeAll(async () => {
    alice = await on.hub.addUser()
    bike = await on.hub.addDevice(alice, 'Ann’s <bike> & "co" \u0007')
    const apart = track(5, START_MS + 45_000 + GAP_MS)
    sent = [...track(33), ...HARD, ...apart]
    const endMs = sent.at(-1)![0] + 1_000
    await send(on, bike, [
      [SESSION, 1, START_MS, 0, START_MS],
      framed(2, START_MS, sent.slice(0, 20)),
      framed(3, START_MS, sent.slice(20)),
      [SESSION, 4, START_MS, 3, endMs],
    ])
    const list = await on.hub.request('GET', `/v1/devices/${bike.id}/sessions`, undefined, alice.token)
    expect(list.status).toBe(200)
    session = list.json.sessions[0]
  })

  const get = (place: string, headers: Record<string, string> = {}, token = alice.token) =>
    fetch(on.hub.http + place, { headers: { authorization: `Bearer ${token}`, ...headers } })
  const both = () => [`/v1/sessions/${session.id}/track`, `/v1/devices/${bike.id}/points`]

  test('tells a session with its figures, alone and in the list', async () => {
    const startedAt = new Date(START_MS).toISOString()
    const endedAt = new Date(sent.at(-1)![0] + 1_000).toISOString()
    expect(session).toEqual({
      id: expect.any(Number),
      deviceId: bike.id,
      userId: alice.id,
      status: 'ended',
      automatic: false,
      startedAt,
      endedAt,
      distanceM: expect.any(Number),
      durationS: (Date.parse(endedAt) - START_MS) / 1000,
      pointCount: sent.length,
    })
    // There and back between the poles, and some more.
    expect(session.distanceM).toBeGreaterThan(40_000_000)
    expect(await (await get(`/v1/sessions/${session.id}`)).json()).toEqual(session)
  })

  test('has every point as JSON, exactly as it was sent', async () => {
    const [trackPlace, pointsPlace] = both()
    const expected = sent.map((one) => ({ ...shown(one), sessionId: session.id }))
    const answer = await get(trackPlace!)
    expect(answer.headers.get('content-type')).toBe('application/json')
    expect(await answer.json()).toEqual({ session, points: expected })
    expect(await (await get(`${pointsPlace}?limit=1000`)).json()).toEqual({ points: expected, next: null })
  })

  test('has every point as GeoJSON, with its time', async () => {
    for (const place of both()) {
      const answer = await get(place, { accept: 'application/geo+json' })
      expect(answer.headers.get('content-type')).toBe('application/geo+json')
      const features = check(await answer.text())
      expect(features.type).toBe('FeatureCollection')
      expectSame(pointsOfFeatures(features), sent)
      for (const { geometry } of linesOf(features)) {
        const lngs = geometry.coordinates.map(([lng]) => lng!)
        const jumps = lngs.slice(1).map((lng, i) => Math.abs(lng - lngs[i]!))
        expect(Math.max(0, ...jumps)).toBeLessThanOrEqual(180)
      }
    }
  })

  test('has every point as GPX 1.1, in a segment for each stretch', async () => {
    for (const place of both()) {
      const answer = await get(place, { accept: 'application/gpx+xml' })
      expect(answer.headers.get('content-type')).toBe('application/gpx+xml')
      const problems: string[] = []
      const document = new DOMParser({
        onError: (level, message) => void problems.push(`${level}: ${message}`),
      }).parseFromString(await answer.text(), 'text/xml')
      expect(problems).toEqual([])
      // biome-ignore lint/suspicious/noExplicitAny: two libraries that do not know each other's types
      const [feature] = gpx(document as any).features
      expect(feature!.properties!.name).toBe('Ann’s <bike> & "co" ')
      const { coordinates } = feature!.geometry as { coordinates: number[][][] }
      const { times } = feature!.properties!.coordinateProperties as { times: string[][] }
      expect(coordinates.map((segment) => segment.length)).toEqual([33 + HARD.length, 5])
      expectSame(
        coordinates.flat().map((position, i) => ({ position, time: times.flat()[i]! })),
        // In GPX the antimeridian is −180°.
        sent.map((one) => one.with(2, one[2] === 1_800_000_000 ? -1_800_000_000 : one[2]) as Sent),
      )
      const points = [...document.getElementsByTagName('trkpt')]
      expect(points.map((one) => extensionsOf(one))).toEqual(
        sent
          .map(shown)
          .map(({ speed, heading, accuracy, source }) => ({ speed, course: heading, accuracy, source })),
      )
    }
  })

  test('has every point as CSV', async () => {
    for (const place of both()) {
      const answer = await get(place, { accept: 'text/csv' })
      expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
      expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present')
      const text = await answer.text()
      expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/)
      const rows: Record<string, string>[] = parse(text, { columns: true, record_delimiter: '\r\n' })
      expect(rows).toEqual(
        sent.map(shown).map(({ recordedAt, ...rest }) => ({
          recorded_at: recordedAt,
          ...Object.fromEntries(
            Object.entries(rest).map(([name, value]) => [
              name,
              expect.toSatisfy((text: string) => reads(text, value)),
            ]),
          ),
          session_id: String(session.id),
        })),
      )
    }
  })

  test('chooses the format by the query, else by what Accept likes best', async () => {
    const type = async (query: string, accept: string) => {
      const answer = await get(`/v1/devices/${bike.id}/points${query}`, { accept })
      await answer.text()
      return answer.status === 200 ? answer.headers.get('content-type')!.split(';')[0] : answer.status
    }
    expect(await type('', '*/*')).toBe('application/json')
    expect(await type('', 'text/html, application/xhtml+xml, */*;q=0.8')).toBe('application/json')
    expect(await type('', 'text/*')).toBe('text/csv')
    expect(await type('', 'text/csv;q=0.5, application/gpx+xml;q=0.9')).toBe('application/gpx+xml')
    expect(await type('', 'application/json;q=0, application/geo+json;q=0.1')).toBe('application/geo+json')
    expect(await type('', '*/*;q=0.1, text/csv')).toBe('text/csv')
    expect(await type('?format=gpx', 'text/csv')).toBe('application/gpx+xml')
    expect(await type('?format=csv', 'image/png')).toBe('text/csv')
    expect(await type('', 'image/png')).toBe(406)
    expect(await type('', 'application/json;q=0')).toBe(406)
    const refused = await get(`/v1/sessions/${session.id}/track`, { accept: 'image/png' })
    expect([refused.status, refused.headers.get('content-type')]).toEqual([406, 'application/problem+json'])
  })

  test('gives files a name, and a list none', async () => {
    const named = async (place: string) => {
      const answer = await get(place)
      await answer.text()
      return answer.headers.get('content-disposition')
    }
    for (const format of ['gpx', 'geojson', 'csv']) {
      expect(await named(`/v1/devices/${bike.id}/points?format=${format}`)).toBe(
        `attachment; filename="alzy-device-${bike.id}.${format}"`,
      )
      expect(await named(`/v1/sessions/${session.id}/track?format=${format}`)).toBe(
        `attachment; filename="alzy-session-${session.id}.${format}"`,
      )
    }
    expect(await named(`/v1/devices/${bike.id}/points`)).toBeNull()
  })

  test('answers HEAD with the head alone, and reads nothing for it', async () => {
    const before = await on.hub.metric('alzy_point_pages_total')
    const answer = await fetch(`${on.hub.http}/v1/sessions/${session.id}/track?format=gpx`, {
      method: 'HEAD',
      headers: { authorization: `Bearer ${alice.token}` },
    })
    expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([
      200,
      'application/gpx+xml',
      '',
    ])
    expect(await on.hub.metric('alzy_point_pages_total')).toBe(before)
  })

  test('keeps to the span, the box and the limit that are asked for, in every format', async () => {
    const rows = async (query: string) => {
      const text = await (await get(`/v1/devices/${bike.id}/points?format=csv&${query}`)).text()
      return text
        .split('\r\n')
        .slice(1, -1)
        .map((row) => Date.parse(row.split(',')[0]!))
    }
    const iso = (ms: number) => encodeURIComponent(new Date(ms).toISOString())
    const times = sent.map(([ms]) => ms)
    expect(await rows(`from=${iso(times[5]!)}&to=${iso(times[17]!)}`)).toEqual(times.slice(5, 18))
    expect(await rows(`from=${encodeURIComponent('2026-05-01T14:00:00+02:00')}`)).toEqual(times)
    expect(await rows('limit=12')).toEqual(times.slice(0, 12))
    expect(await rows('bbox=13,52,14,53')).toEqual(
      sent.filter(([, lat]) => lat > 520_000_000 && lat < 530_000_000).map(([ms]) => ms),
    )
    expect(await rows('bbox=179,-90,-179,90')).toEqual(
      sent.filter(([, , lng]) => Math.abs(lng) >= 1_790_000_000).map(([ms]) => ms),
    )
    const simple = await rows('simplify=100')
    expect(simple.length).toBeLessThan(sent.length)
    expect(simple.every((ms) => times.includes(ms))).toBe(true)
    expect([simple[0], simple.at(-1)]).toEqual([times[0], times.at(-1)])
  })

  test('pages by `next` give every point once, while others come in', async () => {
    const device = await on.hub.addDevice(alice)
    const socket = await welcomedDevice(on.hub.ws, device)
    socket.send(pointsFrame(1, START_MS, 100))
    await socket.ack(1)
    const found: number[] = []
    const ahead: number[] = []
    let seq = 1
    for (let next: string | null = null; seq === 1 || next !== null; ) {
      const place: string = `/v1/devices/${device.id}/points?limit=7${next === null ? '' : `&after=${next}`}`
      const page: { points: { recordedAt: string }[]; next: string | null } = await (await get(place)).json()
      found.push(...page.points.map(({ recordedAt }) => Date.parse(recordedAt)))
      next = page.next
      if (seq > 36) continue
      // One behind, one in the page that comes, one at the end.
      const lastMs = found.at(-1)!
      for (const ms of [START_MS + 1 + seq, lastMs + 500, START_MS + 100_000 + seq]) {
        if (ms > lastMs) ahead.push(ms)
        seq += 1
        socket.send(pointsFrame(seq, ms))
      }
      await socket.ack(seq)
    }
    expect(found.length).toBeGreaterThan(110)
    expect(new Set(found).size).toBe(found.length)
    expect(found).toEqual([...found].sort((a, b) => a - b))
    for (let i = 0; i < 100; i++) expect(found).toContain(START_MS + i * 1000)
    for (const ms of ahead) expect(found).toContain(ms)
    await socket.close()
  })

  test('lists sessions in pages, newest first, and those of a span', async () => {
    const device = await on.hub.addDevice(alice)
    const frames = Array.from({ length: 5 }, (_, i) => [
      framed(i * 2 + 1, START_MS + i * 600_000, track(3, START_MS + i * 600_000)),
      [SESSION, i * 2 + 2, START_MS + i * 600_000, 3, START_MS + i * 600_000 + 60_000],
    ]).flat()
    await send(on, device, frames)
    const starts: number[] = []
    for (let after = ''; ; ) {
      const { sessions, next } = await (await get(`/v1/devices/${device.id}/sessions?limit=2${after}`)).json()
      starts.push(
        ...sessions.map(
          ({ startedAt }: { startedAt: string }) => (Date.parse(startedAt) - START_MS) / 600_000,
        ),
      )
      if (next === null) break
      after = `&after=${next}`
    }
    expect(starts).toEqual([4, 3, 2, 1, 0])
    const span = `from=${new Date(START_MS + 630_000).toISOString()}&to=${new Date(START_MS + 1_200_000).toISOString()}`
    const { sessions } = await (await get(`/v1/devices/${device.id}/sessions?${span}`)).json()
    expect(
      sessions.map(({ startedAt }: { startedAt: string }) => (Date.parse(startedAt) - START_MS) / 600_000),
    ).toEqual([2, 1])
  })

  test('sees points that come late for a session that has ended', async () => {
    const device = await on.hub.addDevice(alice)
    await send(on, device, [framed(1, START_MS, track(10)), [SESSION, 2, START_MS, 3, START_MS + 9_009]])
    const ask = async () => (await (await get(`/v1/devices/${device.id}/sessions`)).json()).sessions[0]
    const first = await ask()
    expect(first).toMatchObject({ pointCount: 10, status: 'ended', durationS: 9.009 })
    expect(await ask()).toEqual(first)
    await send(on, device, [
      framed(1, START_MS, [[START_MS + 500, 530_000_000, 134_050_000, null, null, null, null, 0]]),
    ])
    const second = await ask()
    expect(second).toMatchObject({ pointCount: 11, durationS: 9.009, endedAt: first.endedAt })
    expect(second.distanceM).toBeGreaterThan(first.distanceM + 100_000)
    await send(on, device, [
      framed(1, START_MS, [[START_MS + 20_000, 530_000_000, 134_050_000, null, null, null, null, 0]]),
    ])
    expect(await ask()).toMatchObject({ pointCount: 12, durationS: 20 })
  })

  test('shows nobody but admins what another user’s devices have done, whatever is asked', async () => {
    const [bob, admin] = [await on.hub.addUser(), await on.hub.addUser({ role: 'admin' })]
    const device = `/v1/devices/${bike.id}`
    const places = [
      `${device}/sessions`,
      `${device}/points`,
      `${device}/points?format=gpx`,
      `/v1/sessions/${session.id}`,
      `/v1/sessions/${session.id}/track`,
      `/v1/sessions/${session.id}/track?format=csv`,
    ]
    for (const place of places) {
      const status = async (token: string) => {
        const answer = await get(place, {}, token)
        return [answer.status, /Ann|lat|startedAt/.test(await answer.text())]
      }
      expect(await status(bob.token), place).toEqual([404, false])
      expect(await status('nonsense'), place).toEqual([401, false])
      expect((await status(admin.token))[0], place).toBe(200)
      expect((await status(alice.token))[0], place).toBe(200)
      expect((await fetch(on.hub.http + place)).status, place).toBe(401)
    }
    for (const place of [
      '/v1/devices/999999/points',
      '/v1/devices/999999/sessions',
      '/v1/sessions/999999',
      '/v1/sessions/999999/track',
    ]) {
      expect((await get(place)).status, place).toBe(404)
    }
  })

  test('still shows its user the history of a device that is deleted', async () => {
    const device = await on.hub.addDevice(alice)
    await send(on, device, [framed(1, START_MS, track(3)), [SESSION, 2, START_MS, 3, START_MS + 60_000]])
    expect((await on.hub.request('DELETE', `/v1/devices/${device.id}`, undefined, alice.token)).status).toBe(
      204,
    )
    const { sessions } = await (await get(`/v1/devices/${device.id}/sessions`)).json()
    expect(sessions).toMatchObject([{ deviceId: device.id, pointCount: 3 }])
    expect((await (await get(`/v1/sessions/${sessions[0].id}/track`)).json()).points.length).toBe(3)
    expect((await (await get(`/v1/devices/${device.id}/points`)).json()).points.length).toBe(3)
  })

  describe('a question that is wrong is told which field', () => {
    const points = `/v1/devices/1/points`
    test.each([
      ...[
        '',
        'now',
        '2026-05-01',
        '2026-05-01T12:00:00',
        '1777636800000',
        '2026-13-01T00:00:00Z',
        '2026-05-01T12:00:00+02:00',
      ].flatMap((text) => [
        // The + is a blank here, as it is in every query.
        [`${points}?from=${text}`, 'from'],
        [`${points}?to=${text}`, 'to'],
        [`/v1/devices/1/sessions?from=${text}`, 'from'],
        [`/v1/devices/1/sessions?to=${text}`, 'to'],
      ]),
      [`${points}?from=2026-05-02T00:00:00Z&to=2026-05-01T00:00:00Z`, 'to'],
      [`/v1/devices/1/sessions?from=2026-05-02T00:00:00Z&to=2026-05-01T00:00:00Z`, 'to'],
      ...[
        '',
        '1,2,3',
        '1,2,3,4,5',
        'a,b,c,d',
        '1,2,3,NaN',
        '-181,0,0,1',
        '0,0,181,1',
        '0,-91,1,1',
        '0,0,1,91',
        '0,2,1,1',
        '1e2,0,1,1',
        '0,,1,1',
        ' 0,0,1,1',
        'Infinity,0,1,1',
      ].map((text) => [`${points}?bbox=${encodeURIComponent(text)}`, 'bbox']),
      ...['', '0', '-1', 'ten', '1e3', '100001', 'NaN', '0.0000001'].flatMap((text) => [
        [`${points}?simplify=${text}`, 'simplify'],
        [`/v1/sessions/1/track?simplify=${text}`, 'simplify'],
      ]),
      ...['', '0', '-1', '10001', '1.5', 'all', '9999999999999999999999'].map((text) => [
        `${points}?limit=${text}`,
        'limit',
      ]),
      ...['', '0', '201', 'x'].map((text) => [`/v1/devices/1/sessions?limit=${text}`, 'limit']),
      ...['', 'x', '-1', '99999999999999999'].map((text) => [`${points}?after=${text}`, 'after']),
      ...['', 'x', '-1', '1.5'].map((text) => [`/v1/devices/1/sessions?after=${text}`, 'after']),
      ...['', 'xml', 'GPX', 'json '].flatMap((text) => [
        [`${points}?format=${encodeURIComponent(text)}`, 'format'],
        [`/v1/sessions/1/track?format=${encodeURIComponent(text)}`, 'format'],
      ]),
      ...['points?', 'sessions?'].map((place) => [`/v1/devices/1/${place}colour=red`, 'colour']),
      ['/v1/sessions/1/track?limit=1', 'limit'],
      ['/v1/sessions/1?format=json', 'format'],
      ...['0', '-1', 'x', '99999999999', '1.0', '%00'].flatMap((text) => [
        [`/v1/devices/${text}/points`, 'id'],
        [`/v1/devices/${text}/sessions`, 'id'],
        [`/v1/sessions/${text}`, 'id'],
        [`/v1/sessions/${text}/track`, 'id'],
      ]),
      ...['from=2026-05-01T00:00:00Z', 'limit=1', 'bbox=1,1,2,2', 'simplify=1', 'format=csv', 'after=1'].map(
        (text) => [`${points}?${text}&${text}`, text.split('=')[0]!],
      ),
      ['/v1/devices?limit=1&limit=2', 'limit'],
    ])('%s: %s', async (place, field) => {
      const answer = await get(place)
      expect([answer.status, answer.headers.get('content-type')]).toEqual([400, 'application/problem+json'])
      const problem = await answer.json()
      expect(problem).toMatchObject({
        type: 'about:blank',
        title: 'Bad Request',
        status: 400,
        detail: expect.any(String),
      })
      // It may be wrong in more than one way.
      expect(new Set(problem.errors.map((error: { field: string }) => error.field))).toEqual(new Set([field]))
    })
  })
})

async function send(on: HubUnderTest, device: TestDevice, frames: unknown[][]): Promise<void> {
  const socket = await welcomedDevice(on.hub.ws, device)
  for (const frame of frames) socket.send(frame)
  const { rejected } = await socket.ack(frames.at(-1)![1] as number)
  expect(rejected).toEqual([])
  await socket.close()
}

function framed(seq: number, sessionMs: number, points: readonly Sent[]): unknown[] {
  return [POINTS, seq, sessionMs, sessionMs, points.map(([ms, ...rest]) => [ms - sessionMs, ...rest])]
}

interface Read {
  position: readonly number[]
  time: string
}

/** To 10⁻⁷ degrees, a centimetre of altitude, and the millisecond. */
function expectSame(read: readonly Read[], sent: readonly Sent[]): void {
  expect(read.map(({ time }) => Date.parse(time))).toEqual(sent.map(([ms]) => ms))
  read.forEach(({ position: [lng, lat, altitude] }, i) => {
    const [, sentLat, sentLng, , , , sentAltitude] = sent[i]!
    expect(Math.abs(lat! * 1e7 - sentLat)).toBeLessThan(0.5)
    expect(Math.abs(lng! * 1e7 - sentLng)).toBeLessThan(0.5)
    if (sentAltitude === null) expect(altitude).toBeUndefined()
    else expect(altitude).toBeCloseTo(sentAltitude / 100, 3)
  })
}

interface Line {
  geometry: { type: 'LineString'; coordinates: number[][] } | { type: 'Point'; coordinates: number[] }
  properties: { continues: boolean; coordTimes: string[] }
}

function linesOf(collection: unknown) {
  return (collection as { features: Line[] }).features.map(({ geometry, properties }) => ({
    properties,
    geometry: { coordinates: geometry.type === 'Point' ? [geometry.coordinates] : geometry.coordinates },
  }))
}

/** A feature that continues another begins with that one's last position. */
function pointsOfFeatures(collection: unknown): Read[] {
  return linesOf(collection).flatMap(({ geometry, properties }) => {
    expect(properties.coordTimes.length).toBe(geometry.coordinates.length)
    const points = geometry.coordinates.map((position, i) => ({ position, time: properties.coordTimes[i]! }))
    return properties.continues ? points.slice(1) : points
  })
}

function extensionsOf(point: {
  getElementsByTagNameNS: (uri: string, name: string) => Iterable<{ textContent: string | null }>
}) {
  const text = (name: string) => [...point.getElementsByTagNameNS(NAMESPACE, name)][0]?.textContent ?? null
  const number = (name: string) => (text(name) === null ? null : Number(text(name)))
  return {
    speed: number('speed'),
    course: number('course'),
    accuracy: number('accuracy'),
    source: text('source'),
  }
}

function reads(text: string, value: string | number | null | undefined): boolean {
  if (value === null) return text === ''
  return typeof value === 'number' ? Number(text) === value && !text.includes('e') : text === value
}
