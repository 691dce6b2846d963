/** Signing in at an OpenID issuer: the browser is sent there and comes back with a token that the hub accepts. */
import { createHash } from 'node:crypto'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startHub, type TestHub, type TestUser } from '../rig/hub.ts'
import { type Issuer, startIssuer } from '../rig/issuer.ts'
import { createEmbedded, type TestDatabase } from '../rig/kinds.ts'
import { browserMissing, openBrowser, openPage } from './browser.ts'

const name = browserMissing === null ? 'sign-in' : `sign-in (${browserMissing})`

describe.skipIf(browserMissing !== null)(name, () => {
  let database: TestDatabase
  let issuer: Issuer
  let hub: TestHub
  let user: TestUser
  let browser: Browser

  beforeAll(async () => {
    issuer = await startIssuer()
    database = await createEmbedded()
    hub = await startHub({ database, env: issuer.env })
    user = await hub.addUser()
    browser = await openBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    await hub?.end()
    await issuer?.away()
    await database?.drop()
  })

  test('with a code that is worth nothing without the verifier of this tab', async () => {
    const { page, problems, close } = await openPage(browser, [
      `127.0.0.1:${hub.port}`,
      new URL(issuer.url).host,
    ])
    const allowed = { 'access-control-allow-origin': hub.http }
    let challenge = ''
    let verified: string | null = null
    // What this issuer does not have: the two ends of the flow.
    await page.route(`${issuer.url}/.well-known/openid-configuration`, (route) =>
      route.fulfill({
        headers: allowed,
        json: {
          issuer: issuer.url,
          authorization_endpoint: `${issuer.url}/authorize`,
          token_endpoint: `${issuer.url}/token`,
        },
      }),
    )
    await page.route(`${issuer.url}/authorize?**`, async (route) => {
      const asked = new URL(route.request().url()).searchParams
      expect(Object.fromEntries(asked)).toMatchObject({
        response_type: 'code',
        client_id: issuer.env.ALZY_OIDC_AUDIENCE,
        code_challenge_method: 'S256',
        redirect_uri: `${hub.http}/`,
      })
      challenge = asked.get('code_challenge')!
      const back = new URL(asked.get('redirect_uri')!)
      back.search = new URLSearchParams({ code: 'a code', state: asked.get('state')! }).toString()
      await route.fulfill({ status: 302, headers: { location: back.href } })
    })
    await page.route(`${issuer.url}/token`, async (route) => {
      const sent = new URLSearchParams(route.request().postData()!)
      expect(sent.get('code')).toBe('a code')
      verified = createHash('sha256').update(sent.get('code_verifier')!).digest('base64url')
      const token = await issuer.sign({ sub: 'somebody', email: user.email, email_verified: true })
      await route.fulfill({ headers: allowed, json: { id_token: token } })
    })

    await page.goto(hub.http)
    await page.getByRole('button', { name: /^Sign in at/ }).click()
    await page.getByText('Nothing to see yet').waitFor()
    expect(verified).toBe(challenge)
    expect(page.url()).toBe(`${hub.http}/`)
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.goto(`${hub.http}/?code=stolen&state=unknown`)
    await page.getByRole('button', { name: /^Sign in at/ }).waitFor()
    expect(problems).toEqual([])
    await close()
  })

  test('a token is renewed while the issuer will, and then the sign-in has expired', async () => {
    const { page, problems, close } = await openPage(browser, [
      `127.0.0.1:${hub.port}`,
      new URL(issuer.url).host,
    ])
    const allowed = { 'access-control-allow-origin': hub.http }
    await page.route(`${issuer.url}/.well-known/openid-configuration`, (route) =>
      route.fulfill({
        headers: allowed,
        json: {
          issuer: issuer.url,
          authorization_endpoint: `${issuer.url}/authorize`,
          token_endpoint: `${issuer.url}/token`,
        },
      }),
    )
    await page.route(`${issuer.url}/authorize?**`, async (route) => {
      const asked = new URL(route.request().url()).searchParams
      const back = new URL(asked.get('redirect_uri')!)
      back.search = new URLSearchParams({ code: 'a code', state: asked.get('state')! }).toString()
      await route.fulfill({ status: 302, headers: { location: back.href } })
    })
    const refreshed: (string | null)[] = []
    await page.route(`${issuer.url}/token`, async (route) => {
      const sent = new URLSearchParams(route.request().postData()!)
      if (sent.get('grant_type') === 'refresh_token') refreshed.push(sent.get('refresh_token'))
      if (refreshed.length === 2) {
        return route.fulfill({ status: 400, headers: allowed, json: { error: 'invalid_grant' } })
      }
      const token = await issuer.sign({
        sub: 'somebody',
        email: user.email,
        email_verified: true,
        exp: Math.floor(Date.now() / 1_000) + 12,
      })
      await route.fulfill({
        headers: allowed,
        json: { id_token: token, refresh_token: `refresh ${refreshed.length}` },
      })
    })

    await page.goto(hub.http)
    await page.getByRole('button', { name: /^Sign in at/ }).click()
    await page.getByText('Nothing to see yet').waitFor()
    await page.getByText('Your sign-in has expired').waitFor()
    expect(refreshed).toEqual(['refresh 0', 'refresh 1'])
    // The refusal, which a browser says on the console.
    expect(problems.filter((problem) => !problem.includes(`${issuer.url}/token`))).toEqual([])
    await close()
  })
})
