/**
 * The token of whoever looks at the page: taken from the link that brought it, kept for this tab only, and never left
 * in the address bar or the history.
 */
import { computed, signal } from '@preact/signals'

const KEY = 'alzy.token'
const REFRESH_KEY = 'alzy.refresh'

export type Credential = ReturnType<typeof createCredential>

export function createCredential() {
  const fromLink = takeFromFragment('token')
  if (fromLink !== null) {
    sessionStorage.setItem(KEY, fromLink)
    sessionStorage.removeItem(REFRESH_KEY)
  }
  const held = signal(sessionStorage.getItem(KEY))
  /** Why there is none, when there was one. */
  const ended = signal<string | null>(null)
  return {
    token: computed(() => held.value),
    ended,
    keep,
    forget,
    get refreshToken() {
      return sessionStorage.getItem(REFRESH_KEY)
    },
  }

  function keep(token: string, refreshToken: string | null = null): void {
    sessionStorage.setItem(KEY, token)
    if (refreshToken !== null) sessionStorage.setItem(REFRESH_KEY, refreshToken)
    ended.value = null
    held.value = token
  }

  function forget(why: string | null): void {
    sessionStorage.removeItem(KEY)
    sessionStorage.removeItem(REFRESH_KEY)
    ended.value = why
    held.value = null
  }
}

/** The value of `#name=…`, which is then gone from the address bar. */
export function takeFromFragment(name: string): string | null {
  const fragment = new URLSearchParams(location.hash.slice(1))
  const value = fragment.get(name)
  if (value === null) return null
  history.replaceState(null, '', location.pathname + location.search)
  return value === '' ? null : value
}

/** A token as people paste it: bare, or in the link that `alzy demo` or a share gave them. */
export function tokenIn(text: string): string {
  return /#token=([^&\s]+)/.exec(text)?.[1] ?? text.trim()
}
