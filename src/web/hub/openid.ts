/**
 * Signing in at the OpenID issuer of the hub: the authorization code flow with PKCE (RFC 7636), and the token again
 * when it runs out. The hub is not asked; it only checks what comes out.
 */
import type { TokenSource } from '../../client/browser.ts'
import { retryAfterMs } from '../../client/retryAfter.ts'
import { systemClock } from '../../clock.ts'
import type { ConfigJson } from '../../protocol/http.ts'
import type { Credential } from './credential.ts'

export interface Grant {
  token: string
  refreshToken: string | null
}

type Issuer = NonNullable<ConfigJson['oidc']>

interface Endpoints {
  authorization_endpoint: string
  token_endpoint: string
}

const KEY = 'alzy.signIn'
const SCOPE = 'openid email profile'
const RANDOM_BYTES = 32

export const SIGN_IN_EXPIRED = 'Your sign-in has expired. Please sign in again.'

/** An issuer that says nothing for so long is away. */
const ANSWER_MS_MAX = 10_000
/** What comes with an OAuth error (RFC 6749, 5.2); some issuers say 403. Any other status is no word on the grant. */
const REFUSALS = [400, 401, 403]

/** The issuer will not have what it was shown, now or later. */
class IssuerRefusal extends Error {}

/** Nobody can tell what the issuer thinks: it did not answer, or has no time. */
class IssuerAway extends Error {
  readonly retryAfterMs: number

  constructor(message: string, retryAfterMs = 0) {
    super(message)
    this.retryAfterMs = retryAfterMs
  }
}

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
export function freshTokenOf(setup: ConfigJson, credential: Credential): TokenSource {
  const { oidc } = setup
  if (oidc === null || credential.refreshToken === null) return credential.token.peek() ?? ''
  const renew = createRenewal(oidc, credential)
  return async (isDue) => {
    if (isDue) await renew()
    return credential.token.peek() ?? ''
  }
}

/**
 * Gets the next token of this sign-in, once for all who ask meanwhile: a refresh token may be good for one time only.
 * An issuer that is away is asked again when somebody asks, but no earlier than it said; one that will not have the
 * refresh token ends the sign-in.
 */
function createRenewal(issuer: Issuer, credential: Credential): () => Promise<void> {
  let underWay: Promise<void> | null = null
  /** Of `systemClock.elapsed()`, which never jumps. */
  let notBeforeMs = 0
  return () => {
    underWay ??= renew().finally(() => {
      underWay = null
    })
    return underWay
  }

  async function renew(): Promise<void> {
    if (systemClock.elapsed() < notBeforeMs)
      throw new IssuerAway('The issuer asked to be left alone for a while.')
    const refreshToken = credential.refreshToken
    if (refreshToken === null) throw new IssuerRefusal('Nobody is signed in any more.')
    try {
      const grant = await exchange(issuer, { grant_type: 'refresh_token', refresh_token: refreshToken })
      // Whoever signed out meanwhile stays so.
      if (credential.refreshToken === refreshToken) credential.renew(grant.token, grant.refreshToken)
    } catch (fault) {
      if (fault instanceof IssuerAway) notBeforeMs = systemClock.elapsed() + fault.retryAfterMs
      if (fault instanceof IssuerRefusal && credential.refreshToken === refreshToken) {
        credential.forget(SIGN_IN_EXPIRED)
      }
      throw fault
    }
  }
}

async function exchange(issuer: Issuer, fields: Record<string, string>): Promise<Grant> {
  const { token_endpoint } = await discover(issuer.issuer)
  const response = await ask(token_endpoint, {
    method: 'POST',
    body: new URLSearchParams({ ...fields, client_id: issuer.clientId }),
  })
  const answer = (await response.json().catch(() => null)) as {
    id_token?: string
    refresh_token?: string
    error?: string
    error_description?: string
  } | null
  if (REFUSALS.includes(response.status) && answer?.error !== undefined) {
    throw new IssuerRefusal(answer.error_description ?? answer.error)
  }
  if (!response.ok || answer === null) throw awayAs(response)
  if (answer.id_token === undefined) throw new IssuerRefusal('The issuer gave no token.')
  // Made out to this page (`aud`), which is what the hub wants to see; an access token need not be.
  return { token: answer.id_token, refreshToken: answer.refresh_token ?? fields.refresh_token ?? null }
}

async function discover(issuer: string): Promise<Endpoints> {
  const response = await ask(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
  if (!response.ok) throw awayAs(response)
  return (await response.json()) as Endpoints
}

function ask(url: string, init: RequestInit = {}): Promise<Response> {
  return fetch(url, { ...init, signal: AbortSignal.timeout(ANSWER_MS_MAX) }).catch(() => {
    throw new IssuerAway('The issuer cannot be reached. Please try again.')
  })
}

function awayAs({ status, headers }: Response): IssuerAway {
  const waitMs = retryAfterMs(headers.get('retry-after')) ?? 0
  return new IssuerAway(`The issuer answered ${status}. Please try again.`, waitMs)
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
