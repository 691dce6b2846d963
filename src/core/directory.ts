/** Users, devices and shares as the API shows them, and what may be asked of whoever keeps them. Times are ISO 8601. */
import type { DeviceColor, DevicePlatform, UserRole } from '../protocol/messages.ts'

export interface UserRow {
  id: number
  name: string
  email: string
  role: UserRole
  isActive: boolean
  providers: Providers
  createdAt: string
  lastLoginAt: string | null
}

/** Who the user is at OpenID issuers: `{ "<issuer>": { "sub": "<subject>" } }`. */
export type Providers = Readonly<Record<string, { sub: string }>>

export interface NewUser {
  name: string
  email: string
  role: UserRole
}

export interface UserChange {
  name?: string | undefined
  role?: UserRole | undefined
  isActive?: boolean | undefined
  /** All of them: what is not named is forgotten. */
  providers?: Providers | undefined
}

export interface ShareRow {
  id: number
  /** Whose devices they are. */
  userId: number
  deviceIds: number[]
  createdAt: string
  expiresAt: string
  /** null: it goes on until it expires. */
  endedAt: string | null
}

export interface NewShare {
  userId: number
  deviceIds: readonly number[]
  expiresMs: number
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
  /** null when there is no such user; `taken` when somebody else is one of `providers`. */
  updateUser: (id: number, change: UserChange) => Promise<UserRow | null | 'taken'>
  /** Who is known under that subject of an OpenID issuer. */
  findUserAt: (issuer: string, sub: string) => Promise<UserRow | null>
  /** The active user of that address, who from now on is known under the subject; null when that cannot be. */
  linkUser: (email: string, issuer: string, sub: string) => Promise<UserRow | null>
  findDevice: (id: number) => Promise<DeviceRow | null>
  /** `userId` null: everyone's. */
  listDevices: (userId: number | null, after: number, countMax: number) => Promise<DeviceRow[]>
  /** null when there is no such user; `full` when the user has as many as there may be. */
  insertDevice: (device: NewDevice) => Promise<DeviceRow | null | 'full'>
  /** null when the device or its user is gone or deactivated. */
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
  /** Whose devices these are; one that is deleted or never was is left out. */
  findOwners: (deviceIds: readonly number[]) => Promise<{ id: number; userId: number }[]>
  /** `full` when the user has as many that go on as there may be. */
  insertShare: (share: NewShare, nowMs: number) => Promise<ShareRow | 'full'>
  findShare: (id: number) => Promise<ShareRow | null>
  /** `userId` null: everyone's. */
  listShares: (userId: number | null, after: number, countMax: number) => Promise<ShareRow[]>
  /** Ended once, it stays as it ended. */
  endShare: (id: number, nowMs: number) => Promise<void>
}
