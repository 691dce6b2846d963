/**
 * Signing in at the OpenID issuer of the hub: the authorization code flow with PKCE (RFC 7636), and the token again
 * when it runs out. The hub is not asked; it only checks what comes out.
 */
import type { TokenSource } from '../../client/browser.ts'
import type { Credential } from './credential.ts'
import type { Setup } from './shapes.ts'

export interface Grant {
  token: string
  refreshToken: string | null
}

type Issuer = NonNullable<Setup['oidc']>

interface Endpoints {
  authorization_endpoint: string
  token_endpoint: string
}

const KEY = 'alzy.signIn'
const SCOPE = 'openid email profile'
const RANDOM_BYTES = 32

export const SIGN_IN_EXPIRED = 'Your sign-in has expired. Please sign in again.'

class IssuerRefusal extends Error {}

/** Leaves the page for the issuer's. */
export async function beginSignIn(issuer: Issuer): Promise<void> {
  const { authorization_endpoint } = await discover(issuer.issuer)
  const state = randomText()
  const verifier = randomText()
  sessionStorage.setItem(KEY, JSON.stringify({ state, verifier }))
  const url = new URL(authorization_endpoint)
  url.search = new URLSearchParams({
    ...Object.fromEntries(url.searchParams),
    response_type: 'code',
    client_id: issuer.clientId,
    redirect_uri: redirectUri(),
    scope: SCOPE,
    state,
    code_challenge: await challengeOf(verifier),
    code_challenge_method: 'S256',
  }).toString()
  location.assign(url)
}

/** What the issuer sent the browser back with; null when this visit is no such return. */
export async function finishSignIn(issuer: Issuer): Promise<Grant | null> {
  const answer = new URLSearchParams(location.search)
  const stored = sessionStorage.getItem(KEY)
  if (stored === null || !answer.has('state')) return null
  sessionStorage.removeItem(KEY)
  history.replaceState(null, '', location.pathname)
  const { state, verifier } = JSON.parse(stored) as { state: string; verifier: string }
  if (answer.get('state') !== state) throw new Error('The sign-in was not begun here. Please try again.')
  const code = answer.get('code')
  if (code === null) {
    throw new Error(answer.get('error_description') ?? answer.get('error') ?? 'The issuer sent no code.')
  }
  return exchange(issuer, {
    grant_type: 'authorization_code',
    code,
    redirect_uri: redirectUri(),
    code_verifier: verifier,
  })
}

/**
 * What a client connects with. Only what the issuer renews is asked for again; any other token is good until it has
 * expired, and then the client stops and says so.
 */
export function freshTokenOf(setup: Setup, credential: Credential): TokenSource {
  const { oidc } = setup
  const refreshAtFirst = credential.refreshToken
  if (oidc === null || refreshAtFirst === null) return credential.token.peek() ?? ''
  return async (isDue) => {
    if (isDue) await renew(oidc, credential.refreshToken ?? refreshAtFirst, credential)
    return credential.token.peek() ?? ''
  }
}

/** An issuer that is away is asked again; one that will not have the refresh token ends the sign-in. */
async function renew(issuer: Issuer, refreshToken: string, credential: Credential): Promise<void> {
  try {
    const grant = await refresh(issuer, refreshToken)
    credential.renew(grant.token, grant.refreshToken)
  } catch (fault) {
    if (fault instanceof IssuerRefusal) credential.forget(SIGN_IN_EXPIRED)
    throw fault
  }
}

function refresh(issuer: Issuer, refreshToken: string): Promise<Grant> {
  return exchange(issuer, { grant_type: 'refresh_token', refresh_token: refreshToken })
}

async function exchange(issuer: Issuer, fields: Record<string, string>): Promise<Grant> {
  const { token_endpoint } = await discover(issuer.issuer)
  const response = await fetch(token_endpoint, {
    method: 'POST',
    body: new URLSearchParams({ ...fields, client_id: issuer.clientId }),
  })
  if (response.status >= 500) throw new Error(`The issuer answered ${response.status}. Please try again.`)
  const answer = (await response.json()) as {
    id_token?: string
    refresh_token?: string
    error?: string
    error_description?: string
  }
  if (answer.id_token === undefined) {
    throw new IssuerRefusal(answer.error_description ?? answer.error ?? 'The issuer gave no token.')
  }
  // Made out to this page (`aud`), which is what the hub wants to see; an access token need not be.
  return { token: answer.id_token, refreshToken: answer.refresh_token ?? fields.refresh_token ?? null }
}

async function discover(issuer: string): Promise<Endpoints> {
  const response = await fetch(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
  if (!response.ok) throw new Error(`${issuer} does not tell how to sign in (${response.status}).`)
  return (await response.json()) as Endpoints
}

function redirectUri(): string {
  return `${location.origin}${location.pathname}`
}

function randomText(): string {
  return base64Url(crypto.getRandomValues(new Uint8Array(RANDOM_BYTES)))
}

async function challengeOf(verifier: string): Promise<string> {
  return base64Url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))))
}

export function base64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
}
