/** Points that the hub or the database must refuse, at random places among good ones. */
import { expect } from 'vitest'
import type { Chance } from '../rig/chance.ts'
import type { Values } from '../rig/ledger.ts'
import { until } from '../rig/until.ts'
import { scenario } from './scenario.ts'

const COORDINATE = 1
const FIELD = 4
const DATABASE = 5
/** In a range that only a constraint of this test's database refuses. */
const CURSED_LAT = 123_456_789

function poison(chance: Chance): { values: Values; reason: number } | null {
  if (!chance.yes(0.05)) return null
  return chance.pick<{ values: Values; reason: number }>([
    { values: [900_000_001, 0, null, null, null, null, 0], reason: COORDINATE },
    { values: [0, -1_800_000_001, null, null, null, null, 0], reason: COORDINATE },
    { values: [0, 0, null, null, 36_000, null, 0], reason: FIELD },
    { values: [0, 0, -1, null, null, null, 0], reason: FIELD },
    { values: [CURSED_LAT, chance.whole(-1_000, 1_000), null, null, null, null, 0], reason: DATABASE },
  ])
}

scenario(
  {
    fault: 'poison among good points: rejected with their reason, and the hub killed (-9) in between',
    tries: { short: 3, long: 40 },
    devices: 4,
    device: { poison, pace: { everyMs: [30, 150], points: [1, 40] } },
    env: { ALZY_REFUSED_ROWS_PER_HOUR_MAX: '1000000' },
    prepare: `alter table points add constraint cursed check (lat <> ${CURSED_LAT}::numeric / 10000000)`,
  },
  async (on) => {
    const isRejected = (reason: number) =>
      on.devices.some(({ ledger }) => ledger.notes.some((note) => note.rejection === reason))
    for (const reason of [COORDINATE, FIELD, DATABASE]) {
      await until(() => isRejected(reason), `a point to be rejected for reason ${reason}`, 30_000)
    }
    const refused = await on.hub.metric('alzy_points_rejected_database_total')
    const isRefused = async () => (await on.hub.metric('alzy_points_rejected_database_total')) > refused
    await until(isRefused, 'the database to refuse another one', 30_000)
    expect(await on.hub.end('SIGKILL')).toBe('SIGKILL')
    on.heals()
    await on.startHub()
  },
)
