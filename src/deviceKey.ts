/** Device keys: `alzy_<deviceId>_<43 characters base64url>`. Only the SHA-256 of the whole is ever kept. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

const SECRET_BYTES = 32
const SHAPE = /^alzy_([1-9]\d{0,9})_[A-Za-z0-9_-]{43}$/
const ID_MAX = 2 ** 31 - 1
/** Compared with when there is nothing to compare with, so that an unknown device costs the same work. */
const NO_HASH = createHash('sha256').update(randomBytes(SECRET_BYTES)).digest('hex')

export function createDeviceKey(deviceId: number): { deviceKey: string; keyHash: string } {
  const deviceKey = `alzy_${deviceId}_${randomBytes(SECRET_BYTES).toString('base64url')}`
  return { deviceKey, keyHash: hashOf(deviceKey) }
}

/** The device that a key speaks of, or null when it is not of the shape of a key. */
export function deviceIdOf(deviceKey: string): number | null {
  const id = Number(SHAPE.exec(deviceKey)?.[1] ?? 0)
  return id === 0 || id > ID_MAX ? null : id
}

/** Whether this is the key with that hash. `keyHash` null: the device has none, or there is no such device. */
export function isDeviceKey(deviceKey: string, keyHash: string | null): boolean {
  const isSame = timingSafeEqual(
    Buffer.from(hashOf(deviceKey), 'hex'),
    Buffer.from(keyHash ?? NO_HASH, 'hex'),
  )
  return isSame && keyHash !== null
}

export function hashOf(deviceKey: string): string {
  return createHash('sha256').update(deviceKey).digest('hex')
}
