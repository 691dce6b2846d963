/** Recording: start, pause and end of a session, and where each point is by now. */
import { useEffect, useState } from 'preact/hooks'
import { systemClock } from '../../clock.ts'
import { LinkState } from '../hub/LinkState.tsx'
import { Icon } from '../look/Icon.tsx'
import { useSecond } from '../look/useSecond.ts'
import { countWords, distanceWords, speedWords } from '../look/words.ts'
import { FRESH_MS_MAX } from '../map/freshness.ts'
import type { OpenSession } from './keep.ts'
import type { Recorder, Tally } from './recorder.ts'

const REFUSED = 4503

export function RecordPanel({ recorder, onForget }: { recorder: Recorder; onForget: () => void }) {
  const state = recorder.connection.value
  const session = recorder.session.value
  const isRefused = state.name === 'stopped' && state.code === REFUSED
  return (
    <div class="stack record">
      <div class="row spread">
        <span class="muted">Device {recorder.identity.deviceId}</span>
        <LinkState state={state} onRetry={recorder.retryNow} />
      </div>
      {isRefused ? (
        <div class="sheet stack" role="alert">
          <h1>No longer this device</h1>
          <p>
            The device was removed, or another phone was paired as it. What was recorded and not sent stays
            here.
          </p>
          <button type="button" class="button main" onClick={onForget}>
            Pair this phone anew
          </button>
        </div>
      ) : (
        <>
          <Face recorder={recorder} session={session} />
          <Problems recorder={recorder} />
          <Controls recorder={recorder} session={session} />
          <Account tally={recorder.tally.value} hasSession={session !== null} />
          <p class="small muted" role="status">
            {rateWords(recorder)}
          </p>
          {session === null && recorder.tally.value.held === 0 && <Forget onForget={onForget} />}
        </>
      )}
    </div>
  )
}

function Face({ recorder, session }: { recorder: Recorder; session: OpenSession | null }) {
  const nowMs = useSecond()
  const at = recorder.position.value
  // What was is not what is: without a new position nobody knows how fast it goes.
  const position = at !== null && nowMs - at.recordedMs <= FRESH_MS_MAX ? at : null
  if (session === null) {
    return (
      <div class="sheet face">
        <h1>Ready</h1>
        <p class="muted">Nothing is recorded until you start.</p>
      </div>
    )
  }
  const isPaused = session.status === 'paused'
  return (
    <div class="sheet face" data-status={session.status}>
      <h1>{isPaused ? 'Paused' : 'Recording'}</h1>
      <p class="clock">{clock(nowMs - session.startedMs)}</p>
      <dl class="row spread">
        <div class="cell">
          <dt>Speed</dt>
          <dd>{speedWords(position?.speed ?? null)}</dd>
        </div>
        <div class="cell">
          <dt>Distance</dt>
          <dd>{distanceWords(session.distanceM)}</dd>
        </div>
        <div class="cell">
          <dt>Accuracy</dt>
          <dd>{position?.accuracy == null ? '–' : `± ${Math.round(position.accuracy)} m`}</dd>
        </div>
      </dl>
    </div>
  )
}

function Problems({ recorder }: { recorder: Recorder }) {
  const fault = recorder.fault.value
  const isRecording = recorder.session.value?.status === 'active'
  const { wakeLock } = recorder
  return (
    <div aria-live="polite" class="stack">
      {fault === 'denied' && (
        <p class="notice bad">
          This page may not know where the phone is. Allow the location for it in the settings of the browser,
          then pause and go on.
        </p>
      )}
      {fault === 'unavailable' && (
        <p class="notice">No position just now. Under the open sky there will be one.</p>
      )}
      {recorder.notice.value !== null && <p class="notice">{recorder.notice.value}</p>}
      {isRecording && !wakeLock.isHeld.value && (
        <p class="notice">
          {wakeLock.isPossible ? 'The screen may go dark.' : 'This browser cannot keep the screen on.'} Keep
          this page in sight: behind a dark screen a browser records nothing.
        </p>
      )}
    </div>
  )
}

function Controls({ recorder, session }: { recorder: Recorder; session: OpenSession | null }) {
  if (session === null) {
    return (
      <button type="button" class="button main large" onClick={recorder.start}>
        <Icon name="play" /> Start a session
      </button>
    )
  }
  return (
    <div class="row">
      {session.status === 'active' ? (
        <button type="button" class="button large grow" onClick={recorder.pause}>
          <Icon name="pause" /> Pause
        </button>
      ) : (
        <button type="button" class="button main large grow" onClick={recorder.resume}>
          <Icon name="play" /> Go on
        </button>
      )}
      <EndButton onEnd={recorder.end} />
    </div>
  )
}

const SURE_MS = 4_000

/** An end is final, so it takes two taps. */
function EndButton({ onEnd }: { onEnd: () => void }) {
  const [isSure, setSure] = useState(false)
  useEffect(() => {
    if (!isSure) return
    return systemClock.after(SURE_MS, () => setSure(false))
  }, [isSure])
  return (
    <button
      type="button"
      class="button danger large grow"
      onClick={() => (isSure ? onEnd() : setSure(true))}
      aria-live="polite"
    >
      {!isSure && <Icon name="stop" />} {isSure ? 'Tap again to end' : 'End'}
    </button>
  )
}

function Account({ tally, hasSession }: { tally: Tally; hasSession: boolean }) {
  const { recorded, held, acknowledged, refused } = tally
  return (
    <dl class="account">
      {hasSession && (
        <>
          <Count name="Recorded" value={recorded} meaning="points of this session" />
          <Count name="Acknowledged" value={acknowledged} meaning="safe in the hub's database" />
        </>
      )}
      <Count name="On this phone" value={held} meaning="kept until the hub has them" isWaiting={held > 0} />
      {refused > 0 && (
        <Count name="Refused" value={refused} meaning="the hub will not store these" isWaiting />
      )}
    </dl>
  )
}

function Count({
  name,
  value,
  meaning,
  isWaiting = false,
}: {
  name: string
  value: number
  meaning: string
  isWaiting?: boolean
}) {
  return (
    <div data-waiting={isWaiting}>
      <dt>
        {name} <span class="muted small">{meaning}</span>
      </dt>
      <dd data-count={name}>{countWords(value)}</dd>
    </div>
  )
}

function Forget({ onForget }: { onForget: () => void }) {
  const [isAsked, setAsked] = useState(false)
  if (!isAsked) {
    return (
      <button type="button" class="button plain small" onClick={() => setAsked(true)}>
        Stop being this device
      </button>
    )
  }
  return (
    <div class="row">
      <button type="button" class="button grow" onClick={() => setAsked(false)}>
        Stay
      </button>
      <button type="button" class="button danger grow" onClick={onForget}>
        Forget the key
      </button>
    </div>
  )
}

function rateWords(recorder: Recorder): string {
  if (recorder.connection.value.name !== 'open') return 'Without a connection points are kept on this phone.'
  const { intervalMs, watched } = recorder.rate.value
  const every = `a point every ${Math.max(1, Math.round(intervalMs / 1_000))} s is enough`
  return watched ? `Somebody is watching: ${every}.` : `Nobody is watching: ${every}.`
}

function clock(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  const parts = [Math.floor(seconds / 3_600), Math.floor((seconds % 3_600) / 60), seconds % 60]
  return parts.map((part) => String(part).padStart(2, '0')).join(':')
}
