/**
 * The public keys of an OpenID issuer: found by its discovery document, kept, fetched anew when they are old or lack
 * a key, and still served for a while when the issuer is away. It knows no token.
 */
import { createLocalJWKSet, type JWTVerifyGetKey } from 'jose'
import { z } from 'zod'
import type { Clock } from '../clock.ts'

export interface KeySetOptions {
  /** As it stands in tokens and in the discovery document, to the letter. */
  issuer: string
  limits: {
    /** Keys that were fetched so recently are not fetched again, unless one is missing. */
    oidcKeysFreshMs: number
    /** Keys that could not be fetched again for so long are not believed any more. */
    oidcKeysStaleMs: number
    /** From one fetch to the next, however the first one ended: nobody makes the hub hammer the issuer. */
    oidcCooldownMs: number
    oidcTimeoutMs: number
  }
  fetch: typeof globalThis.fetch
  /** A fetch failed; called at most once per cooldown. */
  onAway: (error: unknown) => void
  clock: Pick<Clock, 'elapsed'>
}

/** Finds the key of a token; throws jose's errors. */
export type Keys = JWTVerifyGetKey

const DISCOVERY = z.looseObject({ issuer: z.string(), jwks_uri: z.url() })
const DOCUMENT_BYTES_MAX = 512 * 1024

export function createKeySet(options: KeySetOptions) {
  const { limits, clock } = options
  let held: { keys: Keys; fetchedMs: number } | null = null
  let triedMs = Number.NEGATIVE_INFINITY
  let fetching: Promise<void> | null = null
  return { current, after }

  /** The keys, as fresh as can be had; null when there are none to be believed. */
  async function current(): Promise<Keys | null> {
    if (held === null || age() > limits.oidcKeysFreshMs) await refresh()
    return held !== null && age() <= limits.oidcKeysStaleMs ? held.keys : null
  }

  /** Keys fetched after these, in which one was missing; null when it is too early, or the issuer is away. */
  async function after(older: Keys): Promise<Keys | null> {
    if (held?.keys === older) await refresh()
    return held === null || held.keys === older ? null : held.keys
  }

  /** Never rejects; one fetch for however many ask. */
  async function refresh(): Promise<void> {
    if (fetching === null && clock.elapsed() - triedMs < limits.oidcCooldownMs) return
    fetching ??= read()
      .then(
        (keys) => {
          held = { keys, fetchedMs: clock.elapsed() }
        },
        (error) => options.onAway(error),
      )
      .finally(() => {
        triedMs = clock.elapsed()
        fetching = null
      })
    await fetching
  }

  async function read(): Promise<Keys> {
    const place = `${options.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
    const found = DISCOVERY.safeParse(await readJson(place))
    if (!found.success) throw new Error('the discovery document is none')
    const { issuer, jwks_uri } = found.data
    if (issuer !== options.issuer) throw new Error('the discovery document is of another issuer')
    if (new URL(jwks_uri).protocol !== new URL(options.issuer).protocol) {
      throw new Error('the keys are offered over another protocol than the issuer')
    }
    return createLocalJWKSet((await readJson(jwks_uri)) as Parameters<typeof createLocalJWKSet>[0])
  }

  async function readJson(url: string): Promise<unknown> {
    const signal = AbortSignal.timeout(limits.oidcTimeoutMs)
    const headers = { accept: 'application/json' }
    const response = await options.fetch(url, { signal, headers, redirect: 'error' })
    if (!response.ok) throw new Error(`the issuer answered with HTTP ${response.status}`)
    const text = await textOf(response)
    try {
      return JSON.parse(text)
    } catch {
      // The parser's own words quote what it read, and nobody knows what that is.
      throw new Error('the issuer answered with something else than JSON')
    }
  }

  function age(): number {
    return clock.elapsed() - held!.fetchedMs
  }
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > DOCUMENT_BYTES_MAX)
      throw new Error(`the issuer answered with more than ${DOCUMENT_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
