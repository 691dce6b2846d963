/** The HTTP load of a benchmark, in a process of its own: one address, asked as often as so many connections allow. */
import autocannon from 'autocannon'
import { serveTasks } from '../children.ts'

export type CannonTasks = typeof tasks

export interface Fired {
  requestsPerSecond: number
  p50Ms: number
  p99Ms: number
  megabytesPerSecond: number
  /** Answers that were no 200, and requests without one. */
  failed: number
  answered: number
}

const MEGABYTE = 1_000_000

const tasks = { fire }
serveTasks(tasks)

async function fire(input: {
  url: string
  token: string
  accept: string
  connections: number
  seconds: number
}): Promise<Fired> {
  const { url, token, accept, connections, seconds } = input
  const result = await autocannon({
    url,
    connections,
    duration: seconds,
    headers: { authorization: `Bearer ${token}`, accept },
  })
  return {
    requestsPerSecond: result.requests.total / result.duration,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    megabytesPerSecond: result.throughput.total / result.duration / MEGABYTE,
    failed: result.non2xx + result.errors + result.timeouts,
    answered: result.requests.total,
  }
}
