/** The mark of a device beside its name: its colour and where it goes, hollow when that is not of now. */
import type { DeviceView } from '../../client/browser.ts'
import { colorOf } from '../look/colors.ts'
import type { Freshness } from './freshness.ts'

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
