/** The schema after all migrations: every table, column, type and relationship of the seed, under exactly its name. */
import { describe, expect, test } from 'vitest'
import { describeOnEachStore } from '../eachStore.ts'

/** `table: column type, …`, the primary key marked with *. */
const SEED = `
users: *id integer, name varchar, email varchar, role user_role, is_active boolean, providers jsonb,
  created_at timestamptz, updated_at timestamptz, last_login_at timestamptz
devices: *id integer, user_id integer, name varchar, platform device_platform, device_key_hash varchar,
  pairing_token_hash varchar, pairing_expires_at timestamptz, paired_at timestamptz, is_active boolean,
  last_seen_at timestamptz, created_at timestamptz, deleted_at timestamptz, updated_at timestamptz,
  color device_color
sessions: *id integer, device_id integer, user_id integer, status session_status, started_at timestamptz,
  ended_at timestamptz, created_at timestamptz, updated_at timestamptz
points: *id bigint, device_id integer, session_id integer, lat numeric, lng numeric, geom geometry,
  accuracy float8, speed float8, heading float8, altitude float8, source point_source,
  recorded_at timestamptz, received_at timestamptz
spatial_ref_sys: *srid integer, auth_name varchar, auth_srid integer, srtext varchar, proj4text varchar
topology.layer: *topology_id integer, *layer_id integer, schema_name varchar, table_name varchar,
  feature_column varchar, feature_type integer, level integer, child_id integer
topology.topology: *id integer, name varchar, srid integer, precision float8, hasz boolean,
  useslargeids boolean
`
const ENUMS = {
  device_platform: ['android', 'ios', 'web'],
  device_color: ['blue', 'green', 'red', 'yellow', 'purple', 'orange', 'pink', 'gray'],
  session_status: ['active', 'ended', 'paused'],
  user_role: ['user', 'admin'],
  point_source: ['gps', 'network', 'fused', 'manual'],
}
const RELATIONSHIPS = [
  'devices.user_id → users.id',
  'points.device_id → devices.id',
  'points.session_id → sessions.id',
  'sessions.device_id → devices.id',
  'sessions.user_id → users.id',
  'topology.layer.topology_id → topology.topology.id',
]

const tables = SEED.trim()
  .split(/\n(?! )/)
  .map((line) => line.split(/: /) as [string, string])
  .map(([table, columns]) => [table, columns.split(/,\s+/)] as const)

describeOnEachStore('the schema', (on) => {
  test.each(tables)('has the table %s with the columns of the seed', async (table, columns) => {
    const rows = await on.store.read(
      `select a.attname as name, t.typname as type, coalesce(a.attnum = any(i.indkey), false) as is_key
       from pg_attribute a join pg_type t on t.oid = a.atttypid
       left join pg_index i on i.indrelid = a.attrelid and i.indisprimary
       where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped order by a.attnum`,
      [table],
    )
    const names: Record<string, string> = { int4: 'integer', int8: 'bigint', bool: 'boolean' }
    const found = rows.map(({ name, type, is_key }) => {
      return `${is_key ? '*' : ''}${name} ${names[type as string] ?? type}`
    })
    expect(found).toEqual(table === 'topology.topology' ? await topologyColumns(columns) : columns)
  })

  /** The last column of the seed's topology.topology comes with PostGIS 3.6. */
  async function topologyColumns(columns: string[]): Promise<string[]> {
    const [row] = await on.store.read('select postgis_lib_version() as version')
    const [major, minor] = (row!.version as string).split('.').map(Number)
    return major! > 3 || minor! >= 6 ? columns : columns.slice(0, -1)
  }

  test.each(Object.entries(ENUMS))('has the type %s with its values in their order', async (type, values) => {
    const rows = await on.store.read(
      'select enumlabel as value from pg_enum where enumtypid = to_regtype($1) order by enumsortorder',
      [type],
    )
    expect(rows.map(({ value }) => value)).toEqual(values)
  })

  test('has the relationships of the seed', async () => {
    const rows = await on.store.read(
      `select c.conrelid::regclass || '.' || a.attname || ' → ' || c.confrelid::regclass || '.' || f.attname as said
       from pg_constraint c
       join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
       join pg_attribute f on f.attrelid = c.confrelid and f.attnum = c.confkey[1]
       where c.contype = 'f' and c.convalidated and c.conrelid::regclass::text = any($1::varchar[])`,
      [`{${tables.map(([table]) => table).join(',')}}`],
    )
    expect([...new Set(rows.map(({ said }) => (said as string).replaceAll('"', '')))].sort()).toEqual(
      RELATIONSHIPS,
    )
  })

  test('measures degrees to 1e-7, on WGS 84', async () => {
    const rows = await on.store.read(
      `select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
       where attrelid = 'points'::regclass and attname in ('lat', 'lng', 'geom') order by attnum`,
    )
    expect(rows.map(({ name, type }) => `${name} ${type}`)).toEqual([
      'lat numeric(9,7)',
      'lng numeric(10,7)',
      'geom geometry(Point,4326)',
    ])
  })

  describe('does not let anybody store', () => {
    const refused: [string, string, string][] = [
      ['a latitude beyond the pole', 'points', `lat = 90.0000001`],
      ['a longitude beyond the antimeridian', 'points', 'lng = -180.0000001'],
      ['a heading of a full turn', 'points', 'heading = 360'],
      ['a heading that is no number', 'points', `heading = 'NaN'`],
      ['a negative accuracy', 'points', 'accuracy = -0.01'],
      ['an infinite speed', 'points', `speed = 'Infinity'`],
      ['an infinite altitude', 'points', `altitude = '-Infinity'`],
      ['a point of the last century', 'points', `recorded_at = '1999-12-31 23:59:59.999+00'`],
      ['a point without a session', 'points', 'session_id = null'],
      ['an end without a status', 'sessions', 'ended_at = started_at'],
      ['a status without an end', 'sessions', `status = 'ended'`],
      ['an end before the start', 'sessions', `status = 'ended', ended_at = started_at - interval '1 ms'`],
      ['a device key in the clear', 'devices', `device_key_hash = 'alzy_1_secret'`],
      ['a pairing token in the clear', 'devices', `pairing_token_hash = 'secret'`],
    ]
    test.each(refused)('%s', async (_, table, change) => {
      const device = await on.addDevice()
      await on.store.read(
        `with s as (insert into sessions (device_id, user_id, started_at, updated_at)
                    values ($1::int, $2::int, now(), now()) returning id)
         insert into points (device_id, session_id, lat, lng, geom, recorded_at, received_at)
         select $1::int, id, 1, 2, st_setsrid(st_makepoint(2, 1), 4326), now(), now() from s`,
        [device.id, device.userId],
      )
      const column = table === 'devices' ? 'id' : 'device_id'
      const changed = on.store.read(`update ${table} set ${change} where ${column} = $1::int`, [device.id])
      await expect(changed).rejects.toMatchObject({ code: expect.stringMatching(/^23(502|514)$/) })
    })

    test('two users of one address, in whatever case', async () => {
      const add = (email: string) =>
        on.store.read(`insert into users (name, email) values ('x', $1)`, [email])
      await add('Ada@Example.org')
      await expect(add('ada@example.ORG')).rejects.toMatchObject({ code: '23505' })
    })
  })
})
