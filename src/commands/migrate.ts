/** `alzy migrate`: brings the database up to date, or tells how far it is. */
import { systemClock } from '../clock.ts'
import { parseConfig } from '../config.ts'
import { migrateDatabase } from '../store/open/store.ts'

export interface MigrateIo {
  env: Readonly<Record<string, string | undefined>>
  stdout: (line: string) => void
  stderr: (line: string) => void
}

/** Resolves with the exit code: with `status` it is 1 while something is pending. */
export async function migrate(options: { status: boolean; json: boolean }, io: MigrateIo): Promise<number> {
  const config = parseConfig(io.env)
  const say = (facts: object, message: string) => io.stderr([message, ...Object.values(facts)].join(' '))
  const log = { info: say, warn: say }
  const migrations = await migrateDatabase(
    { ...config, log, clock: systemClock },
    { statusOnly: options.status },
  )
  if (options.json) io.stdout(JSON.stringify(migrations))
  else {
    for (const { version, name, appliedAt } of migrations) {
      io.stdout(`${String(version).padStart(4, '0')} ${name.padEnd(24)} ${appliedAt ?? 'pending'}`)
    }
  }
  return migrations.some(({ appliedAt }) => appliedAt === null) ? 1 : 0
}
