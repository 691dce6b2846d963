/** The comparison that the fault suite rests on finds each kind of harm, done to a real table behind the hub's back. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openScriptedHub, type Peer } from '../client/scriptedHub.ts'
import { createChance } from './chance.ts'
import { startHub } from './hub.ts'
import { createPostgres, type TestDatabase } from './kinds.ts'
import { compareWithDatabase, type Findings, type Ledger, type Note } from './ledger.ts'
import { ACK, POINTS, WELCOME } from './points.ts'
import { postgresMissing } from './sharedPostgres.ts'
import { until } from './until.ts'
import { startVirtualDevice } from './virtualDevice.ts'

const SEED = Number(process.env.FAULT_SEED)
const ENDED = 3
const HARMLESS = { lost: 0, doubled: 0, altered: 0, missing: 0, examples: [] }
const COLUMNS =
  'device_id, session_id, lat, lng, geom, accuracy, speed, heading, altitude, source, recorded_at, received_at'
/** The point that was stored first. */
const FIRST = 'id = (select min(id) from points)'

describe.skipIf(postgresMissing !== null)(`ledgers (${postgresMissing ?? 'postgresql'})`, () => {
  let database: TestDatabase
  let ledger: Ledger

  beforeAll(async () => {
    database = await createPostgres()
    const hub = await startHub({ database })
    const { id, deviceKey } = await hub.addDevice(await hub.addUser())
    const chance = createChance(SEED, 'ledger')
    const device = startVirtualDevice({ id, deviceKey, url: () => hub.ws, chance })
    ledger = device.ledger
    const isAfterEnd = () => notesAfterEnd().some(({ acknowledgedMs }) => acknowledgedMs !== null)
    await until(isAfterEnd, 'the device to have ended a session and gone on without one', 120_000)
    device.pauseRecording()
    await until(() => device.isSettled(), 'all that was recorded is acknowledged')
    await device.stop()
    expect(await hub.end()).toBe(0)
    for (const table of ['points', 'sessions']) {
      await database.query(`create table kept_${table} as select * from ${table}`)
    }
    // What the hub's table cannot hold is harm as well.
    await database.query('alter table points drop constraint points_device_id_recorded_at_key')
  })

  beforeEach(async () => {
    await database.query('delete from points')
    await database.query('delete from sessions where id not in (select id from kept_sessions)')
    await database.query(
      'update sessions s set status = k.status, ended_at = k.ended_at from kept_sessions k where k.id = s.id',
    )
    await database.query('insert into points overriding system value select * from kept_points')
  })

  afterAll(() => database?.drop())

  const endOf = () => ledger.ops.find(({ op, acknowledgedMs }) => op === ENDED && acknowledgedMs !== null)
  /** Points without a session that were sent when the device knew that one had ended. */
  const notesAfterEnd = () => {
    const endedMs = endOf()?.acknowledgedMs ?? Number.POSITIVE_INFINITY
    return ledger.notes.filter(
      ({ sessionMs, sent: [first] }) => sessionMs === null && first !== undefined && first.atMs > endedMs,
    )
  }
  const compare = (): Promise<Findings> => compareWithDatabase([ledger], database.query)

  test('find nothing where nothing is wrong', async () => {
    const found = await compare()
    expect(found).toMatchObject(HARMLESS)
    expect(found.acknowledged).toBe(ledger.notes.length)
    expect(found.stored).toBe(ledger.notes.length)
  })

  const harms: [string, string, Partial<Findings>][] = [
    ['a row that is gone', `delete from points where ${FIRST}`, { lost: 1 }],
    [
      'a row that is there twice',
      `insert into points (${COLUMNS}) select ${COLUMNS} from points where ${FIRST}`,
      { doubled: 1 },
    ],
    [
      'a latitude that is another by a centimetre',
      `update points set lat = lat - 0.0000001 * case when lat > 0 then 1 else -1 end where ${FIRST}`,
      { altered: 1 },
    ],
    [
      'an accuracy that is another by less than a unit of the wire',
      `update points set accuracy = accuracy + 0.001 where id = (select min(id) from points where accuracy is not null)`,
      { altered: 1 },
    ],
    [
      'a place that is not where the numbers say',
      `update points set geom = st_setsrid(st_makepoint(0.5, 0.5), 4326) where ${FIRST}`,
      { altered: 1 },
    ],
    [
      'a time that nobody recorded',
      `update points set recorded_at = recorded_at - interval '1 year' where ${FIRST}`,
      { lost: 1, altered: 1 },
    ],
  ]
  test.each(harms)('find %s', async (_, statement, expected) => {
    await database.query(statement)
    const { examples, acknowledged: _a, stored: _s, ...found } = await compare()
    expect(examples.length).toBeGreaterThan(0)
    expect(found).toEqual({ lost: 0, doubled: 0, altered: 0, missing: 0, ...expected })
  })

  /** A session of the hub's own that starts so much after the point, with the point in it. */
  const moveTo = (note: Note, afterMs: number) =>
    database.query(
      `with made as (
         insert into sessions (device_id, user_id, started_at, updated_at)
         select device_id, user_id, to_timestamp($1::float8 / 1000), now() from sessions limit 1 returning id
       ), marked as (insert into automatic_sessions select id from made)
       update points set session_id = made.id from made where recorded_at = to_timestamp($2::float8 / 1000)`,
      [note.recordedMs + afterMs, note.recordedMs],
    )

  const places: [string, number, Partial<Findings>][] = [
    ['starts with it', 0, {}],
    ['starts as late as it may', 99, {}],
    ['starts later than it may', 100, { altered: 1 }],
    ['started before, and has no other near', -1, { altered: 1 }],
  ]
  test.each(places)('judge a point without a session in one that %s', async (_, afterMs, expected) => {
    await moveTo(notesAfterEnd()[0]!, afterMs)
    expect(await compare()).toMatchObject({ lost: 0, doubled: 0, altered: 0, missing: 0, ...expected })
  })

  test('find a point without a session in one that had ended', async () => {
    await database.query(
      `update points p set session_id = s.id from sessions s
       where s.started_at = to_timestamp($1::float8 / 1000) and p.recorded_at = to_timestamp($2::float8 / 1000)`,
      [endOf()!.sessionMs, notesAfterEnd()[0]!.recordedMs],
    )
    expect(await compare()).toMatchObject({ lost: 0, doubled: 0, missing: 0, altered: 2 })
  })

  test('find a start that was acknowledged and is not there', async () => {
    const start = { ...endOf()!, op: 0, sessionMs: endOf()!.sessionMs - 1 }
    ledger.ops.push(start)
    expect(await compare()).toMatchObject({ lost: 1, doubled: 0, altered: 0, missing: 0 })
    ledger.ops.pop()
  })

  test('find an end at another moment than the device said', async () => {
    await database.query(`update sessions set ended_at = ended_at + interval '1 ms'`)
    const ends = ledger.ops.filter(({ op }) => op === ENDED)
    expect(await compare()).toMatchObject({ lost: 0, doubled: 0, altered: ends.length, missing: 0 })
  })

  test('find a point that was to be rejected, and was not', async () => {
    const note = ledger.notes[0]!
    note.poison = 4
    expect(await compare()).toMatchObject({ lost: 1, doubled: 0, altered: 0, missing: 0 })
    note.rejection = 4
    expect(await compare()).toMatchObject({ lost: 0, doubled: 0, altered: 1, missing: 0 })
    Object.assign(note, { poison: null, rejection: null })
  })

  test('find a session that goes on although its end was acknowledged', async () => {
    await database.query(`update sessions set status = 'active', ended_at = null`)
    const ends = ledger.ops.filter(({ op }) => op === ENDED)
    expect(await compare()).toMatchObject({ lost: ends.length, doubled: 0, altered: 0, missing: 0 })
  })

  test('find what was sent, not acknowledged, and is not there', async () => {
    const [{ ms }] = (await database.query(
      `delete from points where ${FIRST} returning (extract(epoch from recorded_at) * 1000)::float8 as ms`,
    )) as [{ ms: number }]
    const note = ledger.notes.find(({ recordedMs }) => recordedMs === Number(ms))!
    const { acknowledgedMs } = note
    note.acknowledgedMs = null
    expect(await compare()).toMatchObject({ lost: 0, doubled: 0, altered: 0, missing: 1 })
    note.acknowledgedMs = acknowledgedMs
  })
})

test('a rejection counts only where the acknowledgement comes from', async () => {
  const hub = await openScriptedHub('alzy.device.v1')
  const poison = { values: [900_000_001, 0, null, null, null, null, 0], reason: 1 } as const
  const chance = createChance(SEED, 'poisoned')
  const device = startVirtualDevice({
    id: 1,
    deviceKey: '',
    url: () => hub.url,
    chance,
    poison: () => poison,
  })
  const first = await accept()
  const [, seq] = await nextPoints(first)
  first.say(ACK, Number(seq) - 1, 1_000, [[seq!, 0, poison.reason]])
  await until(() => device.ledger.notes[0]!.rejection !== null, 'the rejection to be heard')
  device.pauseRecording()
  first.cut()
  const second = await accept()
  for (let left = device.ledger.notes.length; left > 0; ) {
    const [, again, , , points] = await nextPoints(second)
    left -= (points as unknown[]).length
    second.say(ACK, again!, 1_000)
  }
  await until(() => device.isSettled(), 'all of it to be acknowledged')
  await device.stop()
  await hub.close()
  const { length } = device.ledger.notes
  expect(await compareWithDatabase([device.ledger], async () => [])).toMatchObject({
    acknowledged: length,
    lost: length,
  })

  async function accept(): Promise<Peer> {
    const peer = await hub.accept()
    peer.say(WELCOME, 1, 1_000, 200, 0, 0, 30)
    return peer
  }

  async function nextPoints(peer: Peer) {
    for (;;) {
      const frame = await peer.next()
      if (frame[0] === POINTS) return frame
    }
  }
})
