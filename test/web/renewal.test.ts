/** A token is renewed at an issuer by more than one who asks, and by whoever is still signed in. */
import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Credential } from '../../src/web/hub/credential.ts'
import { freshTokenOf } from '../../src/web/hub/openid.ts'
import { until } from '../rig/until.ts'

/** Renewals that wait for their answer, by the refresh token that came with each. */
let asked: { refreshToken: string | null; response: ServerResponse }[]
let issuer: Server
let held: { token: string; refreshToken: string | null }
let token: (isDue: boolean) => string | Promise<string>

beforeEach(async () => {
  asked = []
  held = { token: 'token 0', refreshToken: 'refresh 0' }
  issuer = createServer(async (request, response) => {
    if (request.method === 'POST') {
      const refreshToken = new URLSearchParams(await text(request)).get('refresh_token')
      asked.push({ refreshToken, response })
    } else response.end(JSON.stringify({ token_endpoint: `${url()}/token` }))
  })
  await once(issuer.listen(0, '127.0.0.1'), 'listening')
  const credential = {
    token: { peek: () => held.token },
    get refreshToken() {
      return held.refreshToken
    },
    renew: (renewed: string, refreshToken: string | null) => {
      held = { token: renewed, refreshToken }
    },
  } as unknown as Credential
  token = freshTokenOf(
    { mapStyle: null, oidc: { issuer: url(), clientId: 'maps' } },
    credential,
  ) as typeof token
})

afterEach(() => {
  issuer.closeAllConnections()
  issuer.close()
})

test('the connections of a page renew its token with one refresh token, which may be good but once', async () => {
  const both = Promise.all([token(true), token(true)])
  await answer(1)
  expect(await both).toEqual(['token 1', 'token 1'])
  const later = token(true)
  await answer(2)
  expect(await later).toBe('token 2')
  expect(asked.map(({ refreshToken }) => refreshToken)).toEqual(['refresh 0', 'refresh 1'])
})

test('who signs out while the token is renewed stays signed out', async () => {
  const renewed = token(true)
  await until(() => asked.length === 1, 'the issuer is asked')
  held = { token: '', refreshToken: null }
  await answer(1)
  await renewed
  expect(held.refreshToken).toBeNull()
})

function url(): string {
  return `http://127.0.0.1:${(issuer.address() as AddressInfo).port}`
}

async function answer(n: number): Promise<void> {
  await until(() => asked.length >= n, `the issuer is asked ${n} times`)
  asked[n - 1]!.response.end(JSON.stringify({ id_token: `token ${n}`, refresh_token: `refresh ${n}` }))
}
