/** What everybody who may see a device is told of it, as HELLO and snapshots both read it. */
import type { DeviceProfile } from '../../core/device.ts'
import type { DeviceColor, DevicePlatform } from '../../protocol/messages.ts'

/** Of `devices d`. */
export const PROFILE = `d.name, d.color, d.platform`

export const LAST_SEEN_MS = `(extract(epoch from d.last_seen_at) * 1000)::float8 as last_seen_ms`

export function profileOf(row: Record<string, unknown>): DeviceProfile {
  return {
    name: row.name as string,
    color: row.color as DeviceColor,
    platform: row.platform as DevicePlatform,
  }
}
