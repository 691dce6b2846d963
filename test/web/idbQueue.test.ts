/** The queue in IndexedDB, in a real browser: pages come and go, the database stays. */
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { build, type Rolldown } from 'vite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { browserMissing, openBrowser, PATIENCE_MS } from './browser.ts'

type Library = typeof import('../../src/client/idbQueue.ts') & typeof import('../../src/client/queue.ts')

/** In the page. */
interface Scope {
  library: Library
  queue: Awaited<ReturnType<Library['openIdbQueue']>>
  push: (fromMs: number, toMs: number) => void
  times: () => number[]
}

const ENTRY = 'virtual:entry'
const CLIENT = fileURLToPath(new URL('../../src/client/', import.meta.url))
const name = browserMissing === null ? 'the queue in IndexedDB' : `the queue in IndexedDB (${browserMissing})`

describe.skipIf(browserMissing !== null)(name, () => {
  let browser: Browser
  let context: BrowserContext
  let page: Page
  let code: string

  beforeAll(async () => {
    browser = await openBrowser()
    code = await bundled()
  })
  afterAll(() => browser?.close())
  beforeEach(async () => {
    context = await browser.newContext()
    context.setDefaultTimeout(PATIENCE_MS)
    // Any origin that may have a database; nobody is asked for the page.
    await context.route('**', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }))
    page = await opened()
  })
  afterEach(() => context.close())

  async function opened(entriesMax = 100): Promise<Page> {
    const next = await context.newPage()
    await next.goto('http://127.0.0.1:9/')
    await next.evaluate(code)
    await next.evaluate(async (max) => {
      const scope = window as unknown as Scope
      const { openIdbQueue, ENTRY_AT, ENTRY_STRIDE, ENTRY_POINT } = scope.library
      scope.queue = await openIdbQueue({ name: 'test', entriesMax: max })
      scope.push = (fromMs, toMs) => {
        for (let ms = fromMs; ms <= toMs; ms++) {
          const entry = new Float64Array(ENTRY_STRIDE).fill(Number.NaN)
          entry[ENTRY_AT.kind] = ENTRY_POINT
          entry[ENTRY_AT.timeMs] = ms
          scope.queue.push(entry)
        }
      }
      scope.times = () => {
        const entry = new Float64Array(ENTRY_STRIDE)
        return Array.from({ length: scope.queue.nextId - scope.queue.firstId }, (_, i) => {
          scope.queue.read(scope.queue.firstId + i, entry)
          return entry[ENTRY_AT.timeMs]!
        })
      }
    }, entriesMax)
    return next
  }

  /** The page goes away as when a tab is closed: nobody closes the queue. */
  async function reopened(entriesMax?: number): Promise<void> {
    await page.close()
    page = await opened(entriesMax)
  }

  const times = () => page.evaluate(() => (window as unknown as Scope).times())

  test('what was pushed is there in the next page, whole and in order', async () => {
    await page.evaluate(async () => {
      const { push, queue } = window as unknown as Scope
      push(1, 5)
      await queue.flushed()
    })
    await reopened()
    expect(await times()).toEqual([1, 2, 3, 4, 5])
    expect(await page.evaluate(() => (window as unknown as Scope).queue.lastRecordedMs)).toBe(5)
  })

  test('what was dropped does not come back, and what is pushed later goes behind', async () => {
    await page.evaluate(async () => {
      const { push, queue } = window as unknown as Scope
      push(1, 10)
      await queue.flushed()
      queue.dropBelow(queue.firstId + 4)
      push(11, 12)
      await queue.flushed()
    })
    await reopened()
    expect(await times()).toEqual([5, 6, 7, 8, 9, 10, 11, 12])
    await page.evaluate(async () => {
      const { push, queue } = window as unknown as Scope
      queue.dropBelow(queue.nextId)
      push(13, 13)
      await queue.flushed()
    })
    await reopened()
    expect(await times()).toEqual([13])
  })

  test('the greatest time is known even when nothing is held', async () => {
    await page.evaluate(async () => {
      const { push, queue } = window as unknown as Scope
      push(5_000, 5_000)
      queue.dropBelow(queue.nextId)
      await queue.flushed()
    })
    await reopened()
    expect(await times()).toEqual([])
    expect(await page.evaluate(() => (window as unknown as Scope).queue.lastRecordedMs)).toBe(5_000)
  })

  test('it is bounded, and holds what an earlier page was allowed to hold', async () => {
    await page.evaluate(async () => {
      const { push, queue } = window as unknown as Scope
      push(1, 10)
      await queue.flushed()
    })
    await reopened(2)
    expect(await times()).toHaveLength(10)
    const said = await page.evaluate(() => {
      const { push, queue } = window as unknown as Scope
      try {
        push(11, 11)
        return 'pushed'
      } catch (fault) {
        return `${queue.hasRoom} ${(fault as Error).message}`
      }
    })
    expect(said).toBe('false the queue is full')
  })

  test('what the database does not keep is still held and sent, and known', async () => {
    const held = await page.evaluate(async () => {
      const { push, queue } = window as unknown as Scope
      const { put } = IDBObjectStore.prototype
      IDBObjectStore.prototype.put = () => {
        throw new DOMException('the disk is full', 'QuotaExceededError')
      }
      push(1, 3)
      const fault = await queue.flushed().catch((error: Error) => error.message)
      const while_ = { fault, known: queue.fault?.message, count: queue.nextId - queue.firstId }
      IDBObjectStore.prototype.put = put
      push(4, 4)
      await queue.flushed()
      return { ...while_, after: queue.fault }
    })
    expect(held).toEqual({ fault: 'the disk is full', known: 'the disk is full', count: 3, after: null })
    await reopened()
    expect(await times()).toEqual([1, 2, 3, 4])
  })
})

/** The two modules as a script that puts them on the window. */
async function bundled(): Promise<string> {
  const output = (await build({
    configFile: false,
    logLevel: 'silent',
    plugins: [
      {
        name: 'entry',
        enforce: 'pre',
        resolveId: (id) => (id.endsWith(ENTRY) ? ENTRY : null),
        load: (id) =>
          id === ENTRY ? `export * from '${CLIENT}idbQueue.ts'\nexport * from '${CLIENT}queue.ts'` : null,
      },
    ],
    build: {
      write: false,
      minify: false,
      lib: { entry: ENTRY, formats: ['iife'], name: 'library', fileName: 'library' },
    },
  })) as Rolldown.RolldownOutput[]
  return output[0]!.output[0].code
}
