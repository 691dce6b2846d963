/** The sessions of a device by day, newest first, each a click away from its replay. */
import { useEffect, useState } from 'preact/hooks'
import type { Session } from '../hub/shapes.ts'
import { useAsk } from '../hub/useAsk.ts'
import { dayWords, distanceWords, durationWords, timeWords } from '../look/words.ts'
import type { Desk } from './desk.ts'

const PAGE_SESSIONS = 30

interface Page {
  sessions: Session[]
  next: string | null
}

export function History({ desk, deviceId }: { desk: Desk; deviceId: number }) {
  const [sessions, setSessions] = useState<Session[] | null>(null)
  const [next, setNext] = useState<string | null>(null)
  const { isBusy, problem, ask } = useAsk()
  const opened = desk.player.value?.session.id

  const load = (after: string | null) =>
    ask(async () => {
      const cursor = after === null ? '' : `&after=${encodeURIComponent(after)}`
      const page = await desk.api.get<Page>(
        `/v1/devices/${deviceId}/sessions?limit=${PAGE_SESSIONS}${cursor}`,
      )
      setSessions((before) => [...(after === null ? [] : (before ?? [])), ...page.sessions])
      setNext(page.next)
    })
  useEffect(() => load(null), [deviceId])
  // A session began, or ended: the list is another one.
  useEffect(
    () =>
      desk.watch.listen((event) => {
        if (event.type === 'session' && event.device.deviceId === deviceId) load(null)
      }),
    [desk, deviceId],
  )

  return (
    <section class="stack history" aria-labelledby="history-title">
      <h2 id="history-title">Sessions</h2>
      {problem !== null && (
        <p class="notice bad" role="alert">
          {problem}
        </p>
      )}
      {sessions?.length === 0 && (
        <p class="muted small">None yet. They appear here as soon as the device has recorded something.</p>
      )}
      {daysOf(sessions ?? []).map(({ day, sessions: ofDay }) => (
        <section key={day} aria-label={day}>
          <h3 class="day row spread">
            <span>{day}</span>
            <span class="muted small">
              {distanceWords(ofDay.reduce((sum, { distanceM }) => sum + distanceM, 0))}
            </span>
          </h3>
          <ul>
            {ofDay.map((session) => (
              <li key={session.id}>
                <button
                  type="button"
                  class="session-row"
                  aria-pressed={session.id === opened}
                  disabled={isBusy}
                  onClick={() => ask(() => desk.openSession(session))}
                >
                  <span class="times">{timesOf(session)}</span>
                  <span class="muted small">
                    {distanceWords(session.distanceM)} · {durationWords(session.durationS)}
                  </span>
                </button>
              </li>
            ))}
          </ul>
        </section>
      ))}
      {next !== null && (
        <button type="button" class="button" disabled={isBusy} onClick={() => load(next)}>
          Older sessions
        </button>
      )}
    </section>
  )
}

function timesOf({ startedAt, endedAt, status }: Session): string {
  const start = timeWords(Date.parse(startedAt))
  if (status === 'paused') return `${start} – paused`
  return `${start} – ${endedAt === null ? 'now' : timeWords(Date.parse(endedAt))}`
}

function daysOf(sessions: readonly Session[]): { day: string; sessions: Session[] }[] {
  const days = new Map<string, Session[]>()
  for (const session of sessions) {
    const day = dayWords(Date.parse(session.startedAt))
    days.set(day, [...(days.get(day) ?? []), session])
  }
  return [...days].map(([day, ofDay]) => ({ day, sessions: ofDay }))
}
