/** `alzy user`, `alzy token`, `alzy device`: what they ask of a running hub, and how they print the answer. */
import type { DeviceRow, UserRow } from '../core/directory.ts'
import { type Api, ApiError } from './api.ts'

export interface AccountsIo {
  api: Api
  json: boolean
  stdout: (line: string) => void
}

export async function addUser(
  email: string,
  options: { name?: string | undefined; role?: string | undefined },
  { api, json, stdout }: AccountsIo,
): Promise<void> {
  const { name, role } = options
  const user = await api.request<UserRow>('POST', '/v1/users', {
    email,
    ...(name === undefined ? {} : { name }),
    ...(role === undefined ? {} : { role }),
  })
  if (json) stdout(JSON.stringify({ id: user.id, email: user.email, role: user.role }))
  else stdout(`user ${user.id}: ${user.email} (${user.role})`)
}

export async function listUsers({ api, json, stdout }: AccountsIo): Promise<void> {
  const users = await api.listed<UserRow>('/v1/users', 'users')
  if (json) return stdout(JSON.stringify(users))
  table(
    ['id', 'email', 'name', 'role', 'active'],
    users.map(({ id, email, name, role, isActive }) => [
      String(id),
      email,
      name,
      role,
      isActive ? 'yes' : 'no',
    ]),
    stdout,
  )
}

export async function printToken(
  email: string,
  ttlS: number,
  { api, json, stdout }: AccountsIo,
): Promise<void> {
  const user = await findUser(email, api)
  const issued = await api.request<{ token: string; expiresAt: string }>(
    'POST',
    `/v1/users/${user.id}/tokens`,
    {
      ttlS,
    },
  )
  stdout(json ? JSON.stringify(issued) : issued.token)
}

export async function addDevice(
  email: string,
  name: string,
  options: { platform?: string | undefined; color?: string | undefined },
  { api, json, stdout }: AccountsIo,
): Promise<void> {
  const user = await findUser(email, api)
  const { platform, color } = options
  const { device, deviceKey } = await api.request<{ device: DeviceRow; deviceKey: string }>(
    'POST',
    '/v1/devices',
    {
      userId: user.id,
      name,
      withKey: true,
      ...(platform === undefined ? {} : { platform }),
      ...(color === undefined ? {} : { color }),
    },
  )
  if (json) return stdout(JSON.stringify({ deviceId: device.id, deviceKey }))
  stdout(`device ${device.id}: ${device.name} of ${email}`)
  stdout(`key (shown only now): ${deviceKey}`)
}

export async function listDevices(email: string, { api, json, stdout }: AccountsIo): Promise<void> {
  const user = await findUser(email, api)
  const devices = await api.listed<DeviceRow>(`/v1/devices?userId=${user.id}`, 'devices')
  if (json) return stdout(JSON.stringify(devices))
  table(
    ['id', 'name', 'platform', 'color', 'active', 'last seen'],
    devices.map(({ id, name, platform, color, isActive, lastSeenAt }) => [
      String(id),
      name,
      platform,
      color,
      isActive ? 'yes' : 'no',
      lastSeenAt ?? 'never',
    ]),
    stdout,
  )
}

export async function revokeDevice(id: number, { api, json, stdout }: AccountsIo): Promise<void> {
  await api.request('DELETE', `/v1/devices/${id}`)
  stdout(json ? JSON.stringify({ deviceId: id, revoked: true }) : `device ${id} is revoked; its points stay`)
}

async function findUser(email: string, api: Api): Promise<UserRow> {
  const users = await api.listed<UserRow>(`/v1/users?email=${encodeURIComponent(email)}`, 'users')
  const user = users[0]
  if (user === undefined)
    throw new ApiError(`there is no user ${email}; add one with: alzy user add ${email}`, 404)
  return user
}

function table(head: string[], rows: string[][], stdout: (line: string) => void): void {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)))
  for (const row of [head, ...rows]) {
    stdout(
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
  }
}
