/** `alzy user`, `alzy token`, `alzy device`: what they ask of a running hub, and how they print the answer. */
import type {
  DeviceJson,
  KeyedDeviceJson,
  NewDeviceJson,
  NewUserJson,
  PairingJson,
  TokenJson,
  UserJson,
} from '../protocol/http.ts'
import { type ApiClient, ApiError } from './api.ts'
import { qrCode } from './qrCode.ts'

export interface AccountsIo {
  api: ApiClient
  json: boolean
  /** What is printed goes to a terminal, and not into a file or a pipe. */
  isTerminal: boolean
  stdout: (line: string) => void
}

/** Nothing but the hub's own machine can reach these. */
const LOOPBACK = /^(localhost|127\..*|\[::1\])$/

export async function addUser(
  email: string,
  options: Pick<NewUserJson, 'name' | 'role'>,
  { api, json, stdout }: AccountsIo,
): Promise<void> {
  const { name, role } = options
  const user = await api.request<UserJson>('POST', '/v1/users', {
    email,
    ...(name === undefined ? {} : { name }),
    ...(role === undefined ? {} : { role }),
  } satisfies NewUserJson)
  if (json) stdout(JSON.stringify({ id: user.id, email: user.email, role: user.role }))
  else stdout(`user ${user.id}: ${user.email} (${user.role})`)
}

export async function printUsers({ api, json, stdout }: AccountsIo): Promise<void> {
  const users = await api.listed<UserJson>('/v1/users', 'users')
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
  const issued = await api.request<TokenJson>('POST', `/v1/users/${user.id}/tokens`, { ttlS })
  stdout(json ? JSON.stringify(issued) : issued.token)
}

export async function addDevice(
  email: string,
  name: string,
  options: Pick<NewDeviceJson, 'platform' | 'color'> & { key?: boolean | undefined },
  io: AccountsIo,
): Promise<void> {
  const { api, json, stdout } = io
  const user = await findUser(email, api)
  const { platform, color, key: withKey = false } = options
  const added = await api.request<PairingJson | KeyedDeviceJson>('POST', '/v1/devices', {
    userId: user.id,
    name,
    withKey,
    ...(platform === undefined ? {} : { platform }),
    ...(color === undefined ? {} : { color }),
  } satisfies NewDeviceJson)
  const { device } = added
  if (!json) stdout(`device ${device.id}: ${device.name} of ${email}`)
  if ('pairingToken' in added) return printPairing(added, io)
  const { deviceKey } = added
  stdout(json ? JSON.stringify({ deviceId: device.id, deviceKey }) : `key (shown only now): ${deviceKey}`)
}

function printPairing(pairing: PairingJson, { json, isTerminal, stdout }: AccountsIo): void {
  const { device, pairingUrl, pairingToken, expiresAt } = pairing
  if (json) return stdout(JSON.stringify({ deviceId: device.id, pairingUrl, pairingToken, expiresAt }))
  stdout('')
  for (const line of qrCode(pairingUrl, isTerminal)) stdout(line)
  stdout('')
  stdout(`pair it, once, until ${expiresAt}:`)
  stdout(`  ${pairingUrl}`)
  if (LOOPBACK.test(new URL(pairingUrl).hostname))
    stdout(
      'This link works on this machine only: for phones, set ALZY_ORIGINS of the hub to its public address.',
    )
}

export async function printDevices(email: string, { api, json, stdout }: AccountsIo): Promise<void> {
  const user = await findUser(email, api)
  const devices = await api.listed<DeviceJson>(`/v1/devices?userId=${user.id}`, 'devices')
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

async function findUser(email: string, api: ApiClient): Promise<UserJson> {
  const users = await api.listed<UserJson>(`/v1/users?email=${encodeURIComponent(email)}`, 'users')
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
