/**
 * `npm run dev:db`: a PostgreSQL with PostGIS for a hub under development, made empty each time and gone with Ctrl-C. It
 * knows nothing of the schema: the hub that is started on it makes that.
 */
import { randomBytes } from 'node:crypto'
import { startPostgres } from '../rig/postgres.ts'

const NAME = 'alzy'

const cluster = await startPostgres()
if ('missing' in cluster) {
  process.stderr.write(`There can be no PostgreSQL: ${cluster.missing} (Debian: postgresql-15-postgis-3).\n`)
  process.exit(1)
}
let isEnding = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end())
await cluster.createDatabase(NAME)
process.stdout.write(`
PostgreSQL ${cluster.facts.version.split(' ')[0]}, empty; Ctrl-C here ends and removes it. In another terminal:

  export DATABASE_URL=${cluster.url(NAME)} ALZY_SECRET=${randomBytes(32).toString('hex')}
  npm run dev

`)

/** The terminal tells npm, which tells this process once more. */
async function end(): Promise<void> {
  if (isEnding) return
  isEnding = true
  // The server has heard Ctrl-C as well, and may be gone by now.
  if (!('missing' in cluster)) await cluster.stop()
  process.exit()
}
