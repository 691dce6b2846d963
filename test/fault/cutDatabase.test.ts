/** The line between hub and database is cut or frozen in each state of a batch, the lost reply to a commit among them. */
import { expect } from 'vitest'
import type { Action, CutKind } from '../rig/proxy.ts'
import { until } from '../rig/until.ts'
import { type Stage, scenario } from './scenario.ts'

/** The driver sends the text of a statement once, and Bind with its name afterwards: that is what a batch begins with. */
const BIND = 0x42
/** Among what is bound only points have it: other statements of the hub are as long, and are not tried again by the writer. */
const POINT_SOURCE = '{gps'
const EXECUTE_INSERT = 'INSERT 0 '
/** What the driver ends each statement with, and the server commits at. */
const SYNC = Buffer.from([0x53, 0, 0, 0, 4])

type Ending = CutKind | 'hold'
const ENDINGS: readonly Ending[] = ['fin', 'rst', 'hold']

/** So that a frozen line does not cost the fifteen seconds of the default, and is noticed just the same. */
const ENV = { ALZY_WRITE_TIMEOUT_MS: '2500', ALZY_READ_TIMEOUT_MS: '2500' }

scenario(
  {
    fault: 'reply to the commit lost: stored, and nobody told the hub (FIN, RST, silence)',
    tries: { short: 9, long: 80 },
    proxied: 'database',
    env: ENV,
  },
  async (on, number) => {
    const ending = ENDINGS[number % 3]!
    const duplicates = await on.hub.metric('alzy_points_duplicate_total')
    const before = { ...on.proxy.counts }
    let lost = 0
    on.proxy.hook((way, chunk): Action | undefined => {
      if (way !== 'down' || lost > 0 || !hasInserted(chunk)) return undefined
      lost = chunk.length
      return ending
    })
    await until(() => lost > 0, 'a reply to a commit to be lost')
    on.proxy.hook(null)
    on.heals()
    // What was committed unheard is sent to the database again, and is there already.
    const isRepeated = async () => (await on.hub.metric('alzy_points_duplicate_total')) > duplicates
    await until(isRepeated, 'the hub to write the same again', 30_000)
    expectBroken(on, before, ending)
  },
)

scenario(
  {
    fault: 'line between hub and database cut or frozen at a random byte of a random message, either way',
    tries: { short: 9, long: 90 },
    proxied: 'database',
    env: ENV,
  },
  async (on, number) => {
    const ending = ENDINGS[number % 3]!
    const direction = on.chance.pick(['up', 'down'] as const)
    const retries = await on.hub.metric('alzy_write_retries_total')
    const before = { ...on.proxy.counts }
    let chunksToPass = on.chance.whole(0, 6)
    let batch = 0
    let isBroken = false
    on.proxy.hook((way, chunk, connection): Action | undefined => {
      const isBatch = way === 'up' && chunk[0] === BIND && chunk.includes(POINT_SOURCE)
      if (batch === 0 && isBatch) batch = connection.number
      if (isBroken || connection.number !== batch || way !== direction || chunksToPass-- > 0) return undefined
      isBroken = true
      return { forwardBytes: on.chance.whole(0, chunk.length - 1), afterwards: ending }
    })
    await until(() => isBroken, 'a batch to be broken')
    on.proxy.hook(null)
    on.heals()
    const isNoticed = async () => (await on.hub.metric('alzy_write_retries_total')) > retries
    await until(isNoticed, 'the hub to have met the fault', 30_000)
    expectBroken(on, before, ending)
  },
)

scenario(
  {
    fault:
      'line between hub and database frozen behind a batch: executed, its rows locked, and never to be committed',
    tries: { short: 2, long: 20 },
    proxied: 'database',
    env: ENV,
  },
  async (on) => {
    const retries = await on.hub.metric('alzy_write_retries_total')
    const before = { ...on.proxy.counts }
    let isBroken = false
    on.proxy.hook((way, chunk): Action | undefined => {
      if (isBroken || way !== 'up' || chunk[0] !== BIND || !chunk.includes(POINT_SOURCE)) return undefined
      // A long batch may come in several chunks.
      if (!chunk.subarray(-SYNC.length).equals(SYNC)) return undefined
      isBroken = true
      return { forwardBytes: chunk.length - on.chance.whole(1, SYNC.length), afterwards: 'hold' }
    })
    await until(() => isBroken, 'a batch to be broken')
    on.proxy.hook(null)
    on.heals()
    // The server hears nothing of the end of the connection either: that is held back with the rest.
    await until(() => hasOpenBatch(on), 'the server to wait for the end of the batch')
    const isNoticed = async () => (await on.hub.metric('alzy_write_retries_total')) > retries
    await until(isNoticed, 'the hub to have met the fault', 30_000)
    expectBroken(on, before, 'hold')
  },
)

scenario(
  {
    fault: 'database refuses connections, or swallows everything, for 0.2 to 5 s',
    tries: { short: 2, long: 15 },
    proxied: 'database',
    env: ENV,
  },
  async (on, number) => {
    const pauses = () => on.devices.reduce((sum, device) => sum + device.counts.pauses, 0)
    const [before, told] = [{ ...on.proxy.counts }, pauses()]
    if (number % 2 === 0) on.proxy.freeze()
    else {
      await on.proxy.refuse()
      on.proxy.cut('rst')
    }
    await until(() => pauses() > told, 'a device to be told to pause', 30_000)
    await new Promise((resolve) => setTimeout(resolve, on.chance.whole(200, 5_000)))
    if (number % 2 === 0) expect(on.proxy.counts.heldBytes).toBeGreaterThan(before.heldBytes)
    else expect(on.proxy.counts.cut).toBeGreaterThan(before.cut)
    on.heals()
    on.proxy.thaw()
    await on.proxy.accept()
  },
)

/** The hub writes points with INSERT … and the server ends its answer with how many rows that made. */
function hasInserted(chunk: Buffer): boolean {
  const at = chunk.indexOf(EXECUTE_INSERT)
  return at >= 0 && chunk[at + EXECUTE_INSERT.length] !== 0x30
}

/** Executed, and the server waits for what follows. */
async function hasOpenBatch(on: Stage): Promise<boolean> {
  const [row] = await on.database.query(`
    select count(*)::int as open from pg_stat_activity
    where datname = current_database() and state = 'active' and wait_event = 'ClientRead'
      and query like '%insert into points%'`)
  return row!.open === 1
}

function expectBroken(on: Stage, before: Stage['proxy']['counts'], ending: Ending): void {
  const what = ending === 'hold' ? 'frozen' : 'cut'
  expect(on.proxy.counts[what]).toBeGreaterThan(before[what])
}
