/** Device keys: `alzy_<deviceId>_<43 characters base64url>`. Only the SHA-256 of the whole is ever kept. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

const SECRET_BYTES = 32
const SHAPE = /^alzy_([1-9]\d{0,9})_[A-Za-z0-9_-]{43}$/
const ID_MAX = 2 ** 31 - 1
/** Compared with when there is nothing to compare with, so that an unknown device costs the same work. */
const NO_HASH = keyHashOf(createDeviceSecret())

export const DEVICE_SECRET = /^[A-Za-z0-9_-]{43}$/

/** 256 random bits, the part of a key that nobody can guess. A device that is paired may make its own. */
export function createDeviceSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url')
}

export function createDeviceKey(
  deviceId: number,
  secret: string = createDeviceSecret(),
): { deviceKey: string; keyHash: string } {
  const deviceKey = `alzy_${deviceId}_${secret}`
  return { deviceKey, keyHash: keyHashOf(deviceKey) }
}

/** The device that a key speaks of, or null when it is not of the shape of a key. */
export function deviceIdOf(deviceKey: string): number | null {
  const id = Number(SHAPE.exec(deviceKey)?.[1] ?? 0)
  return id === 0 || id > ID_MAX ? null : id
}

export function keyHashOf(deviceKey: string): string {
  return createHash('sha256').update(deviceKey).digest('hex')
}

/** Whether two hashes are the same, in constant time. `kept` null: the device has no key, or there is no such device. */
export function isKeyHash(shown: string, kept: string | null): boolean {
  const isSame = timingSafeEqual(Buffer.from(shown, 'hex'), Buffer.from(kept ?? NO_HASH, 'hex'))
  return isSame && kept !== null
}
