/**
 * Pairing tokens: 128 random bits in a link, of which only hashes are kept. What becomes of a device that redeems one,
 * this file does not know.
 */
import { createHash, randomBytes } from 'node:crypto'

const TOKEN_BYTES = 16

export function createPairingToken(): { pairingToken: string; tokenHash: string } {
  const pairingToken = randomBytes(TOKEN_BYTES).toString('base64url')
  return { pairingToken, tokenHash: tokenHashOf(pairingToken) }
}

/** What is kept of a token that nobody has redeemed. */
export function tokenHashOf(pairingToken: string): string {
  return sha256(pairingToken)
}

/** What is kept of it afterwards: only the device that redeemed it can name this one again. */
export function redeemedHashOf(pairingToken: string, secret: string): string {
  return sha256(`${pairingToken} ${secret}`)
}

/** The token is in the fragment, which no browser sends, so that no server and no proxy logs it. */
export function pairingUrlOf(baseUrl: string, pairingToken: string): string {
  return `${baseUrl}/track#pair=${pairingToken}`
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
