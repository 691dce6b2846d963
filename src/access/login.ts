/**
 * What a token of a viewer or an admin grants, at HELLO and again at AUTH, or a reason to close. Role and activity are
 * the database's.
 */
import type { Clock } from '../clock.ts'
import type { Directory } from '../core/directory.ts'
import type { ViewerGrant } from '../core/grant.ts'
import { CLOSE, type Close } from '../protocol/closes.ts'
import type { Identify, Identity } from './identity.ts'

export type Login = { grant: ViewerGrant; expiresMs: number } | { close: Close }

export interface LoginOptions {
  identify: Identify
  directory: Pick<Directory, 'findUser' | 'findShare'>
  /** A user has come with this token. */
  onLogin: (userId: number) => void
  clock: Pick<Clock, 'now'>
}

export function createLogin({ identify, directory, onLogin, clock }: LoginOptions) {
  return async (token: string): Promise<Login> => {
    try {
      const login = await loginOf(await identify(token))
      if ('grant' in login && login.grant.role !== 'share') onLogin(login.grant.userId)
      return login
    } catch {
      // A dependency that is away is never the client's fault.
      return { close: CLOSE.unavailable }
    }
  }

  async function loginOf(identity: Identity): Promise<Login> {
    switch (identity.is) {
      case 'user': {
        const { user, expiresMs, via } = identity
        return { grant: { role: user.role, userId: user.id, via }, expiresMs }
      }
      case 'share':
        return loginOfShare(identity.shareId, identity.expiresMs)
      case 'expired':
        return { close: CLOSE.tokenExpired }
      case 'away':
        return { close: CLOSE.unavailable }
      // The operator is nobody's user, so there is nothing to watch as.
      case 'operator':
      case 'refused':
        return { close: CLOSE.refused }
    }
  }

  /** As long as its row says, and as its owner is active. */
  async function loginOfShare(shareId: number, tokenExpiresMs: number): Promise<Login> {
    const share = await directory.findShare(shareId)
    if (share === null || share.endedAt !== null) return { close: CLOSE.refused }
    const owner = await directory.findUser(share.userId)
    const expiresMs = Math.min(tokenExpiresMs, Date.parse(share.expiresAt))
    if (!owner?.isActive || expiresMs <= clock.now()) return { close: CLOSE.refused }
    const { userId, deviceIds } = share
    return { grant: { role: 'share', userId, shareId, deviceIds }, expiresMs }
  }
}

export type LoginCheck = ReturnType<typeof createLogin>

/** How a socket ends whose token has expired: a share has no fresh one to come back with (V7). */
export function expired(grant: ViewerGrant): Close {
  return grant.role === 'share' ? CLOSE.refused : CLOSE.tokenExpired
}
