/** Users and devices as the API shows them, and what may be asked of whoever keeps them. Times are ISO 8601. */
import type { DeviceColor, DevicePlatform, UserRole } from '../protocol/messages.ts'

export interface UserRow {
  id: number
  name: string
  email: string
  role: UserRole
  isActive: boolean
  createdAt: string
  lastLoginAt: string | null
}

export interface NewUser {
  name: string
  email: string
  role: UserRole
}

export interface DeviceRow {
  id: number
  userId: number
  name: string
  platform: DevicePlatform
  color: DeviceColor
  isActive: boolean
  pairedAt: string | null
  lastSeenAt: string | null
  createdAt: string
}

export interface NewDevice {
  userId: number
  name: string
  platform: DevicePlatform
  color: DeviceColor
}

export interface DeviceChange {
  name?: string | undefined
  color?: DeviceColor | undefined
  isActive?: boolean | undefined
}

/** A device that waits to be paired until that moment. */
export interface Pairing {
  device: DeviceRow
  expiresAt: string
}

/** What a device shows to be paired, as SHA-256 in hex where it is secret. */
export interface Redemption {
  deviceId: number
  /** Of the pairing token as long as nobody has redeemed it, and once this device has. */
  openHash: string
  redeemedHash: string
  keyHash: string
  name?: string | undefined
  platform?: DevicePlatform | undefined
}

/** Every function rejects when the database is away. */
export interface Directory {
  findUser: (id: number) => Promise<UserRow | null>
  /** With `email` the one of that address, whatever its case. */
  listUsers: (email: string | null, after: number, countMax: number) => Promise<UserRow[]>
  /** null when the address is taken. */
  insertUser: (user: NewUser) => Promise<UserRow | null>
  findDevice: (id: number) => Promise<DeviceRow | null>
  /** `userId` null: everyone's. */
  listDevices: (userId: number | null, after: number, countMax: number) => Promise<DeviceRow[]>
  /** null when there is no such user. */
  insertDevice: (device: NewDevice) => Promise<DeviceRow | null>
  writeDeviceKey: (id: number, keyHash: string) => Promise<DeviceRow | null>
  /** null when the device or its user is gone or deactivated. */
  writePairing: (id: number, tokenHash: string, ttlMs: number) => Promise<Pairing | null>
  /** The device that one of these is the hash of a pairing token of. */
  findPaired: (tokenHashes: readonly [string, string]) => Promise<number | null>
  /** null: refused. */
  redeemPairing: (redemption: Redemption) => Promise<DeviceRow | null>
  updateDevice: (id: number, change: DeviceChange) => Promise<DeviceRow | null>
  /** False when there was nothing to delete. */
  deleteDevice: (id: number) => Promise<boolean>
}
