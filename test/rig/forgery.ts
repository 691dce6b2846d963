/** Tokens of every shape, written by hand: right ones, and wrong ones of one defect each. */
import { createHmac } from 'node:crypto'
import { readSecret } from '../../src/access/tokens.ts'
import type { TestDatabase } from './kinds.ts'

export interface Forgery {
  claims?: Record<string, unknown>
  header?: Record<string, unknown>
}

/** The secret of the hub on this database. */
export async function secretOf({ env }: TestDatabase): Promise<string> {
  return env.ALZY_SECRET ?? readSecret(env.ALZY_DATA_DIR!)
}

/**
 * A token as a hub makes it, good for an hour, with these claims and headers in their place; what is undefined is left
 * out. Signed with the hash that its `alg` names.
 */
export function hubToken(secret: string, { claims = {}, header = {} }: Forgery): string {
  const head = { alg: 'HS256', typ: 'at+jwt', ...header }
  const signed = `${part(head)}.${part(claimsOf(claims))}`
  const hash = head.alg.replace('HS', 'sha')
  return `${signed}.${createHmac(hash, secret).update(signed).digest('base64url')}`
}

/** `alg` `none`: nobody has signed it. */
export function unsigned(claims: Record<string, unknown>): string {
  return `${part({ alg: 'none', typ: 'at+jwt' })}.${part(claimsOf(claims))}.`
}

/** The same token with other claims, and the signature of before. */
export function tampered(token: string, claims: Record<string, unknown>): string {
  const [head, body, signature] = token.split('.') as [string, string, string]
  const said = JSON.parse(Buffer.from(body, 'base64url').toString())
  return `${head}.${part({ ...said, ...claims })}.${signature}`
}

function claimsOf(claims: Record<string, unknown>): Record<string, unknown> {
  const nowS = Math.floor(Date.now() / 1000)
  return { iss: 'alzy', aud: 'alzy', iat: nowS, exp: nowS + 3_600, ...claims }
}

function part(json: object): string {
  return Buffer.from(JSON.stringify(json)).toString('base64url')
}
