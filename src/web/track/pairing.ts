/**
 * Becoming a device: the phone makes up its own secret and keeps it before it asks, so that it may ask again with the
 * same one when the answer got lost.
 */
import type { PairedJson } from '../../protocol/http.ts'
import { type Api, ApiProblem } from '../hub/api.ts'
import { base64Url } from '../hub/openid.ts'
import type { Identity, Keep } from './keep.ts'

const SECRET_BYTES = 32
const REFUSED = [400, 403, 404, 409, 410]

/** A code as people paste it: bare, or in the link of the QR code. */
export function codeIn(text: string): string {
  return /#pair=([^&\s]+)/.exec(text)?.[1] ?? text.trim()
}

/** Rejects with words for people. */
export async function pair(code: string, api: Pick<Api, 'send'>, keep: Keep): Promise<Identity> {
  const held = keep.secret.read()
  const secret =
    held?.pairingToken === code
      ? held.secret
      : base64Url(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)))
  keep.secret.write({ pairingToken: code, secret })
  const identity = await ask(code, secret, api)
  keep.identity.write(identity)
  keep.secret.clear()
  return identity
}

async function ask(pairingToken: string, secret: string, api: Pick<Api, 'send'>): Promise<Identity> {
  try {
    const { deviceId, deviceKey } = await api.send<PairedJson>('POST', '/v1/pair', {
      pairingToken,
      secret,
      platform: 'web',
    })
    return { deviceId, deviceKey }
  } catch (fault) {
    if (!(fault instanceof ApiProblem) || !REFUSED.includes(fault.status)) throw fault
    throw new Error('This code is not good: it has expired, or another phone has used it. Ask for a new one.')
  }
}
