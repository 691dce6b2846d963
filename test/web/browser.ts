/**
 * Debian's Chromium, and pages in it that hold everything against a page that is not as it should be: errors and
 * warnings on the console, violations of its policy, requests to any other host.
 */
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import axe from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

const PATHS = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
]
const executable = PATHS.find((path) => path !== undefined && existsSync(path))

/** Why there is no browser here, or null: `describe.skipIf(browserMissing !== null)`. */
export const browserMissing = executable === undefined ? 'no Chromium: apt-get install chromium' : null

/** WebGL without a graphics card, and nothing that Chromium does by itself. */
const FLAGS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
]

/** A map without a graphics card is slow where everything else is slow as well. */
export const PATIENCE_MS = 120_000

export const DESKTOP = { width: 1280, height: 800 }
export const PHONE = { width: 390, height: 844 }

export function openBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: executable!, args: FLAGS })
}

export interface WatchedPage {
  page: Page
  /** What was wrong so far. */
  problems: string[]
  /** From now on the hub is out of reach, which a browser says on the console; false: it is back. */
  expectUnreachable: (isExpected: boolean) => void
  close: () => Promise<void>
}

const UNREACHABLE =
  /ERR_CONNECTION|ERR_INTERNET|ERR_EMPTY_RESPONSE|ERR_SOCKET|ERR_FAILED|WebSocket connection to/

/** A page in a browser context of its own, which may ask only `hosts` (`host:port`). */
export async function openPage(
  browser: Browser,
  hosts: readonly string[],
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({
    viewport: DESKTOP,
    locale: 'en-GB',
    timezoneId: 'UTC',
    ...options,
  })
  context.setDefaultTimeout(PATIENCE_MS)
  const problems: string[] = []
  let isUnreachable = false
  const say = (problem: string) => {
    if (!(isUnreachable && UNREACHABLE.test(problem))) problems.push(problem)
  }
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sourceFile }) => {
      console.error(`policy: ${violatedDirective} forbids ${blockedURI} (${sourceFile})`)
    })
  })
  const page = await context.newPage()
  page.on('console', (message) => {
    // What libraries warn of is our mistake; the graphics driver, which has no place in a file, warns of itself.
    const isOurs = message.type() === 'warning' && message.location().url.includes('/assets/')
    if (message.type() === 'error' || isOurs) say(`${message.text()} (${message.location().url})`)
  })
  page.on('pageerror', (error) => say(`thrown: ${error.stack ?? error.message}`))
  context.on('request', (request) => {
    const { protocol, host } = new URL(request.url())
    if (['http:', 'https:', 'ws:', 'wss:'].includes(protocol) && !hosts.includes(host)) {
      say(`a request to ${request.url()}`)
    }
  })
  return {
    page,
    problems,
    expectUnreachable: (isExpected) => {
      isUnreachable = isExpected
    },
    close: () => context.close(),
  }
}

/** What a screen reader, a keyboard or weak eyes would fail at: `rule: elements`. */
export async function accessibilityFindings(page: Page): Promise<string[]> {
  // As a debugger does it, to which the policy of the page does not apply.
  await page.evaluate(axe.source)
  const violations = await page.evaluate(async () => {
    // Colours half-way from one to another are nobody's choice.
    for (const animation of document.getAnimations()) {
      if (animation instanceof CSSTransition) animation.finish()
    }
    const { axe } = window as unknown as { axe: typeof import('axe-core') }
    return (await axe.run(document, { resultTypes: ['violations'] })).violations
  })
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('\n')}`,
    )
}

const SCREENSHOTS = fileURLToPath(new URL('./screenshots/', import.meta.url))

/** Keeps a picture of the page beside the tests, for people to look at; only when they ask with SCREENSHOTS=1. */
export async function keepScreenshot(page: Page, name: string): Promise<void> {
  if (process.env.SCREENSHOTS !== '1') return
  await mkdir(SCREENSHOTS, { recursive: true })
  // The map draws lines in the background; a picture is not taken in the middle of it.
  await page.waitForTimeout(3_000)
  await page.screenshot({ path: `${SCREENSHOTS}${name}.png` })
}
