/** A database that answers and does not store: read-only, when nothing may be acknowledged, or with a full disk. */
import { execFileSync } from 'node:child_process'
import { chownSync, closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect } from 'vitest'
import { until } from '../rig/until.ts'
import { type Stage, scenario } from './scenario.ts'

const DISK_MB = 24
const disk = mountDisk()

afterAll(() => {
  if (disk === null) return
  execFileSync('umount', [disk])
  rmSync(disk, { recursive: true })
})

scenario(
  {
    fault: 'database read-only, as after a failover to a replica',
    tries: { short: 2, long: 30 },
    database: 'own',
  },
  async (on) => {
    const metric = (name: string) => on.hub.metric(`alzy_${name}_total`)
    const told = pausesOf(on)
    await on.cluster.query('postgres', 'alter system set default_transaction_read_only = on')
    await on.cluster.query('postgres', 'select pg_reload_conf()')
    await until(() => pausesOf(on) > told, 'a device to be told to pause', 30_000)
    await until(async () => (await on.hub.metric('alzy_lanes_away')) === 2, 'both lanes to be away', 30_000)
    const [acks, retries] = [await metric('acks_sent'), await metric('write_retries')]
    await until(
      async () => (await metric('write_retries')) >= retries + 4,
      'both lanes to have tried again',
      30_000,
    )
    expect(await metric('acks_sent')).toBe(acks)
    expect(await metric('points_rejected_database')).toBe(0)
    on.heals()
    await on.cluster.query('postgres', 'alter system reset default_transaction_read_only')
    await on.cluster.query('postgres', 'select pg_reload_conf()')
  },
)

scenario(
  {
    fault: `disk of the database full (a tablespace of ${DISK_MB} MB)`,
    tries: { short: 1, long: 10 },
    database: 'own',
    missing: disk === null ? 'no disk may be mounted here' : null,
    tryMs: 60_000,
  },
  async (on, number) => {
    if (number === 1) await moveToDisk(on)
    const told = pausesOf(on)
    // The rest of the disk, byte by byte: what is left must be too little for the next page.
    fillDisk()
    await until(() => pausesOf(on) > told, 'a device to be told to pause', 60_000)
    const isAway = async () => (await on.hub.metric('alzy_lanes_away')) > 0
    await until(isAway, 'the hub to have met the full disk', 60_000)
    expect(await on.hub.metric('alzy_points_rejected_database_total')).toBe(0)
    on.heals()
    freeDisk()
  },
)

function pausesOf(on: Stage): number {
  return on.devices.reduce((sum, device) => sum + device.counts.pauses, 0)
}

/** null where the system does not let anybody mount. */
function mountDisk(): string | null {
  const folder = mkdtempSync(path.join(tmpdir(), 'alzy-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MB}m`, 'tmpfs', folder], { stdio: 'pipe' })
    return folder
  } catch {
    rmSync(folder, { recursive: true })
    return null
  }
}

async function moveToDisk(on: Stage): Promise<void> {
  const space = path.join(disk!, 'space')
  mkdirSync(space)
  const { uid, gid } = statSync(on.cluster.facts.socketDirectory)
  chownSync(space, uid, gid)
  await on.cluster.query('fault', `create tablespace small location '${space}'`)
  await on.cluster.query('fault', 'alter table points set tablespace small')
}

/** In small pieces at the end, so that no room is left for another page. */
function fillDisk(): void {
  const ballast = openSync(path.join(disk!, 'ballast'), 'w')
  for (let bytes = 1024 * 1024; bytes >= 4096; ) {
    try {
      writeSync(ballast, Buffer.alloc(bytes))
    } catch {
      bytes /= 2
    }
  }
  closeSync(ballast)
}

function freeDisk(): void {
  rmSync(path.join(disk!, 'ballast'))
}
