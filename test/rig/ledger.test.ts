/** The comparison that the fault suite rests on finds each kind of harm, done to a real table behind the hub's back. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createChance } from './chance.ts'
import { startHub } from './hub.ts'
import { createPostgres, type TestDatabase } from './kinds.ts'
import { compareWithDatabase, type Findings, type Ledger } from './ledger.ts'
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
    const hasEnded = () =>
      ledger.ops.some(({ op, acknowledgedMs }) => op === ENDED && acknowledgedMs !== null)
    await until(hasEnded, 'the device to have ended a session', 120_000)
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
    await database.query(
      'update sessions s set status = k.status, ended_at = k.ended_at from kept_sessions k where k.id = s.id',
    )
    await database.query('insert into points overriding system value select * from kept_points')
  })

  afterAll(() => database?.drop())

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
