/**
 * The pages as people use them, in one run: a device is added on the map, a phone becomes it, records, loses its
 * connection and gets it back, ends its session; the session is replayed, exported, shared, and the share is ended.
 */
import { readFile } from 'node:fs/promises'
import type { Browser, Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startHub, type TestHub, type TestUser } from '../rig/hub.ts'
import { databaseKinds, type TestDatabase } from '../rig/kinds.ts'
import { type FaultProxy, startProxy } from '../rig/proxy.ts'
import { until } from '../rig/until.ts'
import {
  accessibilityFindings,
  browserMissing,
  keepScreenshot,
  openBrowser,
  openPage,
  PHONE,
  type WatchedPage,
} from './browser.ts'
import { centreOf, qrTextOf } from './pixels.ts'
import { bringIntoSight, countWakeLocks, putOutOfSight, watchWakeLocks } from './wakeLocks.ts'

/** PostgreSQL where there is one: it can be looked into while the hub runs. */
const kind = databaseKinds.findLast(({ missing }) => missing === null)!
const name = browserMissing === null ? `the pages (${kind.name})` : `the pages (${browserMissing})`

/** Of `blue` in look/colors.ts, on light ground. */
const BLUE = [0x1d, 0x63, 0xd8] as const
/** The part of the map that nothing covers. */
const MAP = { x: 380, y: 70, width: 780, height: 640 }
const START = { latitude: 52.52, longitude: 13.405 }
const STEP_DEGREES = 0.0012

describe.skipIf(browserMissing !== null)(name, { timeout: 600_000 }, () => {
  let database: TestDatabase
  let hub: TestHub
  let user: TestUser
  let admin: TestUser
  let browser: Browser
  /** The phone's way to the hub, which breaks. */
  let line: FaultProxy
  let map: WatchedPage
  let phone: WatchedPage
  const opened: WatchedPage[] = []
  let step = 0

  beforeAll(async () => {
    database = await kind.create()
    hub = await startHub({ database, env: { ALZY_RATE_WATCHED_MS: '100', ALZY_RATE_UNWATCHED_MS: '100' } })
    user = await hub.addUser()
    admin = await hub.addUser({ role: 'admin' })
    browser = await openBrowser()
    line = await startProxy({ host: '127.0.0.1', port: hub.port })
  })

  afterAll(async () => {
    await browser?.close()
    await line?.close()
    await hub?.end()
    await database?.drop()
  })

  async function open(options = {}, hosts = [`127.0.0.1:${hub.port}`]): Promise<WatchedPage> {
    const one = await openPage(browser, hosts, options)
    opened.push(one)
    return one
  }

  /** The phone is carried to the next place, a moment later. */
  async function walk(accuracy = 5): Promise<void> {
    step += 1
    await phone.page.context().setGeolocation({
      latitude: START.latitude + step * STEP_DEGREES * 0.4,
      longitude: START.longitude + step * STEP_DEGREES,
      accuracy,
    })
  }

  async function walkUntilRecorded(count: number): Promise<void> {
    await until(
      async () => {
        if ((await countOf(phone.page, 'Recorded')) >= count) return true
        await walk()
        return false
      },
      `${count} points are recorded`,
      60_000,
    )
  }

  /** By one wake lock, or by none that is left. */
  async function keepsScreenOn(isOn: boolean): Promise<void> {
    await until(
      async () => (await countWakeLocks(phone.page)).held === (isOn ? 1 : 0),
      isOn ? 'it holds one wake lock' : 'it has released its wake locks',
    )
  }

  test('somebody without a token is asked for one', async () => {
    map = await open({ viewport: { width: 1280, height: 800 } })
    await map.page.goto(hub.http)
    await map.page.getByRole('heading', { name: 'See your devices move' }).waitFor()
    expect(await accessibilityFindings(map.page)).toEqual([])
    await keepScreenshot(map.page, 'sign-in')
  })

  test('a link with a token opens the map, and the token is nowhere to be seen', async () => {
    await map.page.goto(`${hub.http}/#token=${user.token}`)
    await map.page.getByText('Nothing to see yet').waitFor()
    await map.page.getByText('Live', { exact: true }).waitFor()
    expect(map.page.url()).toBe(`${hub.http}/`)
    await map.page.reload()
    await map.page.getByText('Nothing to see yet').waitFor()
    expect(await accessibilityFindings(map.page)).toEqual([])
  })

  test('a device is added, and a phone that scans the code becomes it', async () => {
    const { page } = map
    await page.getByRole('button', { name: 'Add a device' }).click()
    await page.getByLabel('Name').fill('Phone')
    await page.getByTitle('blue').click()
    expect(await accessibilityFindings(page)).toEqual([])
    await page.getByRole('button', { name: 'Show the code' }).click()
    const code = page.getByRole('img', { name: /QR code/ })
    await code.waitFor()
    expect(await accessibilityFindings(page)).toEqual([])
    await keepScreenshot(page, 'map-pairing')
    const link = await qrTextOf(code)
    expect(link).toContain(`${hub.http}/track#pair=`)

    phone = await open(
      {
        viewport: PHONE,
        isMobile: true,
        hasTouch: true,
        geolocation: START,
        permissions: ['geolocation', 'screen-wake-lock'],
      },
      [`127.0.0.1:${line.port}`],
    )
    await watchWakeLocks(phone.page)
    await phone.page.goto(link.replace(`:${hub.port}/`, `:${line.port}/`))
    await phone.page.getByRole('heading', { name: 'Pair this phone' }).waitFor()
    expect(phone.page.url()).not.toContain('pair=')
    expect(await accessibilityFindings(phone.page)).toEqual([])
    await phone.page.getByRole('button', { name: 'Pair' }).click()
    await phone.page.getByRole('heading', { name: 'Ready' }).waitFor()
    const devtools = await phone.page.context().newCDPSession(phone.page)
    const { manifest, errors } = await devtools.send('Page.getAppManifest')
    expect([manifest?.startUrl, errors]).toEqual([`http://127.0.0.1:${line.port}/track`, []])
    const { installabilityErrors } = await devtools.send('Page.getInstallabilityErrors')
    // A browser context of its own is a private window, where nothing can be installed.
    expect(installabilityErrors.map(({ errorId }) => errorId)).toEqual(['in-incognito'])
    await page.getByText('Phone is paired').waitFor()
    await page.getByRole('button', { name: 'Show it' }).click()
    await page.getByRole('heading', { name: 'Phone', level: 1 }).waitFor()
  })

  test('what the phone records moves on the map', async () => {
    await phone.page.getByRole('button', { name: 'Start a session' }).tap()
    await phone.page.getByRole('heading', { name: 'Recording' }).waitFor()
    await map.page.getByText('± 5 m').or(map.page.getByText('± 0 m')).first().waitFor()
    await walkUntilRecorded(3)
    await map.page.getByText('± 5 m').waitFor()
    // Selecting it brought the map there; from here on it stays where it is.
    const before = await until(async () => seenAt(map.page), 'the device is on the map')
    await walkUntilRecorded(8)
    await until(async () => {
      const now = await seenAt(map.page)
      return now !== null && Math.hypot(now.x - before.x, now.y - before.y) > 20
    }, 'it is somewhere else on the map')
    await keepScreenshot(phone.page, 'track-recording-phone')
    expect(await accessibilityFindings(phone.page)).toEqual([])
    expect(await accessibilityFindings(map.page)).toEqual([])
  })

  test('the screen stays on while it records, also after the page was out of sight', async () => {
    const { page } = phone
    const mayGoDark = page.getByText('The screen may go dark')
    await keepsScreenOn(true)
    await mayGoDark.waitFor({ state: 'detached' })
    const { given } = await countWakeLocks(page)
    await putOutOfSight(page)
    await mayGoDark.waitFor()
    expect(await countWakeLocks(page)).toEqual({ given, held: 0 })
    await bringIntoSight(page)
    await mayGoDark.waitFor({ state: 'detached' })
    await keepsScreenOn(true)
  })

  test('without a connection it keeps its points, over a reload too, and nothing is lost', async () => {
    await until(async () => (await countOf(phone.page, 'On this phone')) === 0, 'all is acknowledged')
    phone.expectUnreachable(true)
    await line.refuse()
    line.cut('rst')
    const before = await countOf(phone.page, 'Recorded')
    await walkUntilRecorded(before + 5)
    await until(async () => (await countOf(phone.page, 'On this phone')) >= 5, 'it keeps them')
    await phone.page.getByText('No connection').or(phone.page.getByText('Connecting…')).waitFor()
    await keepScreenshot(phone.page, 'track-offline-phone')
    await phone.page.reload()
    await phone.page.getByRole('heading', { name: 'Recording' }).waitFor()
    await keepsScreenOn(true)
    await until(async () => (await countOf(phone.page, 'On this phone')) >= 5, 'it has them still')
    await until(async () => (await countOf(phone.page, 'Recorded')) >= before + 5, 'it counts them still')
    await map.page.getByText('offline', { exact: true }).waitFor()
    await line.accept()
    await phone.page
      .getByRole('button', { name: 'Connect now' })
      .click({ timeout: 2_000 })
      .catch(() => {
        // It is connecting by itself just now.
      })
    await until(
      async () => (await countOf(phone.page, 'On this phone')) === 0,
      'all is acknowledged',
      120_000,
    )
    phone.expectUnreachable(false)
    await map.page.getByText('online', { exact: true }).waitFor()
  })

  test('it pauses, goes on, and ends', async () => {
    const { page } = phone
    await page.getByRole('button', { name: 'Pause' }).tap()
    await map.page.getByText('paused', { exact: true }).first().waitFor()
    await keepsScreenOn(false)
    await page.getByRole('button', { name: 'Go on' }).tap()
    await map.page.getByText('recording', { exact: true }).waitFor()
    await keepsScreenOn(true)
    const recorded = await countOf(page, 'Recorded')
    await walkUntilRecorded(recorded + 2)
    await until(async () => (await countOf(page, 'On this phone')) === 0, 'all is acknowledged')
    const total = await countOf(page, 'Recorded')
    const again = page.getByRole('button', { name: 'Tap again to end' })
    await page.getByRole('button', { name: 'End' }).tap()
    await again.waitFor()
    await until(async () => {
      if (await page.getByRole('heading', { name: 'Ready' }).isVisible()) return true
      // It is asked for but a few seconds, which may be over where the machine is busy.
      await again.or(page.getByRole('button', { name: 'End' })).tap()
      return false
    }, 'it has ended')
    await map.page.getByText('ended', { exact: true }).waitFor()
    await keepsScreenOn(false)
    if (kind.name === 'postgresql') expect(await storedPoints()).toBeGreaterThanOrEqual(total)
  })

  test('the session is replayed on the slider, and exported', async () => {
    const { page } = map
    await page.locator('.session-row').first().click()
    const slider = page.getByRole('slider', { name: 'Time' })
    await slider.waitFor()
    expect(await accessibilityFindings(page)).toEqual([])
    await page.getByRole('button', { name: 'Play' }).click()
    const start = Number(await slider.getAttribute('min'))
    await until(async () => Number(await slider.inputValue()) > start, 'it plays')
    await slider.press('End')
    const gone = await until(async () => {
      const figures = (await page.locator('.figures-row').innerText()).split('\n').at(-1)!
      const [, gone, whole] = /^(.+) of (.+)$/.exec(figures)!
      return gone === whole ? gone! : null
    }, 'it is at the end')
    expect(gone).toMatch(/km|\d{3} m/)
    await keepScreenshot(page, 'map-replay')

    const download = page.waitForEvent('download')
    await page.getByRole('button', { name: 'GPX' }).click()
    const gpx = await readFile((await (await download).path())!, 'utf8')
    const points = gpx.match(/<trkpt /g)?.length ?? 0
    if (kind.name === 'postgresql') expect(points).toBe(await storedPoints())
    else expect(points).toBeGreaterThan(10)
    await page.getByRole('button', { name: 'Back to live' }).click()
    await slider.waitFor({ state: 'detached' })
    await hasFocus(page.getByRole('heading', { name: 'Phone', level: 1 }), 'the device is in the focus again')
  })

  test('it is shared, seen by somebody else, and taken back', async () => {
    const { page } = map
    await page.getByRole('button', { name: 'Share' }).click()
    await page.getByRole('button', { name: 'Make a link' }).click()
    const link = await page.getByLabel('Link', { exact: true }).inputValue()
    expect(await accessibilityFindings(page)).toEqual([])
    const guest = await open({ viewport: PHONE, isMobile: true, hasTouch: true })
    await guest.page.goto(link)
    await guest.page.getByText('shared with you').waitFor()
    await guest.page.getByRole('button', { name: '1 device' }).tap()
    await guest.page.getByRole('button', { name: /^Phone/ }).tap()
    await guest.page.getByRole('heading', { name: 'Phone', level: 1 }).waitFor()
    for (const words of ['Edit', 'Remove', 'Share', 'Pair again']) {
      expect(await guest.page.getByRole('button', { name: words }).count(), words).toBe(0)
    }
    expect(await guest.page.getByText('Sessions').count()).toBe(0)
    expect(await accessibilityFindings(guest.page)).toEqual([])
    await page.getByRole('button', { name: /^End the share/ }).click()
    await guest.page.getByText('not good any more').waitFor()
    expect(await guest.page.getByText('Phone').count()).toBe(0)
    await page.getByRole('button', { name: 'Close' }).click()
  })

  test('it is renamed, recoloured and removed', async () => {
    const { page } = map
    await page.getByRole('button', { name: 'Edit' }).click()
    await page.getByLabel('Name').fill('My phone')
    await page.getByTitle('orange').click()
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('heading', { name: 'My phone', level: 1 }).waitFor()
    await hasFocus(page.getByRole('button', { name: 'Edit' }), 'the dialog gives the focus back')
    await page.getByRole('button', { name: 'Remove' }).click()
    await page.getByRole('button', { name: 'Remove it' }).click()
    await page.getByText('Nothing to see yet').waitFor()
    await phone.page.getByRole('heading', { name: 'No longer this device' }).waitFor()
    expect(await accessibilityFindings(phone.page)).toEqual([])
  })

  test('an admin sees how the hub does, and manages users; nobody else does', async () => {
    const { page } = await open()
    await page.goto(`${hub.http}/admin#token=${user.token}`)
    await page.getByText('Only admins may see this page').waitFor()
    const office = await open()
    await hub.addDevice(user, 'Van')
    await office.page.goto(`${hub.http}/admin#token=${admin.token}`)
    await office.page.getByRole('row', { name: /^points received/ }).waitFor()
    await office.page.getByText('Points in them').waitFor()
    await office.page.getByRole('row', { name: /^Van/ }).waitFor()
    await office.page.getByRole('button', { name: 'Edit Van' }).click()
    await office.page.getByLabel('Name').fill('Lorry')
    await office.page.getByRole('button', { name: 'Save' }).click()
    await office.page.getByRole('row', { name: /^Lorry/ }).waitFor()
    await addsForAnother(office.page)
    await office.page.getByLabel('Email of a new user').fill('new@example.org')
    await office.page.getByRole('button', { name: 'Add', exact: true }).click()
    const row = office.page.getByRole('row', { name: /new@example.org/ })
    await row.getByRole('button', { name: 'Deactivate' }).click()
    await row.getByText('deactivated').waitFor()
    expect(await accessibilityFindings(office.page)).toEqual([])
  })

  /** A device of the user, which two phones become, one after the other. */
  async function addsForAnother(page: Page): Promise<void> {
    await page.getByRole('button', { name: 'Add a device' }).click()
    await page.getByLabel('Whose it is').selectOption(String(user.id))
    await page.getByLabel('Name').fill('Tablet')
    expect(await accessibilityFindings(page)).toEqual([])
    await page.getByRole('button', { name: 'Show the code' }).click()
    const first = await pairWithCode(page)
    await page.getByText('Tablet is paired').waitFor()
    await page.getByRole('button', { name: 'Done' }).click()
    await page.getByRole('row', { name: new RegExp(`^Tablet .*${user.email.split('@')[0]}`) }).waitFor()
    const { json } = await hub.request('GET', '/v1/devices', undefined, user.token)
    expect(json.devices.map(({ id, name }: { id: number; name: string }) => [id, name])).toContainEqual([
      first.deviceId,
      'Tablet',
    ])
    await page.getByRole('button', { name: 'Pair again as Tablet' }).click()
    await page.getByRole('button', { name: 'Show a code' }).click()
    const second = await pairWithCode(page)
    await page.getByText('Tablet is paired').waitFor()
    await page.getByRole('button', { name: 'Done' }).click()
    expect(second.deviceId).toBe(first.deviceId)
    expect(second.deviceKey).not.toBe(first.deviceKey)
  }

  /** What a phone asks the hub for that scans the code. */
  async function pairWithCode(page: Page): Promise<{ deviceId: number; deviceKey: string }> {
    const link = await qrTextOf(page.getByRole('img', { name: /QR code/ }))
    const pairingToken = new URLSearchParams(new URL(link).hash.slice(1)).get('pair')
    const { status, json } = await hub.request('POST', '/v1/pair', { pairingToken }, null)
    expect(status).toBe(200)
    return json
  }

  test('who signed in with a token is told when it has expired, and sees nobody else by another', async () => {
    const { json } = await hub.request('POST', `/v1/users/${user.id}/tokens`, { ttlS: 8 })
    const { page } = await open()
    await page.goto(`${hub.http}/#token=${json.token}`)
    await page.getByRole('button', { name: /^Lorry/ }).waitFor()
    await page.getByText('Your sign-in has expired').waitFor()
    expect(await accessibilityFindings(page)).toEqual([])
    // Links that are opened in a page that is open already.
    await page.goto(`${hub.http}/#token=${user.token}`)
    await page.getByRole('button', { name: /^Lorry/ }).waitFor()
    await page.goto(`${hub.http}/#token=${admin.token}`)
    await page.getByRole('link', { name: 'The hub' }).waitFor()
    expect(await page.getByText('Lorry').count()).toBe(0)
  })

  test('no page said an error, broke its policy or asked anyone else', () => {
    expect(opened.length).toBeGreaterThan(4)
    expect(opened.flatMap(({ problems }) => problems)).toEqual([])
  })

  async function storedPoints(): Promise<number> {
    const rows = await database.query(
      'select count(*)::int as count from points join sessions on sessions.id = session_id where sessions.status = $1',
      ['ended'],
    )
    return rows[0]!.count as number
  }
})

async function countOf(page: Page, what: string): Promise<number> {
  const text = await page.locator(`[data-count="${what}"]`).innerText()
  return Number(text.replace(/\D/g, ''))
}

async function hasFocus(element: Locator, what: string): Promise<void> {
  await until(() => element.evaluate((one) => one === document.activeElement), what)
}

/** Where the device is on the map, or null. */
async function seenAt(page: Page): Promise<{ x: number; y: number } | null> {
  const found = await centreOf(page, MAP, BLUE)
  return found.count < 30 ? null : found
}
