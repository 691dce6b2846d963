/**
 * What was granted at HELLO is looked at again: whoever is deactivated or demoted loses the socket (V6), however the
 * database came to say so. One statement for all sockets.
 */
import type { UserRole } from './protocol/messages.ts'

export interface Right {
  role: UserRole
  isActive: boolean
}

/** By user: null is gone; who is missing came during the read, and is as HELLO found them. */
export type Rights = ReadonlyMap<number, Right | null>

/** Sockets that stand for users. */
export interface Holders {
  userIds: () => Iterable<number>
  /** Closes the sockets of users who may not have them any more. */
  enforce: (rights: Rights) => void
}

export interface RightsOptions {
  holders: readonly Holders[]
  /** Rejects when the database is away. */
  readRights: (userIds: readonly number[]) => Promise<ReadonlyMap<number, Right>>
}

export function createRights({ holders, readRights }: RightsOptions) {
  let isChecking = false
  return { check }

  /** To be called once a second; rejects when the database is away, and the next one makes up for it. */
  async function check(): Promise<void> {
    if (isChecking) return
    const userIds = new Set(holders.flatMap((holder) => [...holder.userIds()]))
    if (userIds.size === 0) return
    isChecking = true
    try {
      const found = await readRights([...userIds])
      const rights = new Map([...userIds].map((id) => [id, found.get(id) ?? null]))
      for (const holder of holders) holder.enforce(rights)
    } finally {
      isChecking = false
    }
  }
}
