/**
 * What was granted at HELLO, for as long as the socket is open: taken back at once when a change over the API says so,
 * and looked at again for whatever else the database came to say (V6). One look is for all sockets together.
 */
import type { ShareRow, UserRow } from './core/directory.ts'
import { type Grant, survives, type Withdrawal } from './core/grant.ts'

export interface RightsOptions {
  /** Those of the grants that are good no more; rejects when the database is away. */
  readWithdrawn: (grants: readonly Grant[]) => Promise<ReadonlyMap<Grant, Withdrawal>>
  /** A look was answered, and acted upon. */
  onAnswer: () => void
}

/** Closes the socket. */
export type Withdraw = (why: Withdrawal) => void

interface Held {
  grant: Grant
  withdraw: Withdraw
}

export type Rights = ReturnType<typeof createRights>

export function createRights({ readWithdrawn, onAnswer }: RightsOptions) {
  const held = new Set<Held>()
  let isChecking = false
  return { hold, check, userChanged, shareEnded }

  /** Returns what is to be called once the socket is closed. */
  function hold(grant: Grant, withdraw: Withdraw): () => void {
    const entry = { grant, withdraw }
    held.add(entry)
    return () => void held.delete(entry)
  }

  /** To be called every second or so; rejects when the database is away, and the next one makes up for it. */
  async function check(): Promise<void> {
    if (isChecking || held.size === 0) return
    isChecking = true
    try {
      const looked = [...held]
      const withdrawn = await readWithdrawn(looked.map(({ grant }) => grant))
      for (const entry of looked) {
        const why = withdrawn.get(entry.grant)
        // Who came during the read is as HELLO found them, and who left needs no word.
        if (why !== undefined && held.has(entry)) entry.withdraw(why)
      }
      onAnswer()
    } finally {
      isChecking = false
    }
  }

  function userChanged(user: Pick<UserRow, 'id' | 'role' | 'isActive' | 'providers'>): void {
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
