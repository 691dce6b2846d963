/**
 * What was granted at HELLO, for as long as the socket is open: taken back at once when a change over the API says so,
 * and looked at again for whatever else the database came to say (V6). One look is for all sockets together.
 */
import type { ShareRow } from '../core/directory.ts'
import { type Grant, survives, type Withdrawal } from '../core/grant.ts'
import type { UserJson } from '../protocol/http.ts'

export interface RightsOptions {
  /** Those of the grants that are good no more; rejects when the database is away. */
  readWithdrawn: (grants: readonly Grant[]) => Promise<ReadonlyMap<Grant, Withdrawal>>
  /** A look was answered, and acted upon. */
  onAnswer: () => void
}

/** Closes the socket, where it is still open; what memory trusts because of it is forgotten. */
export type Withdraw = (why: Withdrawal) => void

interface Held {
  grant: Grant
  withdraw: Withdraw
  isLookedAt: boolean
}

export type Rights = ReturnType<typeof createRights>

export function createRights({ readWithdrawn, onAnswer }: RightsOptions) {
  const held = new Set<Held>()
  /**
   * The last socket of each device that was gone before anybody had looked: memory may have let it in, and would do so
   * again and again.
   */
  const left = new Map<number, Held>()
  let isChecking = false
  return { hold, check, userChanged, shareEnded }

  /** Returns what is to be called once the socket is closed. */
  function hold(grant: Grant, withdraw: Withdraw): () => void {
    const entry = { grant, withdraw, isLookedAt: false }
    held.add(entry)
    return () => {
      held.delete(entry)
      if (grant.role === 'device' && !entry.isLookedAt) left.set(grant.deviceId, entry)
    }
  }

  /** To be called every second or so; rejects when the database is away, and the next one makes up for it. */
  async function check(): Promise<void> {
    if (isChecking || held.size + left.size === 0) return
    isChecking = true
    try {
      const looked = [...held, ...left.values()]
      const withdrawn = await readWithdrawn(looked.map(({ grant }) => grant))
      for (const entry of looked) {
        entry.isLookedAt = true
        const why = withdrawn.get(entry.grant)
        // Who came during the read is as HELLO found them; of who left, only memory has to learn of it.
        if (why !== undefined && (held.has(entry) || hasLeft(entry))) entry.withdraw(why)
      }
      for (const [deviceId, { isLookedAt }] of left) if (isLookedAt) left.delete(deviceId)
      onAnswer()
    } finally {
      isChecking = false
    }
  }

  function hasLeft(entry: Held): boolean {
    return entry.grant.role === 'device' && left.get(entry.grant.deviceId) === entry
  }

  function userChanged(user: Pick<UserJson, 'id' | 'role' | 'isActive' | 'providers'>): void {
    for (const { grant, withdraw } of [...held]) {
      if (grant.userId === user.id && !survives(grant, user)) withdraw('refused')
    }
  }

  function shareEnded({ id }: Pick<ShareRow, 'id'>): void {
    for (const { grant, withdraw } of [...held]) {
      if (grant.role === 'share' && grant.shareId === id) withdraw('refused')
    }
  }
}
