/** What may be asked of whoever keeps users, devices and shares. They are as the API shows them; times are ISO 8601. */
import type {
  DeviceChangeJson,
  DeviceJson,
  PairingJson,
  ShareJson,
  UserChangeJson,
  UserJson,
} from '../protocol/http.ts'
import type { DevicePlatform } from '../protocol/messages.ts'

export type NewUser = Pick<UserJson, 'name' | 'email' | 'role'>
export type NewDevice = Pick<DeviceJson, 'userId' | 'name' | 'platform' | 'color'>

export interface ShareRow extends ShareJson {
  /** Whose devices they are. */
  userId: number
}

export interface NewShare {
  userId: number
  deviceIds: readonly number[]
  expiresMs: number
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
  findUser: (id: number) => Promise<UserJson | null>
  /** With `email` the one of that address, whatever its case. */
  listUsers: (email: string | null, after: number, countMax: number) => Promise<UserJson[]>
  /** null when the address is taken. */
  insertUser: (user: NewUser) => Promise<UserJson | null>
  /** null when there is no such user; `taken` when somebody else is one of `providers`. */
  updateUser: (id: number, change: UserChangeJson) => Promise<UserJson | null | 'taken'>
  /** Who is known under that subject of an OpenID issuer. */
  findUserAt: (issuer: string, sub: string) => Promise<UserJson | null>
  /** The active user of that address, who from now on is known under the subject; null when that cannot be. */
  linkUser: (email: string, issuer: string, sub: string) => Promise<UserJson | null>
  findDevice: (id: number) => Promise<DeviceJson | null>
  /** `userId` null: everyone's. */
  listDevices: (userId: number | null, after: number, countMax: number) => Promise<DeviceJson[]>
  /** null when there is no such user; `full` when the user has as many as there may be. */
  insertDevice: (device: NewDevice) => Promise<DeviceJson | null | 'full'>
  /** null when the device or its user is gone or deactivated. */
  writeDeviceKey: (id: number, keyHash: string) => Promise<DeviceJson | null>
  /** null when the device or its user is gone or deactivated. */
  writePairing: (
    id: number,
    tokenHash: string,
    ttlMs: number,
  ) => Promise<Pick<PairingJson, 'device' | 'expiresAt'> | null>
  /** The device that one of these is the hash of a pairing token of. */
  findPaired: (tokenHashes: readonly [string, string]) => Promise<number | null>
  /** null: refused. */
  redeemPairing: (redemption: Redemption) => Promise<DeviceJson | null>
  updateDevice: (id: number, change: DeviceChangeJson) => Promise<DeviceJson | null>
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
