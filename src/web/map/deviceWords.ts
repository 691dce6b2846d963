/** One device in words: whether it is there, how fast, how long ago. */
import type { DeviceView } from '../../client/browser.ts'
import { ageWords, compassWords, speedWords } from '../look/words.ts'
import { type Freshness, freshnessOf } from './freshness.ts'

export interface DeviceWords {
  freshness: Freshness
  state: string
  detail: string
}

export function deviceWords(device: DeviceView, nowMs: number, isHearing: boolean): DeviceWords {
  const freshness = freshnessOf(device, nowMs, isHearing)
  const { last, lastSeenMs } = device
  if (last === null) {
    const state = !device.online ? 'offline' : isHearing ? 'online' : 'unknown'
    return { freshness, state, detail: 'no position yet' }
  }
  const age = `${ageWords(nowMs - last.recordedMs)} ago`
  switch (freshness) {
    case 'moving':
    case 'still': {
      const heading = last.heading === null || freshness === 'still' ? '' : ` ${compassWords(last.heading)}`
      const speed = last.speed === null ? '' : `${speedWords(last.speed)}${heading} · `
      return { freshness, state: 'online', detail: speed + age }
    }
    case 'stale':
      return {
        freshness,
        state: isHearing ? 'online' : 'unknown',
        detail: `position is ${ageWords(nowMs - last.recordedMs)} old`,
      }
    default:
      return {
        freshness,
        state: 'offline',
        detail: `seen ${ageWords(nowMs - Math.max(last.recordedMs, lastSeenMs ?? 0))} ago`,
      }
  }
}
