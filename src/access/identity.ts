/**
 * Whom a token speaks for. The token says who; what they may do, and whether they still are somebody, is the
 * database's word. It refuses to know where the token came from.
 */
import { decodeJwt } from 'jose'
import type { Clock } from '../clock.ts'
import type { Directory } from '../core/directory.ts'
import type { Provider } from '../core/grant.ts'
import type { UserJson } from '../protocol/http.ts'
import { TOKEN_CHARS_MAX } from '../protocol/messages.ts'
import type { Oidc, Stranger } from './oidc.ts'
import type { Tokens } from './tokens.ts'

export type Identity =
  /** `via` is who the user is at the issuer that made the token; absent: the hub made it. */
  | { is: 'user'; user: UserJson; expiresMs: number; via?: Provider }
  | { is: 'share'; shareId: number; expiresMs: number }
  /** Whoever holds the secret of the hub; nobody's user. */
  | { is: 'operator' }
  | { is: 'expired' }
  | { is: 'refused' }
  /** Nobody can say at the moment, and it is not the token's fault. */
  | { is: 'away' }

/** Rejects when the database is away. */
export type Identify = (token: string) => Promise<Identity>

export interface IdentityOptions {
  tokens: Pick<Tokens, 'check'>
  /** null: only tokens of the hub. */
  oidc: Pick<Oidc, 'issuer' | 'check'> | null
  directory: Pick<Directory, 'findUser' | 'findUserAt' | 'linkUser'>
  clock: Pick<Clock, 'now'>
}

export function createIdentity({ tokens, oidc, directory, clock }: IdentityOptions): Identify {
  return async (token) => {
    if (token.length > TOKEN_CHARS_MAX) return { is: 'refused' }
    // Which of the two may have made it; each believes nothing but its own signature.
    return oidc !== null && issuerOf(token) === oidc.issuer ? ofIssuer(oidc, token) : ofHub(token)
  }

  async function ofHub(token: string): Promise<Identity> {
    const check = await tokens.check(token, clock.now())
    if (check.is !== 'valid') return check
    const { subject, expiresMs } = check
    if (subject === 'operator') return { is: 'operator' }
    if ('shareId' in subject) return { is: 'share', shareId: subject.shareId, expiresMs }
    return active(await directory.findUser(subject.userId), expiresMs)
  }

  async function ofIssuer({ check }: Pick<Oidc, 'check'>, token: string): Promise<Identity> {
    const checked = await check(token, clock.now())
    if (checked.is !== 'valid') return checked
    const { issuer, sub } = checked.subject
    return active(await userOf(checked.subject), checked.expiresMs, { issuer, sub })
  }

  /** By subject; the first time by an address that the issuer has verified. */
  async function userOf({ issuer, sub, email }: Stranger): Promise<UserJson | null> {
    const known = await directory.findUserAt(issuer, sub)
    if (known !== null || email === null) return known
    // Of two first times at once, one links and the other finds.
    return (await directory.linkUser(email, issuer, sub)) ?? directory.findUserAt(issuer, sub)
  }
}

function active(user: UserJson | null, expiresMs: number, via?: Provider): Identity {
  if (!user?.isActive) return { is: 'refused' }
  return { is: 'user', user, expiresMs, ...(via && { via }) }
}

/** What an unchecked token says of its issuer. */
function issuerOf(token: string): string | undefined {
  try {
    return decodeJwt(token).iss
  } catch {
    return undefined
  }
}
