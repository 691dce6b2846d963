/** AUTH: the socket of a viewer or an admin goes on with a fresh token of the same subject (V7). */
import { isRenewed, renewed, type ViewerGrant } from '../core/grant.ts'
import type { Ops } from '../ops/ops.ts'
import { CLOSE, type Close } from '../protocol/closes.ts'
import { encodeAuthOk, encodeError } from '../protocol/encode.ts'
import { expired, type Login, type LoginCheck } from './login.ts'
import type { Rights } from './rights.ts'

/** A socket that has had its WELCOME. */
export interface Renewable {
  peer: {
    readonly isOpen: boolean
    readonly address: string
    send: (frame: Uint8Array) => boolean
    end: (close: Close) => void
  }
  grant: ViewerGrant | null
  /** To be called when the socket is closed, or goes on by another token. */
  release: () => void
  expiresMs: number
  /** The token of an AUTH that is being looked at; of several in a row the last one counts. */
  freshToken: string | null
}

export interface RenewalOptions {
  login: LoginCheck
  hold: Rights['hold']
  ops: Pick<Ops, 'counts' | 'audit'>
}

export function createRenewal({ login, hold, ops }: RenewalOptions) {
  return renew

  async function renew(socket: Renewable, token: string): Promise<void> {
    const isUnderWay = socket.freshToken !== null
    socket.freshToken = token
    // However many are sent, one is looked at.
    if (isUnderWay) return
    while (socket.freshToken !== null && socket.peer.isOpen) {
      const looked: string = socket.freshToken
      const found = await login(looked)
      if (socket.freshToken !== looked) continue
      socket.freshToken = null
      settle(socket, socket.grant!, found)
    }
  }

  function settle(socket: Renewable, grant: ViewerGrant, found: Login): void {
    if ('close' in found) {
      if (found.close === CLOSE.tokenExpired) return socket.peer.end(expired(grant))
      if (found.close === CLOSE.refused) return refuse(socket)
      // The token of before is still good, and a viewer may not lose its stream because something is away.
      socket.peer.send(encodeError(CLOSE.unavailable.code, 'AUTH cannot be checked now: send it again', null))
      return
    }
    if (!isRenewed(grant, found.grant)) return refuse(socket)
    // It may have left meanwhile, and nobody would let go of what is held for it.
    if (!socket.peer.isOpen) return
    const held = renewed(grant, found.grant)
    socket.release()
    socket.grant = held
    socket.release = hold(held, () => socket.peer.end(CLOSE.refused))
    socket.expiresMs = found.expiresMs
    socket.peer.send(encodeAuthOk(found.expiresMs))
  }

  function refuse({ peer }: Renewable): void {
    ops.counts.authRefused += 1
    ops.audit.refused('token', peer.address)
    peer.end(CLOSE.refused)
  }
}
