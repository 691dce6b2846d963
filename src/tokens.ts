/**
 * Tokens of the hub itself: signing, checking, and the secret behind them. What a token's subject may do is
 * looked up elsewhere; a token only says who it is.
 */
import { randomBytes } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { errors, jwtVerify, SignJWT } from 'jose'

const ISSUER = 'alzy'
const AUDIENCE = 'alzy'
const ALGORITHM = 'HS256'
const TYP = 'at+jwt'
/** Whoever can read the secret is the operator of the hub, with or without an account. */
const OPERATOR = 'operator'
export const OPERATOR_TTL_S_MAX = 300

export type Subject = { userId: number } | 'operator'

export type TokenCheck =
  | { is: 'valid'; subject: Subject; expiresMs: number }
  | { is: 'expired' }
  | { is: 'refused' }

export type Tokens = ReturnType<typeof createTokens>

export function createTokens(secret: string, { tokenTtlSMax }: { tokenTtlSMax: number }) {
  const key = new TextEncoder().encode(secret)
  return { issue, issueOperator, check }

  /** A token of a user; `expiresMs` in ms since 1970. */
  async function issue(userId: number, ttlS: number, nowMs: number) {
    return sign(String(userId), Math.min(ttlS, tokenTtlSMax), nowMs)
  }

  /** For the command line on the hub's own machine. */
  async function issueOperator(nowMs: number) {
    return sign(OPERATOR, OPERATOR_TTL_S_MAX, nowMs)
  }

  async function sign(subject: string, ttlS: number, nowMs: number) {
    const issuedS = Math.floor(nowMs / 1000)
    const expiresS = issuedS + ttlS
    const token = await new SignJWT()
      .setProtectedHeader({ alg: ALGORITHM, typ: TYP })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setSubject(subject)
      .setIssuedAt(issuedS)
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
      const subject = subjectOf(payload.sub!)
      const ttlS = payload.exp! - payload.iat!
      const ttlSMax = subject === OPERATOR ? OPERATOR_TTL_S_MAX : tokenTtlSMax
      if (subject === null || ttlS > ttlSMax) return { is: 'refused' }
      return { is: 'valid', subject, expiresMs: payload.exp! * 1000 }
    } catch (error) {
      return { is: error instanceof errors.JWTExpired ? 'expired' : 'refused' }
    }
  }
}

function subjectOf(sub: string): Subject | null {
  if (sub === OPERATOR) return OPERATOR
  return /^[1-9]\d{0,9}$/.test(sub) ? { userId: Number(sub) } : null
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
