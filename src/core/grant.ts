/** What a credential grants to the socket that showed it, and what takes it away again. Decides; closes nothing. */
import type { UserJson } from '../protocol/http.ts'
import type { UserRole } from '../protocol/messages.ts'

/** Who a user is at an OpenID issuer. */
export interface Provider {
  issuer: string
  sub: string
}

/**
 * To a user, as what the database says of the user; or to whoever has the link of a share. `via` is who the token said
 * that the user is, where it was one of an issuer.
 */
export type ViewerGrant =
  | { role: UserRole; userId: number; via?: Provider | undefined }
  | { role: 'share'; userId: number; shareId: number; deviceIds: readonly number[] }

export type DeviceGrant = { role: 'device'; userId: number; deviceId: number; keyHash: string }

export type Grant = ViewerGrant | DeviceGrant

/** Why a grant ends: `gone` is a device that viewers may not be shown any more. */
export type Withdrawal = 'refused' | 'gone'

/** Whether a fresh token speaks for whom the socket was opened by (V7), who may not have become less meanwhile. */
export function isRenewed(held: ViewerGrant, fresh: ViewerGrant): boolean {
  if (held.role === 'share' || fresh.role === 'share') {
    return held.role === 'share' && fresh.role === 'share' && held.shareId === fresh.shareId
  }
  return held.userId === fresh.userId && (held.role !== 'admin' || fresh.role === 'admin')
}

/** What was granted, from now on by the fresh token. */
export function renewed(held: ViewerGrant, fresh: ViewerGrant): ViewerGrant {
  return held.role === 'share' || fresh.role === 'share' ? held : { ...held, via: fresh.via }
}

/** Whether what was granted outlives this state of its user (V6). */
export function survives(grant: Grant, user: Pick<UserJson, 'role' | 'isActive' | 'providers'>): boolean {
  if (!user.isActive) return false
  if (grant.role === 'device' || grant.role === 'share') return true
  const isKnown = grant.via === undefined || user.providers[grant.via.issuer]?.sub === grant.via.sub
  return isKnown && (grant.role !== 'admin' || user.role === 'admin')
}
