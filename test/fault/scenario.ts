/**
 * One fault, tried many times under load: devices stream, the fault happens, it heals, everything that was sent has to
 * be acknowledged; at the end every ledger is compared with the table, and a line goes into the report. It knows
 * nothing of the fault itself.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Chance, createChance } from '../rig/chance.ts'
import { startHub, type TestHub, type TestUser } from '../rig/hub.ts'
import { createEmbedded, createPostgres, type TestDatabase } from '../rig/kinds.ts'
import { compareWithDatabase, type Ledger } from '../rig/ledger.ts'
import { freePort } from '../rig/ports.ts'
import { type Postgres, startPostgres } from '../rig/postgres.ts'
import { type FaultProxy, startProxy } from '../rig/proxy.ts'
import { postgresMissing } from '../rig/sharedPostgres.ts'
import { until } from '../rig/until.ts'
import { startVirtualDevice, type VirtualDevice, type VirtualDeviceOptions } from '../rig/virtualDevice.ts'
import { addFailed, addResult, addSkipped } from './result.ts'

export const IS_LONG = process.env.FAULT_LONG === '1'
/** One for the whole run, from the configuration of the runner. */
export const SEED = Number(process.env.FAULT_SEED)

const RECOVERY_MS = 120_000
const SETUP_MS = 300_000

export interface Plan {
  /** As the table says it. */
  fault: string
  /** What the table says of the short form, where that does less. */
  shortFault?: string
  tries: { short: number; long: number }
  devices?: number
  /** `own`: a PostgreSQL of its own, to be hurt; else a database in the one of all tests, or the embedded one. */
  database?: 'shared' | 'own' | 'embedded'
  /** Put a proxy between hub and database, or between devices and hub. */
  proxied?: 'database' | 'devices'
  env?: Record<string, string>
  /** Of all devices, or of each by its number. */
  device?: Partial<VirtualDeviceOptions> | ((i: number) => Partial<VirtualDeviceOptions>)
  /** SQL that is run once the hub has made its tables. */
  prepare?: string
  /** Why the fault cannot be made here, besides the lack of a PostgreSQL. */
  missing?: string | null
  /** Lines of the hub on stderr, or of level error, that belong to the fault. */
  expectedOfHub?: RegExp
  /** How long a single try may take at the most. */
  tryMs?: number
}

export interface Stage {
  /** Of this try, so that what earlier ones chose, and how often, changes nothing. */
  chance: Chance
  /** The one that runs now. */
  hub: TestHub
  /** All that ran, those that were killed included. */
  hubs: TestHub[]
  database: TestDatabase
  /** Whose devices they are. */
  user: TestUser
  /** Only with a database of its own. */
  cluster: Postgres
  /** Only where one was asked for. */
  proxy: FaultProxy
  devices: VirtualDevice[]
  /** What the devices connect with, to make more of the same. */
  keys: { id: number; deviceKey: string }[]
  /** Ledgers that are compared besides those of the devices. */
  ledgers: Ledger[]
  /** Starts another hub in the place of one that ended. */
  startHub: (waitsForReady?: boolean) => Promise<void>
  /** The broken part may run again from now on: recovery is counted from here. Not called where nothing was broken. */
  heals: () => void
  url: () => string
  /** What the attempt has measured itself, and the table says instead of the recoveries. */
  measured: (tookMs: number) => void
}

/** Declares the test. `attempt` breaks something once, asserts that it broke, and makes it whole again. */
export function scenario(plan: Plan, attempt: (on: Stage, number: number) => Promise<void>): void {
  const { database = 'shared', tryMs = 20_000 } = plan
  const fault = IS_LONG ? plan.fault : (plan.shortFault ?? plan.fault)
  const tries = IS_LONG ? plan.tries.long : plan.tries.short
  const missing = plan.missing ?? (database === 'embedded' ? null : postgresMissing)
  const name = missing === null ? fault : `${fault} (${missing})`
  if (missing !== null) addSkipped({ fault, isLong: IS_LONG, skipped: missing })
  describe.skipIf(missing !== null)(name, () => {
    const chance = createChance(SEED, plan.fault)
    const on = { chance, hubs: [], ledgers: [], keys: [], devices: [] } as unknown as Stage
    const recoveriesMs: number[] = []
    const measuredMs: number[] = []
    let healedMs = 0
    let done = 0

    beforeAll(() => setTheStage(on, plan), SETUP_MS)
    afterAll(() => clearTheStage(on), SETUP_MS)

    test(`${tries} times, and nothing acknowledged is lost`, {
      timeout: 2 * RECOVERY_MS + tries * tryMs,
    }, async () => {
      on.heals = () => {
        healedMs = performance.now()
      }
      on.measured = (tookMs) => void measuredMs.push(tookMs)
      const trouble = await play().then(
        () => null,
        (thrown: Error) => thrown,
      )
      const wrongs = wrongsOf(on, plan)
      if (trouble !== null || wrongs.length > 0)
        addFailed({
          fault,
          isLong: IS_LONG,
          failed: `seed ${SEED}, after ${done} tries: ${trouble?.message ?? wrongs[0]}`,
        })
      expect(wrongs, `seed ${SEED}${trouble === null ? '' : `, and ${trouble.message}`}`).toEqual([])
      if (trouble !== null) throw trouble
    })

    async function play(): Promise<void> {
      for (let number = 1; number <= tries; number++) await once(number)
      await finish(on, fault, tries, measuredMs.length > 0 ? measuredMs : recoveriesMs)
    }

    async function once(number: number): Promise<void> {
      on.chance = chance.fork(`try ${number}`)
      await flowing(on)
      await moment(on.chance)
      healedMs = 0
      await attempt(on, number)
      await settled(on)
      if (healedMs > 0) recoveriesMs.push(performance.now() - healedMs)
      done = number
    }
  })
}

async function setTheStage(on: Stage, plan: Plan): Promise<void> {
  const random = on.chance.fork('line').next
  on.database = await openDatabase(on, plan.database ?? 'shared')
  if (plan.proxied === 'database') await proxyTheDatabase(on, random)
  const port = await freePort()
  const env = {
    ALZY_LOG_LEVEL: 'info',
    ALZY_RECONNECT_SPREAD_MS: '300',
    ALZY_PORT: String(port),
    ...plan.env,
  }
  on.startHub = async (waitsForReady = true) => {
    on.hub = await startHub({ database: on.database, env, waitsForReady })
    on.hubs.push(on.hub)
  }
  await on.startHub()
  if (plan.prepare !== undefined) await on.database.query(plan.prepare)
  if (plan.proxied === 'devices') on.proxy = await startProxy({ host: '127.0.0.1', port }, { random })
  const devicePort = plan.proxied === 'devices' ? on.proxy.port : port
  on.url = () => `ws://127.0.0.1:${devicePort}`
  // A hub that is impatient with its database may be so before there is a fault.
  on.user = await until(() => on.hub.addUser(), 'a user to be made')
  for (let i = 0; i < (plan.devices ?? 8); i++) {
    const { id, deviceKey } = await until(() => on.hub.addDevice(on.user), 'a device to be made')
    on.keys.push({ id, deviceKey })
    const chance = on.chance.fork(`device ${i}`)
    const own = typeof plan.device === 'function' ? plan.device(i) : plan.device
    on.devices.push(startVirtualDevice({ id, deviceKey, url: on.url, chance, ...own }))
  }
}

async function openDatabase(on: Stage, kind: NonNullable<Plan['database']>): Promise<TestDatabase> {
  if (kind === 'embedded') return createEmbedded()
  if (kind === 'shared') return createPostgres()
  const started = await startPostgres()
  if ('missing' in started) throw new Error(started.missing)
  on.cluster = started
  await started.createPostgisTemplate()
  await started.createDatabase('fault', 'with_postgis')
  // A password that nobody asks for, unless the scenario makes the server do so.
  const url = new URL(started.url('fault'))
  url.password = 'of-the-hub'
  return {
    env: {
      DATABASE_URL: url.href,
      ALZY_SECRET: 'a secret of the fault suite, thirty-two bytes or more',
    },
    query: (text, parameters) => started.query('fault', text, parameters),
    drop: () => started.stop(),
  }
}

async function proxyTheDatabase(on: Stage, random: () => number): Promise<void> {
  const url = new URL(on.database.env.DATABASE_URL!)
  on.proxy = await startProxy({ host: url.hostname, port: Number(url.port) }, { random })
  url.port = String(on.proxy.port)
  on.database = { ...on.database, env: { ...on.database.env, DATABASE_URL: url.href } }
}

async function clearTheStage(on: Stage): Promise<void> {
  await Promise.all(on.devices.map((device) => device.stop()))
  if (on.hub?.process.exitCode === null && on.hub.process.signalCode === null) await on.hub.end('SIGKILL')
  await on.proxy?.close()
  await on.database?.drop()
}

/** Every device is under way: what follows hits a hub that works. */
async function flowing(on: Stage): Promise<void> {
  const before = on.devices.map((device) => device.counts.acks)
  const isFlowing = () => on.devices.every((device, i) => device.counts.acks > before[i]!)
  await until(isFlowing, 'every device had an ACK', RECOVERY_MS)
}

/** A random moment between two frames: not a wait for anything. */
function moment(chance: Chance): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, chance.whole(0, 250)))
}

/** Everything that was recorded before now is acknowledged, while more is recorded. */
async function settled(on: Stage): Promise<void> {
  const due = on.devices.flatMap(({ ledger }) => ledger.notes.filter((note) => note.acknowledgedMs === null))
  const isSettled = () => {
    while (due.length > 0 && due.at(-1)!.acknowledgedMs !== null) due.pop()
    return due.length === 0
  }
  await until(isSettled, 'all that was recorded is acknowledged', RECOVERY_MS)
}

async function finish(on: Stage, fault: string, tries: number, recoveriesMs: number[]): Promise<void> {
  for (const device of on.devices) device.pauseRecording()
  const isQuiet = () => on.devices.every((device) => device.isSettled())
  await until(isQuiet, 'all that was recorded is acknowledged', RECOVERY_MS)
  await Promise.all(on.devices.map((device) => device.stop()))
  const exit = await on.hub.end()
  const ledgers = [...on.devices.map((device) => device.ledger), ...on.ledgers]
  const found = await compareWithDatabase(ledgers, on.database.query)
  addResult({ fault, tries, seed: SEED, isLong: IS_LONG, recoveriesMs, ...found })
  expect(found, `seed ${SEED}`).toMatchObject({ lost: 0, doubled: 0, altered: 0, missing: 0, examples: [] })
  // A run in which nothing was stored proves nothing.
  expect(found.acknowledged).toBeGreaterThan(tries)
  expect(exit).toBe(0)
}

/** What the hubs did that nothing excuses, as their devices heard it and as they say themselves. */
function wrongsOf({ devices, hubs }: Stage, { expectedOfHub }: Plan): string[] {
  const lines = hubs.flatMap(({ log, stderr }) => [
    ...log.filter(({ level }) => level === 'error' || level === 'fatal').map((line) => JSON.stringify(line)),
    ...stderr().split('\n'),
  ])
  return [
    ...devices.flatMap(({ refusals }) => refusals),
    ...lines.filter((line) => line !== '' && !expectedOfHub?.test(line)),
  ]
}
