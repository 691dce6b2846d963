/** Signing in at an OpenID issuer: the browser is sent there and comes back with a token that the hub accepts. */
import { createHash } from 'node:crypto'
import type { Browser, Page, Route } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startHub, type TestHub, type TestUser } from '../rig/hub.ts'
import { type Issuer, startIssuer } from '../rig/issuer.ts'
import { createEmbedded, type TestDatabase } from '../rig/kinds.ts'
import { until } from '../rig/until.ts'
import { browserMissing, openBrowser, openPage, PATIENCE_MS, type WatchedPage } from './browser.ts'

/** How long a token lasts that is to be renewed soon, and for how long an issuer wants to be left alone. */
const SHORT_S = 12
const LATER_S = 10

type Answer = NonNullable<Parameters<Route['fulfill']>[0]> | 'nothing'

interface Ends {
  asked?: (query: URLSearchParams) => void
  token: (sent: URLSearchParams) => Promise<Answer>
}

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
    const { page, problems, close } = await open()
    let challenge = ''
    let verified: string | null = null
    await routeIssuer(page, {
      asked: (asked) => {
        expect(Object.fromEntries(asked)).toMatchObject({
          response_type: 'code',
          client_id: issuer.env.ALZY_OIDC_AUDIENCE,
          code_challenge_method: 'S256',
          redirect_uri: `${hub.http}/`,
        })
        challenge = asked.get('code_challenge')!
      },
      token: async (sent) => {
        expect(sent.get('code')).toBe('a code')
        verified = createHash('sha256').update(sent.get('code_verifier')!).digest('base64url')
        return { json: { id_token: await idToken() } }
      },
    })

    await signIn(page)
    expect(verified).toBe(challenge)
    expect(page.url()).toBe(`${hub.http}/`)
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.goto(`${hub.http}/?code=stolen&state=unknown`)
    await page.getByRole('button', { name: /^Sign in at/ }).waitFor()
    expect(problems).toEqual([])
    await close()
  })

  test('a token is renewed while the issuer will, and then the sign-in has expired', async () => {
    const { page, problems, close } = await open()
    const refreshed: (string | null)[] = []
    await routeIssuer(page, {
      token: async (sent) => {
        if (sent.get('grant_type') === 'refresh_token') refreshed.push(sent.get('refresh_token'))
        if (refreshed.length === 2) return { status: 400, json: { error: 'invalid_grant' } }
        const id_token = await idToken(SHORT_S)
        return { json: { id_token, refresh_token: `refresh ${refreshed.length}` } }
      },
    })

    await signIn(page)
    await page.getByText('Your sign-in has expired').waitFor()
    expect(refreshed).toEqual(['refresh 0', 'refresh 1'])
    expect(besidesIssuer(problems)).toEqual([])
    await close()
  })

  test('an issuer that is away is asked again, no earlier than it said, and the sign-in goes on', async () => {
    const { page, problems, close } = await open()
    /** What becomes of a refresh, one after the other; without any more it goes on like the last. */
    const away: Answer[] = [
      {
        status: 429,
        headers: { 'retry-after': String(LATER_S), 'access-control-expose-headers': 'retry-after' },
        json: { error: 'too_many_requests' },
      },
      { status: 503, body: 'not now' },
      { status: 400, contentType: 'text/html', body: '<h1>proxy</h1>' },
      'nothing',
      { status: 429 },
    ]
    const askedMs: number[] = []
    let isBack = false
    await routeIssuer(page, {
      token: async (sent) => {
        const isRefresh = sent.get('grant_type') === 'refresh_token'
        if (isRefresh) askedMs.push(performance.now())
        if (isRefresh && !isBack) return away[Math.min(askedMs.length, away.length) - 1]!
        return { json: { id_token: await idToken(isBack ? 3_600 : SHORT_S), refresh_token: 'refresh' } }
      },
    })

    await signIn(page)
    // Whoever is in a hurry makes it no earlier.
    await hurryUntil(() => askedMs.length >= away.length, 'it has asked in vain')
    expect(askedMs[1]! - askedMs[0]!).toBeGreaterThanOrEqual(LATER_S * 1_000)
    // The token has run out by now, and the hub refuses it to whoever asks for more.
    await page.getByRole('button', { name: 'Share' }).click()
    await page.getByRole('alert').waitFor()
    await page.getByRole('button', { name: 'Close' }).click()
    await page.getByText('No connection').or(page.getByText('Connecting…')).waitFor()
    isBack = true
    await hurryUntil(() => page.getByText('Live', { exact: true }).isVisible(), 'it is connected again')
    expect(besidesIssuer(problems).filter((problem) => !problem.includes('/v1/shares'))).toEqual([])
    await close()

    function hurryUntil(predicate: () => boolean | Promise<boolean>, what: string): Promise<boolean> {
      const connect = page.getByRole('button', { name: 'Connect now' })
      return until(
        async () => {
          if (await predicate()) return true
          await connect.click({ timeout: 2_000 }).catch(() => {
            // It is connecting by itself just now.
          })
          return false
        },
        what,
        PATIENCE_MS,
      )
    }
  })

  function open(): Promise<WatchedPage> {
    return openPage(browser, [`127.0.0.1:${hub.port}`, new URL(issuer.url).host])
  }

  async function signIn(page: Page): Promise<void> {
    await page.goto(hub.http)
    await page.getByRole('button', { name: /^Sign in at/ }).click()
    await page.getByText('Nothing to see yet').waitFor()
  }

  function idToken(lastsS = 3_600): Promise<string> {
    const { email } = user
    const exp = Math.floor(Date.now() / 1_000) + lastsS
    return issuer.sign({ sub: 'somebody', email, email_verified: true, exp })
  }

  /** What this issuer does not have: the two ends of the flow. */
  async function routeIssuer(page: Page, { asked = () => {}, token }: Ends): Promise<void> {
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
      const query = new URL(route.request().url()).searchParams
      asked(query)
      const back = new URL(query.get('redirect_uri')!)
      back.search = new URLSearchParams({ code: 'a code', state: query.get('state')! }).toString()
      await route.fulfill({ status: 302, headers: { location: back.href } })
    })
    await page.route(`${issuer.url}/token`, async (route) => {
      const answer = await token(new URLSearchParams(route.request().postData()!))
      if (answer !== 'nothing') await route.fulfill({ ...answer, headers: { ...allowed, ...answer.headers } })
    })
  }

  /** What a browser says on the console of an issuer's refusals is none of ours. */
  function besidesIssuer(problems: readonly string[]): string[] {
    return problems.filter((problem) => !problem.includes(`${issuer.url}/token`))
  }
})
