/**
 * A statement that the server has executed stays open, with its locks, until the message comes that commits it. When
 * the line freezes in between, the server waits for as long as it believes in the connection, which may be for hours:
 * statement_timeout ends with the statement, and a transaction counts as idle only after that message. The same batch,
 * tried again over another line, would wait for its own rows.
 */
import type { Result, Run } from './run.ts'

/**
 * Of this database, role and name, begun $1 seconds ago, and waiting for its client to say more. Statements of ours are
 * single and take a line no longer than that, so nobody waits for this one any more.
 */
const END_ORPHANS = `
select count(*) filter (where pg_terminate_backend(pid))::int as ended
from pg_stat_activity
where datname = current_database() and usename = current_user
  and application_name = current_setting('application_name')
  and state = 'active' and wait_event = 'ClientRead'
  and xact_start < clock_timestamp() - make_interval(secs => $1::float8)`

/** Ends the connections of ours that were given up `afterMs` ago or earlier; resolves with how many. */
export async function endOrphans(run: Run, afterMs: number): Promise<number> {
  const [row]: Result = await run(END_ORPHANS, [afterMs / 1000])
  return row!.ended as number
}
