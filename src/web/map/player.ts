/** Plays a session: a time that runs, at some speed, and stops at the end. It knows no map. */
import { signal } from '@preact/signals'
import { systemClock } from '../../clock.ts'
import type { SessionJson } from '../../protocol/http.ts'
import type { Moment, Replay } from './replay.ts'

export const PLAY_SPEEDS = [1, 5, 20, 60] as const
const SPEED_AT_FIRST = 20

export type Player = ReturnType<typeof createPlayer>

export function createPlayer(session: SessionJson, replay: Replay, shown: (moment: Moment) => void) {
  const timeMs = signal(replay.startMs)
  const isPlaying = signal(false)
  const speed = signal<number>(SPEED_AT_FIRST)
  let frame = 0
  let lastMs = 0
  return { session, replay, timeMs, isPlaying, speed, play, pause, seek, close }

  function play(): void {
    if (isPlaying.peek()) return
    if (timeMs.peek() >= replay.endMs) seek(replay.startMs)
    isPlaying.value = true
    // Counted from the same moment as the time that a frame is handed.
    lastMs = systemClock.elapsed()
    frame = requestAnimationFrame(step)
  }

  function step(nowMs: number): void {
    const passedMs = Math.max(0, nowMs - lastMs)
    lastMs = nowMs
    seek(timeMs.peek() + passedMs * speed.peek())
    if (timeMs.peek() >= replay.endMs) pause()
    else frame = requestAnimationFrame(step)
  }

  function pause(): void {
    if (!isPlaying.peek()) return
    cancelAnimationFrame(frame)
    isPlaying.value = false
    // What was left out for the sake of speed is drawn now.
    shown(replay.at(timeMs.peek()))
  }

  function seek(toMs: number): void {
    timeMs.value = Math.min(replay.endMs, Math.max(replay.startMs, toMs))
    shown(replay.at(timeMs.peek()))
  }

  function close(): void {
    pause()
  }
}
