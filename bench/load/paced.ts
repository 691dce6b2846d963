/** Sending at a steady rate, whatever is answered. What is sent it does not know. */
import { setTimeout as sleep } from 'node:timers/promises'
import { monotonicMs } from '../clock.ts'

/**
 * What is due by the same tick of a timer leaves together. To meet each moment the process would have to keep a processor
 * busy from the first to the last, and the server may need it.
 */
const TICK_MS = 1

/** Calls `send` so many times, `perSecond` of them a second from `startMs` on. Resolves after the last one. */
export async function paced(
  { count, perSecond, startMs = monotonicMs() }: { count: number; perSecond: number; startMs?: number },
  send: (index: number, dueMs: number) => void,
): Promise<void> {
  const dueMs = (index: number) => startMs + (index / perSecond) * 1000
  for (let sent = 0; sent < count; ) {
    for (; sent < count && dueMs(sent) <= monotonicMs(); sent++) send(sent, dueMs(sent))
    if (sent < count) await sleep(Math.max(TICK_MS, dueMs(sent) - monotonicMs()))
  }
}
