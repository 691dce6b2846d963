/**
 * The service worker of /track: keeps the page itself on the phone, so that a reload without a connection goes on
 * recording. It answers nothing but the page and its assets; the hub's answers are never kept. It imports nothing, not
 * even the clock: what it shares with the pages is built into files of its own, and a classic script can import none.
 */

interface LastingEvent extends Event {
  waitUntil(work: Promise<unknown>): void
}

interface Asked extends LastingEvent {
  readonly request: Request
  respondWith(answer: Promise<Response>): void
}

interface Worker {
  addEventListener(type: 'install' | 'activate', listener: (event: LastingEvent) => void): void
  addEventListener(type: 'fetch', listener: (event: Asked) => void): void
  skipWaiting(): Promise<void>
  clients: { claim(): Promise<void> }
}

const worker = self as unknown as Worker
const CACHE = 'alzy-track'
const PAGE = '/track'
/** A phone on a bad line does not wait longer for a page that it has. */
const NETWORK_MS_MAX = 4_000

worker.addEventListener('install', (event) => {
  event.waitUntil(store(PAGE).then(() => worker.skipWaiting()))
})

worker.addEventListener('activate', (event) => {
  event.waitUntil(worker.clients.claim())
})

worker.addEventListener('fetch', (event) => {
  const { request } = event
  const url = new URL(request.url)
  if (request.method !== 'GET' || url.origin !== location.origin) return
  if (request.mode === 'navigate' && url.pathname === PAGE) event.respondWith(newestPage(event))
  else if (url.pathname.startsWith('/assets/')) event.respondWith(assetOf(request))
})

/** The page of the hub; the one that is kept, when the hub is not reached in time. */
async function newestPage(event: Asked): Promise<Response> {
  const kept = await caches.match(PAGE)
  const fresh = fetch(PAGE, { cache: 'no-cache' })
  event.waitUntil(fresh.then((response) => keepPage(response.clone())).catch(() => {}))
  if (kept === undefined) return fresh
  const late = new Promise<null>((resolve) => setTimeout(() => resolve(null), NETWORK_MS_MAX))
  const answer = await Promise.race([fresh.catch(() => null), late])
  return answer?.ok ? answer : kept
}

async function assetOf(request: Request): Promise<Response> {
  return (await caches.match(request)) ?? fetch(request)
}

async function store(page: string): Promise<void> {
  await keepPage(await fetch(page, { cache: 'no-cache' }))
}

/** With all that it needs, and without what an older one needed. */
async function keepPage(response: Response): Promise<void> {
  if (!response.ok) return
  const cache = await caches.open(CACHE)
  const html = await response.clone().text()
  const needed = new Set(html.match(/\/assets\/[^"']+/g) ?? [])
  for (const place of [...needed].filter((name) => name.endsWith('.css'))) {
    const css = await (await keepAsset(cache, place)).text()
    for (const [font] of css.matchAll(/\/assets\/[^)"']+/g)) needed.add(font)
  }
  await Promise.all([...needed].map((place) => keepAsset(cache, place)))
  await cache.put(PAGE, response)
  for (const { url } of await cache.keys()) {
    const { pathname } = new URL(url)
    if (pathname !== PAGE && !needed.has(pathname)) await cache.delete(url)
  }
}

async function keepAsset(cache: Cache, place: string): Promise<Response> {
  const kept = await cache.match(place)
  if (kept !== undefined) return kept
  const response = await fetch(place)
  if (!response.ok) throw new Error(`${place}: ${response.status}`)
  await cache.put(place, response.clone())
  return response
}
