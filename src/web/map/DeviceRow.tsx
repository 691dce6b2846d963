/** One device in words: what it is, whether it is there, how fast, how long ago. */
import type { DeviceView } from '../../client/browser.ts'
import { colorOf } from '../look/colors.ts'
import { ageWords, compassWords, speedWords } from '../look/words.ts'
import { type Freshness, freshnessOf } from './freshness.ts'

export function DeviceDot({
  device,
  freshness,
  isDark,
}: {
  device: DeviceView
  freshness: Freshness
  isDark: boolean
}) {
  const color = colorOf(device.color, isDark)
  const isThere = freshness === 'moving' || freshness === 'still'
  const heading = device.last?.heading
  return (
    <svg class="dot" viewBox="-11 -11 22 22" aria-hidden="true">
      {freshness === 'moving' && heading != null ? (
        <path
          d="M0-10.500 5.600-2.600A6.300 6.300 0 11-5.600-2.600z"
          fill={color}
          transform={`rotate(${heading}) translate(0 1.500)`}
        />
      ) : (
        <circle
          r="5.5"
          fill={isThere ? color : 'none'}
          stroke={color}
          stroke-width="2"
          stroke-dasharray={freshness === 'unplaced' ? '2 2.500' : undefined}
          opacity={freshness === 'offline' || freshness === 'unplaced' ? 0.75 : 1}
        />
      )}
    </svg>
  )
}

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
