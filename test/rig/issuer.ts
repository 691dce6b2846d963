/**
 * An OpenID issuer on this machine: a discovery document, public keys that can be changed, and tokens signed with any
 * of them. It can go away and come back, hang, or answer with nonsense.
 */
import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { freePort } from './ports.ts'

export const AUDIENCE = 'alzy-maps'

export type Issuer = Awaited<ReturnType<typeof startIssuer>>

interface Key {
  kid: string
  alg: string
  privateKey: CryptoKey
  publicKey: CryptoKey
}

export interface Claims extends JWTPayload {
  email?: string
  email_verified?: unknown
}

export interface Signing {
  header?: Record<string, unknown>
  /** Default: the newest of the issuer's keys. */
  key?: Key
}

const DISCOVERY = '/.well-known/openid-configuration'
const KEYS = '/keys'
let kids = 0

/** A key that no issuer has published. */
export async function makeKey(kid = `key-${++kids}`, alg = 'RS256'): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { kid, alg, privateKey, publicKey }
}

/** `path` is what the issuer's address has behind the port. */
export async function startIssuer({ path = '' } = {}) {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}${path}`
  const keys = [await makeKey()]
  const asked: string[] = []
  let server: Server | null = null
  let answer: 'well' | 'hang' | 'error' | 'nonsense' | 'as another' = 'well'
  await back()
  return {
    url,
    /** What a hub needs to accept its tokens. */
    env: { ALZY_OIDC_ISSUER: url, ALZY_OIDC_AUDIENCE: AUDIENCE },
    /** Paths that were asked for, in order. */
    asked: asked as readonly string[],
    keys: keys as readonly Key[],
    sign,
    rotate,
    forget,
    publicPem: () => exportSPKI(keys.at(-1)!.publicKey),
    away,
    back,
    answers: (how: typeof answer) => {
      answer = how
    },
  }

  /** The claims of a good token of an hour, with these in their place; one that is undefined is left out. */
  async function sign(claims: Claims, { header = {}, key = keys.at(-1)! }: Signing = {}): Promise<string> {
    const nowS = Math.floor(Date.now() / 1000)
    const all = { iss: url, aud: AUDIENCE, iat: nowS, exp: nowS + 3_600, ...claims }
    return new SignJWT(JSON.parse(JSON.stringify(all)) as JWTPayload)
      .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'JWT', ...header })
      .sign(key.privateKey)
  }

  /** From now on tokens are signed with a new key, which is published beside the older ones. */
  async function rotate(alg = 'RS256'): Promise<Key> {
    const key = await makeKey(undefined, alg)
    keys.push(key)
    return key
  }

  /** The key is published no more. */
  function forget(kid: string): void {
    keys.splice(0, keys.length, ...keys.filter((key) => key.kid !== kid))
  }

  async function away(): Promise<void> {
    server?.closeAllConnections()
    if (server !== null) await new Promise((resolve) => server!.close(resolve))
    server = null
  }

  async function back(): Promise<void> {
    server = createServer((request, response) => {
      asked.push(request.url!)
      void respond(request.url!, response)
    })
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    if ((server.address() as AddressInfo).port !== port) throw new Error('not where it was')
  }

  async function respond(place: string, response: ServerResponse): Promise<void> {
    if (answer === 'hang') return
    if (answer === 'error') return void response.writeHead(500).end()
    if (answer === 'nonsense') return void response.end('<html>login</html>')
    if (place === `${path}${DISCOVERY}`) {
      const issuer = answer === 'as another' ? 'https://elsewhere.example' : url
      response.end(JSON.stringify({ issuer, jwks_uri: `${url}${KEYS}` }))
    } else if (place === `${path}${KEYS}`) {
      response.end(JSON.stringify({ keys: await Promise.all(keys.map(published)) }))
    } else {
      response.writeHead(404).end()
    }
  }
}

async function published({ kid, alg, publicKey }: Key) {
  return { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' }
}
