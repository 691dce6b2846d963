/**
 * Tokens of the hub itself: signing, checking, and the secret behind them. What a token's subject may do is
 * looked up elsewhere; a token only says who it is.
 */
import { randomBytes } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { errors, type JWTPayload, jwtVerify, SignJWT } from 'jose'

const ISSUER = 'alzy'
const AUDIENCE = 'alzy'
const ALGORITHM = 'HS256'
const TYP = 'at+jwt'
/** Whoever can read the secret is the operator of the hub, with or without an account. */
const OPERATOR = 'operator'
export const OPERATOR_TTL_S_MAX = 300
/** How far the clock of the hub that issued it may be ahead. */
const AHEAD_MS_MAX = 60_000
const ID_MAX = 2 ** 31 - 1

/** The scope of a token that was made for a share and is good for nothing else. */
const SHARE_SCOPE = 'share'

/** Whom a token of the hub is about. */
export type Subject = { userId: number } | { shareId: number } | 'operator'

export type TokenCheck<Of = Subject> =
  | { is: 'valid'; subject: Of; expiresMs: number }
  | { is: 'expired' }
  | { is: 'refused' }

export type Tokens = ReturnType<typeof createTokens>

export function createTokens(secret: string, { tokenTtlSMax }: { tokenTtlSMax: number }) {
  const key = new TextEncoder().encode(secret)
  return { issue, issueShare, issueOperator, check }

  /** A token of a user; `expiresMs` in ms since 1970. */
  async function issue(userId: number, ttlS: number, nowMs: number) {
    return sign(String(userId), nowMs, secondsOf(nowMs) + Math.min(ttlS, tokenTtlSMax))
  }

  /**
   * A token of a share, which lives as long as the share or a second longer: its row has the last word. The caller
   * sees to it that this is no more than `tokenTtlSMax`.
   */
  async function issueShare(shareId: number, expiresMs: number, nowMs: number) {
    return sign(`${SHARE_SCOPE}:${shareId}`, nowMs, Math.ceil(expiresMs / 1000), SHARE_SCOPE)
  }

  /** For the command line on the hub's own machine. */
  async function issueOperator(nowMs: number) {
    return sign(OPERATOR, nowMs, secondsOf(nowMs) + OPERATOR_TTL_S_MAX)
  }

  async function sign(subject: string, nowMs: number, expiresS: number, scope?: string) {
    const token = await new SignJWT(scope === undefined ? {} : { scope })
      .setProtectedHeader({ alg: ALGORITHM, typ: TYP })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setSubject(subject)
      .setIssuedAt(secondsOf(nowMs))
      .setExpirationTime(expiresS)
      .sign(key)
    return { token, expiresMs: expiresS * 1000 }
  }

  async function check(token: string, nowMs: number): Promise<TokenCheck> {
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: [ALGORITHM],
        typ: TYP,
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ['sub', 'iat', 'exp'],
        currentDate: new Date(nowMs),
      })
      const subject = subjectOf(payload)
      const ttlS = payload.exp! - payload.iat!
      const ttlSMax = subject === OPERATOR ? OPERATOR_TTL_S_MAX : tokenTtlSMax
      if (subject === null || ttlS > ttlSMax) return { is: 'refused' }
      // Issued later, a short life could end in ten years.
      if (payload.iat! * 1000 > nowMs + AHEAD_MS_MAX) return { is: 'refused' }
      return { is: 'valid', subject, expiresMs: Math.floor(payload.exp! * 1000) }
    } catch (error) {
      // There is no fresh token for a share that has expired (V7).
      const isOver = error instanceof errors.JWTExpired && error.payload.scope !== SHARE_SCOPE
      return { is: isOver ? 'expired' : 'refused' }
    }
  }
}

/** A scope says what a token is good for; one without may do whatever its subject may. */
function subjectOf({ sub, scope }: JWTPayload): Subject | null {
  if (typeof sub !== 'string') return null
  if (scope === SHARE_SCOPE) {
    const shareId = /^share:([1-9]\d{0,9})$/.exec(sub)?.[1]
    return shareId === undefined || Number(shareId) > ID_MAX ? null : { shareId: Number(shareId) }
  }
  if (scope !== undefined) return null
  if (sub === OPERATOR) return OPERATOR
  return /^[1-9]\d{0,9}$/.test(sub) && Number(sub) <= ID_MAX ? { userId: Number(sub) } : null
}

function secondsOf(ms: number): number {
  return Math.floor(ms / 1000)
}

const SECRET_FILE = 'secret'
const SECRET_BYTES = 32

/** The secret kept in the data directory; made the first time, readable by its owner only. */
export async function ensureSecret(dataDir: string): Promise<string> {
  const file = path.join(dataDir, SECRET_FILE)
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const draft = `${file}.${process.pid}`
  try {
    // Whole or not at all; and of two processes that start at once, one links and both read the same.
    await writeFile(draft, `${randomBytes(SECRET_BYTES).toString('hex')}\n`, { mode: 0o600 })
    await link(draft, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await rm(draft, { force: true })
  }
  return readSecret(dataDir)
}

/** Rejects with ENOENT when no hub has run in this data directory. */
export async function readSecret(dataDir: string): Promise<string> {
  return (await readFile(path.join(dataDir, SECRET_FILE), 'utf8')).trim()
}
