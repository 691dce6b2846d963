/**
 * What the state of a connection means to somebody at a terminal: one line to end with, or nothing as long
 * as it is worth waiting. It neither connects nor ends anything.
 */
import type { ConnectionState } from '../client/node.ts'
import { CLOSE, CLOSE_NONE_SEEN } from '../protocol/closes.ts'

/**
 * A hub that was never reached is an error for a command that was just typed; one that went away while the
 * command was running comes back. `credential` is what the hub was shown.
 */
export function faultOf(
  state: ConnectionState,
  seen: { url: string; wasOpen: boolean; credential: 'device key' | 'token' },
): string | null {
  if (state.name === 'waiting' && !seen.wasOpen && state.code === CLOSE_NONE_SEEN) {
    return `hub not reachable at ${seen.url} (${state.reason}): is it running?`
  }
  if (state.name !== 'stopped') return null
  switch (state.code) {
    case CLOSE.normal.code:
      return null
    case CLOSE.refused.code:
      return `the hub refuses the ${seen.credential}`
    case CLOSE.tokenExpired.code:
      return 'the token has expired'
    case 400:
    case 403:
    case 404:
    case 426:
      return `no alzy hub of this version at ${seen.url} (HTTP ${state.code})`
    default:
      return `the hub ended the connection: ${state.reason} (${state.code})`
  }
}

/** Throws an Error of one line unless `url` can be the address of a hub. */
export function checkUrl(url: string): void {
  const { protocol } = URL.canParse(url) ? new URL(url) : { protocol: '' }
  if (!/^(http|ws)s?:$/.test(protocol)) {
    throw new Error(`${url} is no address of a hub; one looks like http://127.0.0.1:9001`)
  }
}
