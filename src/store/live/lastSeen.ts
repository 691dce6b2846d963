/** When devices were seen last. */
import { column } from '../line/arrays.ts'
import type { Run } from '../line/run.ts'

/** Moves `last_seen_at` forward, never back; in ms, by device. */
export async function writeLastSeen(run: Run, seen: ReadonlyMap<number, number>): Promise<void> {
  // In order of id, so that two hubs never wait for each other.
  const rows = [...seen].sort((a, b) => a[0] - b[0])
  await run(
    `update devices d set last_seen_at = greatest(d.last_seen_at, to_timestamp(u.ms / 1000))
     from unnest($1::int[], $2::float8[]) as u(id, ms) where d.id = u.id`,
    [column(rows, ([id]) => id), column(rows, ([, ms]) => ms)],
  )
}
