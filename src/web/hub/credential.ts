/**
 * The token of whoever looks at the page: taken from the link that brought it, kept for this tab only, and never left
 * in the address bar or the history.
 */
import { computed, signal } from '@preact/signals'

const KEY = 'alzy.token'
const REFRESH_KEY = 'alzy.refresh'

export type Credential = ReturnType<typeof createCredential>

export function createCredential() {
  const held = signal(sessionStorage.getItem(KEY))
  /** Why there is none, when there was one. */
  const ended = signal<string | null>(null)
  /** Another one is another person, perhaps: what was opened with the last is opened anew. */
  const signIns = signal(0)
  hearFragment('token', (token) => {
    sessionStorage.removeItem(REFRESH_KEY)
    keep(token)
  })
  return {
    token: computed(() => held.value),
    ended,
    signIns: computed(() => signIns.value),
    keep,
    renew,
    refused,
    forget,
    get refreshToken() {
      return sessionStorage.getItem(REFRESH_KEY)
    },
  }

  function keep(token: string, refreshToken: string | null = null): void {
    renew(token, refreshToken)
    signIns.value += 1
  }

  /** A newer token of the same sign-in. */
  function renew(token: string, refreshToken: string | null): void {
    sessionStorage.setItem(KEY, token)
    if (refreshToken !== null) sessionStorage.setItem(REFRESH_KEY, refreshToken)
    ended.value = null
    held.value = token
  }

  /**
   * The HTTP API would not have the token. One that an issuer renews has run out while the issuer is away: that is for
   * the connection to say, which asks for the next one and is refused as well when there is none.
   */
  function refused(): void {
    if (sessionStorage.getItem(REFRESH_KEY) !== null) return
    forget('Your sign-in is not good any more. Please sign in again.')
  }

  function forget(why: string | null): void {
    sessionStorage.removeItem(KEY)
    sessionStorage.removeItem(REFRESH_KEY)
    ended.value = why
    held.value = null
  }
}

/** Hears `#name=…` of the link that opened the page, and of every one opened in it; none stays in the address bar. */
export function hearFragment(name: string, heard: (value: string) => void): void {
  take()
  // To a page that is open already such a link is only another fragment.
  addEventListener('hashchange', take)

  function take(): void {
    const value = new URLSearchParams(location.hash.slice(1)).get(name)
    if (value === null) return
    history.replaceState(null, '', location.pathname + location.search)
    if (value !== '') heard(value)
  }
}

/** A token as people paste it: bare, or in the link that `alzy demo` or a share gave them. */
export function tokenIn(text: string): string {
  return /#token=([^&\s]+)/.exec(text)?.[1] ?? text.trim()
}
