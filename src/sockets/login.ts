/** HELLO of viewers and admins: a token becomes a user, or a reason to close. Role and activity are the database's. */
import type { Directory, UserRow } from '../core/directory.ts'
import { CLOSE, type Close } from '../protocol/closes.ts'
import type { Right } from '../rights.ts'
import type { Tokens } from '../tokens.ts'

export type Login = { user: UserRow; expiresMs: number } | { close: Close }

export function createLogin(tokens: Tokens, directory: Pick<Directory, 'findUser'>, now: () => number) {
  return async (token: string): Promise<Login> => {
    const nowMs = now()
    const check = await tokens.check(token, nowMs)
    if (check.is === 'expired') return { close: CLOSE.tokenExpired }
    // The operator is nobody's user, so there is nothing to watch as.
    if (check.is === 'refused' || check.subject === 'operator') return { close: CLOSE.refused }
    try {
      const user = await directory.findUser(check.subject.userId)
      return user?.isActive ? { user, expiresMs: check.expiresMs } : { close: CLOSE.refused }
    } catch {
      // A dependency that is away is never the client's fault.
      return { close: CLOSE.unavailable }
    }
  }
}

/** Whether a user may keep what was granted at HELLO: active still, and no less than an admin who was one. */
export function keeps(user: UserRow, right: Right | null | undefined): boolean {
  if (right === undefined) return true
  return right?.isActive === true && (user.role !== 'admin' || right.role === 'admin')
}

export type LoginCheck = ReturnType<typeof createLogin>
