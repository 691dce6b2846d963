/** A session on a time slider, with its speed behind it, and ways to take it home. */
import { useEffect, useMemo, useRef } from 'preact/hooks'
import { useAsk } from '../hub/useAsk.ts'
import { Icon } from '../look/Icon.tsx'
import { clockWords, dayWords, distanceWords, speedWords } from '../look/words.ts'
import type { Desk } from './desk.ts'
import { PLAY_SPEEDS, type Player } from './player.ts'

const TRACK_FORMATS = ['gpx', 'geojson', 'csv']
const PARTS = 120
const PART_HEIGHT = 36

export function ReplayBar({ desk, player }: { desk: Desk; player: Player }) {
  const { replay, session } = player
  const timeMs = player.timeMs.value
  const moment = replay.at(timeMs)
  const isPlaying = player.isPlaying.value
  const name = desk.watch.devices.get(session.deviceId)?.name ?? ''
  const { isBusy, problem, ask } = useAsk()
  const playButton = useRef<HTMLButtonElement>(null)
  useEffect(() => {
    // The row of the session could not be pressed twice, and lost the focus by that.
    if (document.activeElement === document.body) playButton.current?.focus()
  }, [])
  return (
    <section class="replay" aria-label="Replay of a session">
      <div class="row">
        <button
          ref={playButton}
          type="button"
          class="icon-button play"
          aria-label={isPlaying ? 'Pause' : 'Play'}
          onClick={isPlaying ? player.pause : player.play}
        >
          <Icon name={isPlaying ? 'pause' : 'play'} size={22} />
        </button>
        <div class="grow">
          <div class="row spread figures-row">
            <strong>{clockWords(timeMs)}</strong>
            <span>{speedWords(moment.speed)}</span>
            <span>
              {distanceWords(moment.distanceM)}{' '}
              <span class="muted">of {distanceWords(replay.distanceM)}</span>
            </span>
          </div>
          <div class="slider">
            <SpeedPicture player={player} />
            <input
              type="range"
              aria-label="Time"
              aria-valuetext={`${clockWords(timeMs)}, ${speedWords(moment.speed)}, ${distanceWords(moment.distanceM)}`}
              min={replay.startMs}
              max={replay.endMs}
              step="any"
              value={timeMs}
              onInput={(event) => player.seek(Number(event.currentTarget.value))}
            />
          </div>
        </div>
      </div>
      <div class="row wrap spread choices-row">
        <span class="muted small cut what">
          {name} · {dayWords(replay.startMs)}
        </span>
        <label class="row small">
          <span class="muted word" aria-hidden="true">
            Speed
          </span>
          <select
            class="short"
            aria-label="Speed"
            value={player.speed.value}
            onChange={(event) => {
              player.speed.value = Number(event.currentTarget.value)
            }}
          >
            {PLAY_SPEEDS.map((speed) => (
              <option key={speed} value={speed}>
                {speed} ×
              </option>
            ))}
          </select>
        </label>
        <fieldset class="row">
          <legend class="hidden-text">Export</legend>
          {TRACK_FORMATS.map((format) => (
            <button
              key={format}
              type="button"
              class="button small"
              disabled={isBusy}
              onClick={() =>
                ask(() =>
                  desk.api.download(
                    `/v1/sessions/${session.id}/track?format=${format}`,
                    `session-${session.id}.${format}`,
                  ),
                )
              }
            >
              <Icon name="down" size={15} /> {format.toUpperCase()}
            </button>
          ))}
        </fieldset>
        <button type="button" class="button back-to-live" onClick={desk.closeSession}>
          Back to live
        </button>
      </div>
      {problem !== null && (
        <p class="notice bad" role="alert">
          {problem}
        </p>
      )}
    </section>
  )
}

function SpeedPicture({ player }: { player: Player }) {
  const { replay } = player
  const path = useMemo(() => {
    const speeds = replay.speeds(PARTS)
    const most = Math.max(1, ...speeds)
    const tops = speeds.map((speed, i) => `L${i} ${(PART_HEIGHT * (1 - speed / most)).toFixed(1)}`)
    return `M0 ${PART_HEIGHT}${tops.join('')}V${PART_HEIGHT}z`
  }, [replay])
  const done = (player.timeMs.value - replay.startMs) / Math.max(1, replay.endMs - replay.startMs)
  return (
    <svg viewBox={`0 0 ${PARTS - 1} ${PART_HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path class="ahead" d={path} />
      <clipPath id="played">
        <rect width={(PARTS - 1) * done} height={PART_HEIGHT} />
      </clipPath>
      <path class="done" d={path} clip-path="url(#played)" />
    </svg>
  )
}
