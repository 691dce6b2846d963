/** Who sent a request, from its token; what they may do is the database's word. */
import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Identify } from '../access/identity.ts'
import type { Directory } from '../core/directory.ts'
import type { Provider } from '../core/grant.ts'
import type { Actor, Audit } from '../ops/audit.ts'
import type { DeviceJson, UserJson } from '../protocol/http.ts'
import { Problem } from './message.ts'

/** Whoever sent the request. The operator holds the hub's secret and may do what an admin may. */
export type Caller =
  | { user: UserJson; isAdmin: boolean; via?: Provider | undefined }
  | { user: null; isAdmin: true }

/** Throws Problem for a token that is missing, expired or refused. `address` is where it came from. */
export type FindCaller = (token: string | null, address: string) => Promise<Caller>

/** Tokens whose first use was noted; one that was forgotten is noted again, which does no harm. */
const TOKENS_NOTED_MAX = 10_000

/** `onLogin` hears of a user once per token. */
export function createFindCaller(identify: Identify, onLogin: (userId: number) => void): FindCaller {
  const noted = new LRUCache<string, true>({ max: TOKENS_NOTED_MAX })
  return async (token) => {
    if (token === null) throw new Problem(401, 'a token is needed: Authorization: Bearer <token>')
    const identity = await identify(token)
    switch (identity.is) {
      case 'user':
        if (isNew(token)) onLogin(identity.user.id)
        return { user: identity.user, isAdmin: identity.user.role === 'admin', via: identity.via }
      case 'operator':
        return { user: null, isAdmin: true }
      case 'share':
        throw new Problem(403, 'the token of a share is for /v1/live alone')
      case 'expired':
        throw new Problem(401, 'the token has expired')
      case 'refused':
        throw new Problem(401, 'the token is refused')
      case 'away':
        throw new Problem(503, 'the issuer of the token is away, so it cannot be checked; try again')
    }
  }

  function isNew(token: string): boolean {
    const key = createHash('sha256').update(token).digest('base64')
    const isNoted = noted.has(key)
    noted.set(key, true)
    return !isNoted
  }
}

/** `findCaller`, with its admins and its refusals in the audit trail. */
export function auditing(findCaller: FindCaller, audit: Pick<Audit, 'adminLogin' | 'refused'>): FindCaller {
  return async (token, address) => {
    try {
      const caller = await findCaller(token, address)
      if (caller.isAdmin) audit.adminLogin(actorOf(caller, address), 'http')
      return caller
    } catch (error) {
      // Without a token nothing was shown that could be refused.
      if (token !== null && error instanceof Problem && error.status === 401) audit.refused('token', address)
      throw error
    }
  }
}

/** Who did something; null is nobody who has logged in. */
export function actorOf(caller: Caller | null, address: string): Actor {
  return { by: caller === null ? null : (caller.user?.id ?? 'operator'), address }
}

/** Whose devices are meant: the caller's own, or for an admin anyone's; null is everyone's. */
export function ownerOf(caller: Caller, userId: number | undefined): number | null {
  if (caller.isAdmin) return userId ?? caller.user?.id ?? null
  if (userId !== undefined && userId !== caller.user.id)
    throw new Problem(403, 'only admins may name another user')
  return caller.user.id
}

/** The device, if the caller may see it; else it is not there. */
export async function ownDevice(
  directory: Pick<Directory, 'findDevice'>,
  { user, isAdmin }: Caller,
  deviceId: number,
): Promise<DeviceJson> {
  const device = await directory.findDevice(deviceId)
  if (device === null || !(isAdmin || device.userId === user.id)) {
    throw new Problem(404, 'there is no such device')
  }
  return device
}
