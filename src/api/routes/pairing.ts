/**
 * How a device gets its key: whoever brings a pairing token first is the device. Everything that is wrong with a token
 * is answered alike, for about the same work, and guessing is limited. Where tokens come from: devices.ts.
 */
import { z } from 'zod'
import { blockOf } from '../../access/addresses.ts'
import { createDeviceKey, createDeviceSecret, DEVICE_SECRET } from '../../access/deviceKey.ts'
import { redeemedHashOf, tokenHashOf } from '../../access/pairingToken.ts'
import type { Clock } from '../../clock.ts'
import type { Directory, Redemption } from '../../core/directory.ts'
import { createTries } from '../../core/tries.ts'
import type { Changes } from '../../live/changes.ts'
import type { Ops } from '../../ops/ops.ts'
import { name, PAIRED, platform } from '../../protocol/http.ts'
import { Problem } from '../message.ts'
import { type AnyRoute, route } from '../route.ts'

export interface PairingOptions {
  directory: Pick<Directory, 'findPaired' | 'redeemPairing'>
  limits: {
    pairingTriesPerMin: number
    pairingTriesBurst: number
    pairingTriesPerMinInAll: number
    pairingTriesBurstInAll: number
    pairingNetworksMax: number
  }
  ops: Pick<Ops, 'counts' | 'audit'>
  clock: Pick<Clock, 'now'>
  changes: Pick<Changes, 'onDeviceKey'>
}

/** A token is 22 characters; anything much longer is none, and not worth the reading. */
const TOKEN_CHARS_MAX = 128
/** No device has it, so that a token of no device costs the same statements as any other. */
const NO_DEVICE = 0

const SHOWN = z.strictObject({
  pairingToken: z.string().min(1).max(TOKEN_CHARS_MAX),
  secret: z.string().regex(DEVICE_SECRET, 'must be 256 random bits as 43 characters of base64url').optional(),
  platform: platform.optional(),
  name: name.optional(),
})

export function pairingRoutes(options: PairingOptions): AnyRoute[] {
  const { directory, limits, ops, clock, changes } = options
  const { counts } = ops
  const tries = createTries({
    perMin: limits.pairingTriesPerMin,
    burst: limits.pairingTriesBurst,
    perMinInAll: limits.pairingTriesPerMinInAll,
    burstInAll: limits.pairingTriesBurstInAll,
    networksMax: limits.pairingNetworksMax,
  })
  return [
    route({
      method: 'POST',
      path: '/v1/pair',
      summary:
        'Redeems a pairing token; with its own `secret` a device may repeat it until the token expires',
      access: 'public',
      body: SHOWN,
      answers: { 200: PAIRED },
      handle: async ({ body, request }) => {
        takeTry(request.address)
        const json = await redeem(body, request.address)
        return { status: 200, json, acts: [['device.paired', { deviceId: json.deviceId }]] }
      },
    }),
  ]

  function takeTry(address: string): void {
    const taken = tries.take(blockOf(address), clock.now())
    if (taken === 'taken') return
    counts[taken === 'network' ? 'pairingTriesLimited' : 'pairingTriesLimitedInAll'] += 1
    const perMin = taken === 'network' ? limits.pairingTriesPerMin : limits.pairingTriesPerMinInAll
    const retryAfterS = Math.ceil(60 / perMin)
    throw new Problem(429, `too many tries to pair; try again in ${retryAfterS} s`, undefined, {
      'Retry-After': String(retryAfterS),
    })
  }

  async function redeem(
    { pairingToken, secret = createDeviceSecret(), ...profile }: z.infer<typeof SHOWN>,
    address: string,
  ) {
    const openHash = tokenHashOf(pairingToken)
    const redeemedHash = redeemedHashOf(pairingToken, secret)
    // The key holds the id of the device, and the database never sees a key: so this first, then what decides.
    const deviceId = (await directory.findPaired([openHash, redeemedHash])) ?? NO_DEVICE
    const { deviceKey, keyHash } = createDeviceKey(deviceId, secret)
    const redemption: Redemption = { deviceId, openHash, redeemedHash, keyHash, ...profile }
    const device = await directory.redeemPairing(redemption)
    if (device === null) {
      counts.pairingsRefused += 1
      ops.audit.refused('pairingToken', address)
      throw new Problem(403, 'the pairing token is unknown, used or expired; ask for a new one')
    }
    counts.devicesPaired += 1
    changes.onDeviceKey(device, keyHash)
    return { deviceId, deviceKey }
  }
}
