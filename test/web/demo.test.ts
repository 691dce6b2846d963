/** What a newcomer sees: the demo prints a link, the link opens a map, and things move on it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { built } from '../rig/gear.ts'
import { runAlzy } from '../rig/hub.ts'
import { createEmbedded, type TestDatabase } from '../rig/kinds.ts'
import { until } from '../rig/until.ts'
import {
  accessibilityFindings,
  browserMissing,
  DESKTOP,
  keepScreenshot,
  openBrowser,
  openPage,
  PHONE,
} from './browser.ts'
import { centreOf, changedPixels } from './pixels.ts'

const START_MS = 240_000
const name = browserMissing === null ? 'the demo' : `the demo (${browserMissing})`
/** The part of the map that nothing covers. */
const MAP = { x: 380, y: 70, width: 780, height: 640 }
/** What of it the bar of a replay leaves free on a phone. */
const MAP_ON_PHONE = { x: 60, y: 140, width: 320, height: 440 }
/** Of the outlines and of a blue device, on light ground. */
const WATER = [0xdb, 0xe7, 0xea] as const
const LAND = [0xf4, 0xf2, 0xec] as const
const BLUE = [0x1d, 0x63, 0xd8] as const
const ON_PHONE: BrowserContextOptions = { viewport: PHONE, isMobile: true, hasTouch: true }
const DARK: BrowserContextOptions = { colorScheme: 'dark' }

describe.skipIf(browserMissing !== null)(name, { timeout: 600_000 }, () => {
  let database: TestDatabase
  let demo: ChildProcess
  let browser: Browser
  let link: string
  let adminLink: string
  const problems: string[] = []

  beforeAll(async () => {
    database = await createEmbedded()
    const env = { PATH: process.env.PATH, ALZY_PORT: '0', ALZY_LOG_LEVEL: 'warn', ...database.env }
    const stdio = ['ignore', 'pipe', 'inherit'] as const
    demo = spawn(process.execPath, [await built('main.js'), 'demo'], { env, stdio: [...stdio] })
    const lines: string[] = []
    createInterface({ input: demo.stdout! }).on('line', (line) => lines.push(line))
    link = await until(
      () => lines.map((line) => /http\S+\/#token=\S+/.exec(line)?.[0]).find((found) => found !== undefined),
      'the demo says where to look',
      START_MS,
    )
    adminLink = await adminLinkOf(link)
    browser = await openBrowser()
  }, 2 * START_MS)

  afterAll(async () => {
    await browser?.close()
    demo?.kill('SIGTERM')
    if (demo?.exitCode === null) await once(demo, 'exit')
    await database?.drop()
  })

  async function adminLinkOf(map: string): Promise<string> {
    const { origin } = new URL(map)
    const env = { ...database.env, ALZY_URL: origin }
    await runAlzy(['user', 'add', 'admin@example.org', '--role', 'admin'], env)
    return `${origin}/admin#token=${(await runAlzy(['token', 'admin@example.org'], env)).stdout.trim()}`
  }

  async function looking(
    at: string,
    options: BrowserContextOptions,
    look: (page: Page) => Promise<void>,
  ): Promise<void> {
    const one = await openPage(browser, [new URL(link).host], options)
    await one.page.goto(at)
    await look(one.page)
    problems.push(...one.problems)
    await one.close()
  }

  test('buses move on the map', async () => {
    await looking(link, { viewport: DESKTOP }, async (page) => {
      await page.locator('li[data-freshness="moving"]').first().waitFor()
      const { pixels } = await changedPixels(page, MAP, null)
      await until(
        async () => (await changedPixels(page, MAP, pixels)).changed > 100,
        'the picture is another one',
      )
      // Long enough for lines to show where the buses go.
      await trailsGrow(page)
      await keepScreenshot(page, 'map-light')
      expect(await accessibilityFindings(page)).toEqual([])
    })
  })

  test('in the dark, and on a phone', async () => {
    await looking(link, { viewport: DESKTOP, ...DARK }, async (page) => {
      await page.getByRole('button', { name: /^Bus/ }).first().click()
      await page.getByRole('button', { name: 'Follow' }).click()
      await page.getByRole('button', { name: 'Following' }).waitFor()
      await page.locator('.session-row').first().waitFor()
      await trailsGrow(page)
      await keepScreenshot(page, 'map-dark')
      expect(await accessibilityFindings(page)).toEqual([])
    })
    for (const [suffix, scheme] of [
      ['light', {}],
      ['dark', DARK],
    ] as const) {
      await looking(link, { ...ON_PHONE, ...scheme }, async (page) => {
        await page.getByRole('button', { name: /^\d+ devices$/ }).tap()
        await page.locator('li[data-freshness="moving"]').first().waitFor()
        await trailsGrow(page)
        await keepScreenshot(page, `map-phone-${suffix}`)
        expect(await accessibilityFindings(page)).toEqual([])
      })
    }
  })

  test('somebody who was close sees the whole world', async () => {
    await looking(link, { viewport: DESKTOP }, async (page) => {
      await page.locator('li[data-freshness="moving"]').first().waitFor()
      await until(
        () =>
          page.evaluate(() =>
            performance.getEntriesByType('resource').some(({ name }) => /countries-10m/.test(name)),
          ),
        'the fine outlines are there',
        60_000,
      )
      await page.getByRole('button', { name: 'Show all devices' }).click()
      await until(
        async () => {
          if (/^\d{4}\s*km$/.test(await page.locator('.maplibregl-ctrl-scale').innerText())) return true
          await page.getByRole('button', { name: 'Zoom out' }).click()
          return false
        },
        'the scale is that of the world',
        60_000,
      )
      await until(
        async () =>
          (await centreOf(page, MAP, WATER)).count > 50_000 &&
          (await centreOf(page, MAP, LAND)).count > 50_000,
        'there are seas and continents',
        60_000,
      )
    })
  })

  test('the figures of a session go with it', async () => {
    await looking(link, { viewport: DESKTOP }, async (page) => {
      await page.getByRole('button', { name: /^Bus/ }).first().click()
      const figures = page.locator('.session-row', { hasText: 'now' }).first()
      const before = await figures.innerText()
      await until(async () => (await figures.innerText()) !== before, 'it has gone further', 120_000)
    })
  })

  test('a replay on a phone', async () => {
    await looking(link, ON_PHONE, async (page) => {
      await page.getByRole('button', { name: /^\d+ devices$/ }).tap()
      await page.getByRole('button', { name: /^Bus 4716/ }).tap()
      await page.locator('.session-row').last().tap()
      await page.getByRole('slider', { name: 'Time' }).press('End')
      expect(await page.getByRole('complementary', { name: 'Devices' }).isVisible()).toBe(false)
      await until(async () => (await centreOf(page, MAP_ON_PHONE, BLUE)).count > 200, 'the way is in sight')
      await keepScreenshot(page, 'map-replay-phone')
      expect(await accessibilityFindings(page)).toEqual([])
      await page.getByRole('button', { name: 'Back to live' }).tap()
      await page.getByRole('heading', { name: 'Bus 4716', level: 1 }).waitFor()
    })
  })

  test('a replay in the dark', async () => {
    await looking(link, { viewport: DESKTOP, ...DARK }, async (page) => {
      await page.getByRole('button', { name: /^Bus/ }).first().click()
      await page.locator('.session-row').first().click()
      const slider = page.getByRole('slider', { name: 'Time' })
      await slider.press('PageUp')
      await slider.press('PageUp')
      await keepScreenshot(page, 'map-replay-dark')
      expect(await accessibilityFindings(page)).toEqual([])
      await page.keyboard.press('Escape')
      await slider.waitFor({ state: 'detached' })
    })
  })

  test('the hub has figures', async () => {
    const looks: [string, BrowserContextOptions][] = [
      ['admin-light', { viewport: DESKTOP }],
      ['admin-dark', { viewport: DESKTOP, ...DARK }],
      ['admin-phone', ON_PHONE],
    ]
    for (const [picture, options] of looks) {
      await looking(adminLink, options, async (page) => {
        await page.getByRole('row', { name: /^Bus/ }).first().waitFor()
        await until(
          async () => Number(await page.locator('.charts').getAttribute('data-samples')) > 8,
          'lines are drawn',
          60_000,
        )
        await keepScreenshot(page, picture)
        expect(await accessibilityFindings(page)).toEqual([])
      })
    }
  })

  test('the other pages in the dark', async () => {
    const { origin } = new URL(link)
    await looking(`${origin}/`, { viewport: DESKTOP, ...DARK }, async (page) => {
      await page.getByRole('heading', { name: 'See your devices move' }).waitFor()
      await keepScreenshot(page, 'sign-in-dark')
      expect(await accessibilityFindings(page)).toEqual([])
    })
    await looking(`${origin}/track`, { ...ON_PHONE, ...DARK }, async (page) => {
      await page.getByRole('heading', { name: 'Make this phone a device' }).waitFor()
      await keepScreenshot(page, 'track-pair-dark')
      expect(await accessibilityFindings(page)).toEqual([])
    })
  })

  test('no page said an error, broke its policy or asked anyone else', () => {
    expect(problems).toEqual([])
  })
})

/** Only a picture to be kept is worth the wait. */
async function trailsGrow(page: Page): Promise<void> {
  if (process.env.SCREENSHOTS === '1') await page.waitForTimeout(45_000)
}
