/**
 * The sessions of one device as they are listed: the newest ones, looked at again as often as somebody asks, and as
 * many older ones behind them as somebody wanted to see. It knows neither the map nor the clock.
 */
import { signal } from '@preact/signals'
import type { SessionJson, SessionsJson } from '../../protocol/http.ts'
import type { Api } from '../hub/api.ts'

const PAGE_SESSIONS = 30

export type SessionList = ReturnType<typeof createSessionList>

export function createSessionList(api: Pick<Api, 'get'>, deviceId: number) {
  /** null: not known yet. */
  const page = signal<SessionsJson | null>(null)
  let asked = 0
  return { page, refresh, older }

  /** Rejects with words for people. */
  async function refresh(): Promise<void> {
    asked += 1
    const mine = asked
    const newest = await read('')
    // A later look knows better.
    if (mine === asked) page.value = withNewest(page.peek(), newest)
  }

  async function older(): Promise<void> {
    const held = page.peek()
    if (held === null || held.next === null) return
    const more = await read(`&after=${encodeURIComponent(held.next)}`)
    page.value = { sessions: [...page.peek()!.sessions, ...more.sessions], next: more.next }
  }

  function read(cursor: string): Promise<SessionsJson> {
    return api.get<SessionsJson>(`/v1/devices/${deviceId}/sessions?limit=${PAGE_SESSIONS}${cursor}`)
  }
}

/** The newest page in front of what is held that is older than all of it. */
export function withNewest(held: SessionsJson | null, newest: SessionsJson): SessionsJson {
  const last = newest.sessions.at(-1)
  if (held === null || last === undefined) return newest
  const older = held.sessions.filter(({ startedAt }) => Date.parse(startedAt) < Date.parse(last.startedAt))
  if (older.length === 0) return newest
  return { sessions: [...newest.sessions, ...older], next: held.next }
}

/** Its figures grow. */
export function isGoingOn({ status }: SessionJson): boolean {
  return status !== 'ended'
}
