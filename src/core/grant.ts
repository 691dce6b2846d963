/** What a credential grants to the socket that showed it, and what takes it away again. Decides; closes nothing. */
import type { UserRole } from '../protocol/messages.ts'

/** To a user, as what the database says of the user; or to whoever has the link of a share. */
export type ViewerGrant =
  | { role: UserRole; userId: number }
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
  return held.userId === fresh.userId && survives(held, { role: fresh.role, isActive: true })
}

/** Whether what was granted outlives this state of its user (V6). */
export function survives(grant: Grant, user: { role: UserRole; isActive: boolean }): boolean {
  return user.isActive && (grant.role !== 'admin' || user.role === 'admin')
}
