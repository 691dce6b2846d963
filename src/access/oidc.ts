/**
 * Tokens of the configured OpenID issuer: whether one is good, and of whom it speaks. Whether that is a user of this
 * hub is not for it to say.
 */
import { errors, type JWTPayload, type JWTVerifyResult, jwtVerify } from 'jose'
import { z } from 'zod'
import { createKeySet, type KeySetOptions, type Keys } from './keySet.ts'
import type { TokenCheck } from './tokens.ts'

export interface OidcOptions extends KeySetOptions {
  /** For whom the issuer has to have made the token, to the letter. */
  audience: string
  limits: KeySetOptions['limits'] & { oidcTokenTtlSMax: number }
}

/** Somebody at the issuer. */
export interface Stranger {
  issuer: string
  sub: string
  /** Only where the issuer has verified it. */
  email: string | null
}

/** `away`: nobody can say, since there are no keys to check it with. */
export type OidcCheck = TokenCheck<Stranger> | { is: 'away' }

export type Oidc = ReturnType<typeof createOidc>

/** Signatures with a key that only the issuer has. With HMAC a public key would do for a secret. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
]
/** What ID tokens and access tokens say they are (RFC 7519, RFC 9068), or nothing at all. */
const TYPES = ['jwt', 'at+jwt']
/** How far the issuer's clock may be ahead. */
const AHEAD_S_MAX = 30
/** OpenID Connect Core 1.0, section 2: at most 255 ASCII characters. */
const SUB = /^[\x20-\x7e]{1,255}$/
const EMAIL = z.email().max(200)

export function createOidc(options: OidcOptions) {
  const { issuer, audience, limits } = options
  const keySet = createKeySet(options)
  return { issuer, check, warm }

  /** So that the first user need not wait, and a wrong setting shows at the start. */
  async function warm(): Promise<void> {
    await keySet.current()
  }

  async function check(token: string, nowMs: number): Promise<OidcCheck> {
    const keys = await keySet.current()
    if (keys === null) return { is: 'away' }
    const first = await verify(token, keys, nowMs)
    if (first.is !== 'unknownKey') return first
    // The issuer may have a new key, and it is no fault of the token that the hub has yet to hear of it.
    const newer = await keySet.after(keys)
    if (newer === null) return { is: 'away' }
    const second = await verify(token, newer, nowMs)
    return second.is === 'unknownKey' ? { is: 'refused' } : second
  }

  async function verify(
    token: string,
    keys: Keys,
    nowMs: number,
  ): Promise<TokenCheck<Stranger> | { is: 'unknownKey' }> {
    try {
      return judge(
        await jwtVerify(token, keys, {
          algorithms: ALGORITHMS,
          issuer,
          audience,
          requiredClaims: ['sub', 'iat', 'exp'],
          clockTolerance: AHEAD_S_MAX,
          currentDate: new Date(nowMs),
        }),
        nowMs,
      )
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey) return { is: 'unknownKey' }
      return { is: error instanceof errors.JWTExpired ? 'expired' : 'refused' }
    }
  }

  function judge({ payload, protectedHeader }: JWTVerifyResult, nowMs: number): TokenCheck<Stranger> {
    const { sub, iat, exp } = payload as JWTPayload & { iat: number; exp: number }
    if (!isType(protectedHeader.typ) || typeof sub !== 'string' || !SUB.test(sub)) return { is: 'refused' }
    // A logout token has the same issuer, audience and subject, and is told apart by this alone.
    if (payload.events !== undefined) return { is: 'refused' }
    if (exp - iat > limits.oidcTokenTtlSMax || iat * 1000 > nowMs + AHEAD_S_MAX * 1000) {
      return { is: 'refused' }
    }
    // The tolerance is for clocks that are ahead; nobody gets longer than the token says.
    if (exp * 1000 <= nowMs) return { is: 'expired' }
    return {
      is: 'valid',
      subject: { issuer, sub, email: emailOf(payload) },
      expiresMs: Math.floor(exp * 1000),
    }
  }
}

function isType(typ: string | undefined): boolean {
  return (
    typ === undefined ||
    TYPES.includes(
      String(typ)
        .toLowerCase()
        .replace(/^application\//, ''),
    )
  )
}

function emailOf({ email, email_verified }: JWTPayload): string | null {
  const parsed = EMAIL.safeParse(email)
  return email_verified === true && parsed.success ? parsed.data : null
}
