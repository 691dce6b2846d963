/**
 * Device keys by device name, through the HTTP API: a device that is there already gets a new key, one that
 * is missing is made. It does not know what the devices are for.
 */
import type { DeviceJson, KeyedDeviceJson, NewDeviceJson, PairedJson, UserJson } from '../protocol/http.ts'
import { type ApiClient, ApiError } from './api.ts'

const PAGE = 200

/**
 * The keys of the devices of the user with this email. A key that a device held before stops working, since
 * no key can be read again. Throws ApiError when there is no such user, or the hub refuses.
 */
export async function openKeys(api: ApiClient, email: string) {
  const path = `/v1/users?email=${encodeURIComponent(email)}`
  const users = await api.listed<UserJson>(path, 'users')
  const user = users.find((candidate) => candidate.email.toLowerCase() === email.toLowerCase())
  if (user === undefined) throw new ApiError(`no user with the email ${email}`, null)
  const devices = await api.listed<DeviceJson>(`/v1/devices?userId=${user.id}&limit=${PAGE}`, 'devices')
  const idByName = new Map<string, number>()
  // Of several devices of one name the first of the list is meant, every time.
  for (const { id, name } of devices) if (!idByName.has(name)) idByName.set(name, id)
  return { keyFor }

  /** Colour and platform are those of a new device; one that exists keeps its own. */
  async function keyFor(
    name: string,
    color?: NewDeviceJson['color'],
    platform?: NewDeviceJson['platform'],
  ): Promise<PairedJson> {
    const id = idByName.get(name)
    const made =
      id === undefined
        ? await api.request<KeyedDeviceJson>('POST', '/v1/devices', {
            name,
            userId: user!.id,
            withKey: true,
            ...(color === undefined ? {} : { color }),
            ...(platform === undefined ? {} : { platform }),
          } satisfies NewDeviceJson)
        : await api.request<KeyedDeviceJson>('POST', `/v1/devices/${id}/key`)
    idByName.set(name, made.device.id)
    return { deviceId: made.device.id, deviceKey: made.deviceKey }
  }
}
