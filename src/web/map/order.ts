/** In which order devices are listed, and which of them a search finds. */
import type { DeviceView } from '../../client/browser.ts'

const keys = new WeakMap<DeviceView, { name: string; key: string }>()

/** Connected ones first, then by name, numbers in it by their value. */
export function orderedDevices(devices: Iterable<DeviceView>, search: string): DeviceView[] {
  const wanted = search.trim().toLowerCase()
  const found = [...devices].filter(({ name }) => wanted === '' || name.toLowerCase().includes(wanted))
  return found.sort((a, b) => {
    if (a.online !== b.online) return a.online ? -1 : 1
    const [keyA, keyB] = [keyOf(a), keyOf(b)]
    return keyA < keyB ? -1 : keyA > keyB ? 1 : a.deviceId - b.deviceId
  })
}

function keyOf(device: DeviceView): string {
  const held = keys.get(device)
  if (held?.name === device.name) return held.key
  const key = device.name.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(10, '0'))
  keys.set(device, { name: device.name, key })
  return key
}
