/** PostgreSQL ends in ways that nobody can prepare for; the hub stays, tells the devices, and goes on by itself. */
import { expect } from 'vitest'
import { signal } from '../rig/processes.ts'
import { until } from '../rig/until.ts'
import { type Stage, scenario } from './scenario.ts'

/** The server's processes that answer the hub. */
async function serversOf(on: Stage): Promise<number[]> {
  const rows = await on.database.query(`select pid from pg_stat_activity where application_name = 'alzy'`)
  return rows.map(({ pid }) => Number(pid))
}

scenario(
  {
    fault:
      'PostgreSQL: kill -9 of every process or of one that serves the hub, an immediate stop, or the end of all connections of the hub',
    tries: { short: 5, long: 50 },
    database: 'own',
  },
  async (on, number) => {
    let before: number[] = []
    const isServed = async () => {
      before = await serversOf(on)
      return before.length > 0
    }
    await until(isServed, 'the hub to be served')
    const way = ['all', 'immediate', 'backends', 'one'][(number - 1) % 4]!
    if (way === 'all') {
      await on.cluster.kill9()
      expect(on.cluster.isRunning()).toBe(false)
      on.heals()
      await on.cluster.start()
    } else if (way === 'immediate') {
      on.heals()
      await on.cluster.restart('immediate')
    } else if (way === 'backends') {
      on.heals()
      await on.database.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'alzy'`,
      )
    } else {
      // The server ends all the others as well, and goes through its log before it lets anybody in again.
      expect(signal(before[0]!, 'SIGKILL')).toBe(true)
      on.heals()
    }
    // A fault between two batches costs the hub no statement: that others serve it now is the proof that it met one.
    const isServedByOthers = async () => {
      const servers = await serversOf(on)
      return servers.length > 0 && !servers.some((pid) => before.includes(pid))
    }
    await until(isServedByOthers, 'the hub to have found its way back', 60_000)
    expect(on.hub.process).toMatchObject({ exitCode: null, signalCode: null })
  },
)

scenario(
  {
    fault: 'kill -9 of the hub and of PostgreSQL together',
    tries: { short: 2, long: 15 },
    database: 'own',
    tryMs: 40_000,
  },
  async (on) => {
    const isHubFirst = on.chance.yes(0.5)
    const both = [on.hub.end('SIGKILL'), on.cluster.kill9()]
    expect((await Promise.all(both))[0]).toBe('SIGKILL')
    expect(on.cluster.isRunning()).toBe(false)
    on.heals()
    if (isHubFirst) await on.startHub(false)
    await on.cluster.start()
    if (!isHubFirst) await on.startHub()
  },
)

scenario(
  {
    fault:
      'PostgreSQL restarts and lets nobody in: starting up for seconds (57P03), or another password (28P01)',
    tries: { short: 2, long: 8 },
    database: 'own',
    tryMs: 60_000,
  },
  async (on, number) => {
    const { cluster } = on
    const rules = await cluster.readFile('pg_hba.conf')
    await cluster.query('postgres', `alter role postgres password 'another'`)
    await cluster.kill9()
    const linesBefore = on.hub.log.length
    const hasHeard = (code: string) => on.hub.log.slice(linesBefore).some((line) => line.code === code)
    if (number % 2 === 1) {
      // It looks for an archive that is slow, and is empty in the end.
      await cluster.writeFile('recovery.signal', '')
      const started = cluster.start(['hot_standby=off', 'restore_command=sleep 2; exit 1'])
      await Promise.all([started, until(() => hasHeard('57P03'), 'the hub to be told to wait', 60_000)])
      on.heals()
    } else {
      await cluster.writeFile('pg_hba.conf', `host fault all all scram-sha-256\n${rules}`)
      await cluster.start()
      await until(() => hasHeard('28P01'), 'the hub to be sent away', 60_000)
      await cluster.writeFile('pg_hba.conf', rules)
      on.heals()
      await cluster.query('postgres', 'select pg_reload_conf()')
    }
    expect(on.hub.process).toMatchObject({ exitCode: null, signalCode: null })
    expect(await on.hub.metric('alzy_points_rejected_database_total')).toBe(0)
  },
)
