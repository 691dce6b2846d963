/** The sessions of a device by day, newest first, each a click away from its replay. */
import { useEffect, useMemo } from 'preact/hooks'
import { systemClock } from '../../clock.ts'
import type { SessionJson } from '../../protocol/http.ts'
import { useAsk } from '../hub/useAsk.ts'
import { dayWords, distanceWords, durationWords, timeWords } from '../look/words.ts'
import type { Desk } from './desk.ts'
import { createSessionList, isGoingOn } from './sessionList.ts'

/** A session that goes on is another one by then. */
const LOOK_EVERY_MS = 10_000

export function History({ desk, deviceId }: { desk: Desk; deviceId: number }) {
  const list = useMemo(() => createSessionList(desk.api, deviceId), [desk, deviceId])
  const { isBusy, problem, ask } = useAsk()
  const opened = desk.player.value?.session.id
  const sessions = list.page.value?.sessions
  const hasOpen = sessions?.some(isGoingOn) ?? false

  useEffect(() => {
    ask(list.refresh)
    // A session began, or ended, or all of it may be otherwise after a while without a connection.
    return desk.watch.listen((event) => {
      const isOfIt = event.type === 'session' && event.device.deviceId === deviceId
      if (!isOfIt && event.type !== 'snapshot') return
      if (list.page.peek() === null) ask(list.refresh)
      else list.refresh().catch(ignore)
    })
  }, [desk, deviceId, list])
  useEffect(() => {
    if (!hasOpen) return
    return systemClock.every(LOOK_EVERY_MS, () => list.refresh().catch(ignore))
  }, [hasOpen, list])

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
      {list.page.value !== null && list.page.value.next !== null && (
        <button type="button" class="button" disabled={isBusy} onClick={() => ask(list.older)}>
          Older sessions
        </button>
      )}
    </section>
  )
}

function timesOf({ startedAt, endedAt, status }: SessionJson): string {
  const start = timeWords(Date.parse(startedAt))
  if (status === 'paused') return `${start} – paused`
  return `${start} – ${endedAt === null ? 'now' : timeWords(Date.parse(endedAt))}`
}

function daysOf(sessions: readonly SessionJson[]): { day: string; sessions: SessionJson[] }[] {
  const days = new Map<string, SessionJson[]>()
  for (const session of sessions) {
    const day = dayWords(Date.parse(session.startedAt))
    days.set(day, [...(days.get(day) ?? []), session])
  }
  return [...days].map(([day, ofDay]) => ({ day, sessions: ofDay }))
}

/** The connection says that the hub is away; the next look may find it. */
function ignore(): void {}
