/**
 * `npm run bench:map`: what the live map costs the browser with many devices moving, against a DOM marker of MapLibre
 * for each in the same scene; what the pages weigh; and how soon the demo's link shows something. In headless Chromium
 * everything is painted by the processor, so frames are few and say little: compare the time of the main thread (scripts,
 * styles, layout) for each frame. The fewer frames, the more points fall into each, which cost both the same.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { type Browser, chromium } from 'playwright-core'
import { preview, build as viteBuild } from 'vite'
import { endWithin } from '../deadline.ts'
import { readFlags } from '../flags.ts'
import { HUB_MAIN, ROOT } from '../paths.ts'
import { figureOf, report, rounded, tell } from '../report/report.ts'

const flags = readFlags('What the live map costs the browser.', {
  devices: { value: [2_000, 10_000], says: 'moving devices' },
  seconds: { value: 10, says: 'length of a round' },
  rounds: { value: 3, says: 'rounds of each' },
  secondsMax: { value: 600, says: 'give up after so long' },
})
endWithin(flags.secondsMax)

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium'
const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
]
const VIEWPORT = { width: 1280, height: 800 }
/** Small, so that a processor can paint it and frames come at all. */
const SCENE = { width: 480, height: 320 }
const WARM_UP_MS = 4_000
const PAGE = path.join(ROOT, 'bench/mapPage')
const WEB = path.join(ROOT, 'dist/web')

interface Cost {
  scriptMsPerS: number
  scriptMsPerFrame: number
  /** Scripts, styles and layout together. */
  mainMsPerFrame: number
  framesPerS: number
}

if (!existsSync(CHROMIUM)) {
  tell(`no Chromium at ${CHROMIUM}: apt-get install chromium, or set CHROMIUM`)
  process.exit(2)
}
const built = mkdtempSync(path.join(os.tmpdir(), 'alzy-bench-map-'))
process.once('exit', () => rmSync(built, { recursive: true, force: true }))
const browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_FLAGS })
const scene = await serveScene()
const results: Record<string, unknown>[] = []
const references: Record<string, unknown>[] = []
let ratio = Number.POSITIVE_INFINITY
for (const devices of flags.devices) {
  const layer = await costsOf('layer', devices)
  const markers = await costsOf('markers', devices)
  results.push({ devices, ...layer })
  references.push({ devices, ...markers })
  const here = markers.mainMsPerFrame.median / layer.mainMsPerFrame.median
  ratio = Math.min(ratio, here)
  tell(
    `${devices} devices: a DOM marker for each takes ${rounded(here)} times the main thread that the layer takes`,
  )
}
await scene.close()
report({
  scenario: 'map',
  postgres: 'none',
  parameters: { ...flags, scene: SCENE, viewport: VIEWPORT, browser: browser.version() },
  results: [...results, { weightsKb: weights() }, { demo: await opening(browser) }],
  reference: { what: 'a DOM marker of MapLibre for each device', results: references },
  ratio,
})
await browser.close()
process.exit()

async function serveScene() {
  const config = { root: PAGE, configFile: false, logLevel: 'error', worker: { format: 'es' } } as const
  const target = ['chrome123']
  await viteBuild({
    ...config,
    build: { outDir: built, emptyOutDir: true, target, chunkSizeWarningLimit: 3_000 },
  })
  const server = await preview({
    ...config,
    build: { outDir: built },
    preview: { host: '127.0.0.1', port: 0 },
  })
  return { url: server.resolvedUrls!.local[0]!, close: () => server.close() }
}

async function costsOf(draw: 'layer' | 'markers', devices: number) {
  const rounds: Cost[] = []
  for (let round = 1; round <= flags.rounds; round++) {
    const cost = await measure(draw, devices)
    rounds.push(cost)
    tell(
      `${devices} devices, ${draw}: ${rounded(cost.scriptMsPerS)} ms script a second, ${rounded(cost.scriptMsPerFrame)} ms a frame, ${rounded(cost.framesPerS)} frames a second`,
    )
  }
  return {
    scriptMsPerS: figureOf(rounds.map(({ scriptMsPerS }) => scriptMsPerS)),
    scriptMsPerFrame: figureOf(rounds.map(({ scriptMsPerFrame }) => scriptMsPerFrame)),
    mainMsPerFrame: figureOf(rounds.map(({ mainMsPerFrame }) => mainMsPerFrame)),
    framesPerS: figureOf(rounds.map(({ framesPerS }) => framesPerS)),
  }
}

async function measure(draw: 'layer' | 'markers', devices: number): Promise<Cost> {
  const context = await browser.newContext({ viewport: SCENE })
  const page = await context.newPage()
  await page.goto(`${scene.url}?draw=${draw}&devices=${devices}`)
  await page.waitForSelector('#ground[data-ready]', { state: 'attached', timeout: 120_000 })
  await page.waitForTimeout(WARM_UP_MS)
  const session = await context.newCDPSession(page)
  // Time of the processor: waiting for a painter that is one, too, is no work of the page.
  await session.send('Performance.enable', { timeDomain: 'threadTicks' })
  const look = async () => {
    const { metrics } = await session.send('Performance.getMetrics')
    const of = (name: string) => metrics.find((metric) => metric.name === name)!.value
    const frames = await page.evaluate(() =>
      (window as unknown as { framesDrawn: () => number }).framesDrawn(),
    )
    const script = of('ScriptDuration')
    return {
      atS: of('Timestamp'),
      frames,
      script,
      main: script + of('LayoutDuration') + of('RecalcStyleDuration'),
    }
  }
  const before = await look()
  await page.waitForTimeout(flags.seconds * 1_000)
  const after = await look()
  await context.close()
  const seconds = after.atS - before.atS
  const frames = after.frames - before.frames
  return {
    scriptMsPerS: ((after.script - before.script) * 1_000) / seconds,
    scriptMsPerFrame: ((after.script - before.script) * 1_000) / frames,
    mainMsPerFrame: ((after.main - before.main) * 1_000) / frames,
    framesPerS: frames / seconds,
  }
}

/** What goes over the line, compressed as well as a browser with TLS accepts it; fonts as they are. */
function weights(): Record<string, number> {
  const kb = (names: string[]) =>
    rounded(names.reduce((sum, name) => sum + statSync(path.join(WEB, name)).size, 0) / 1_024)
  const smallest = (name: string) => (existsSync(path.join(WEB, `${name}.br`)) ? `${name}.br` : name)
  const assets = readdirSync(path.join(WEB, 'assets')).filter((name) => !/\.(br|gz)$/.test(name))
  const named = (pattern: RegExp) =>
    assets.filter((name) => pattern.test(name)).map((name) => smallest(`assets/${name}`))
  const font = named(/^geist-latin-wght.*woff2$/)
  const page = (document: string) => {
    const html = readFileSync(path.join(WEB, document), 'utf8')
    const needed = [...html.matchAll(/"\/(assets\/[^"]+)"/g)].map(([, name]) => smallest(name!))
    return kb([document, ...needed, ...font])
  }
  return {
    map: page('index.html'),
    track: page('track.html'),
    admin: page('admin.html'),
    mapLibraryAndChart: kb([...named(/^chart-.*\.(js|css)$/), ...named(/^maplibre-gl-worker/)]),
    outlines: kb(named(/^countries-50m/)),
    outlinesWhenClose: kb(named(/^countries-10m/)),
  }
}

/** From the click on the demo's link: the first paint, the map, and the first device that is seen to move. */
async function opening(chrome: Browser): Promise<Record<string, number>> {
  const dataDir = mkdtempSync(path.join(os.tmpdir(), 'alzy-bench-demo-'))
  const child = spawn(process.execPath, [HUB_MAIN, 'demo'], {
    env: { PATH: process.env.PATH, ALZY_PORT: '0', ALZY_LOG_LEVEL: 'warn', ALZY_DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 2],
  })
  process.once('exit', () => {
    child.kill('SIGKILL')
    rmSync(dataDir, { recursive: true, force: true })
  })
  const link = await new Promise<string>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the demo ended with ${code}`)))
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const found = /http\S+\/#token=\S+/.exec(line)
      if (found !== null) resolve(found[0])
    })
  })
  const rounds: { paintMs: number; mapMs: number; movingMs: number }[] = []
  for (let round = 1; round <= flags.rounds; round++) {
    // A browser that was never here.
    const context = await chrome.newContext({ viewport: VIEWPORT })
    const page = await context.newPage()
    const since = performance.now()
    await page.goto(link, { waitUntil: 'commit' })
    const reached = async (selector: string) => {
      await page.waitForSelector(selector)
      return performance.now() - since
    }
    const [mapMs, movingMs] = await Promise.all([
      reached('.ground[data-ready]'),
      reached('li[data-freshness="moving"]'),
    ])
    const paintMs = await page.evaluate(
      () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Number.NaN,
    )
    rounds.push({ paintMs, mapMs, movingMs })
    tell(`demo: first paint ${rounded(paintMs)} ms, moving ${rounded(movingMs)} ms, map ${rounded(mapMs)} ms`)
    await context.close()
  }
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
  rmSync(dataDir, { recursive: true, force: true })
  return {
    firstPaintMs: figureOf(rounds.map(({ paintMs }) => paintMs)).median,
    movingMs: figureOf(rounds.map(({ movingMs }) => movingMs)).median,
    mapMs: figureOf(rounds.map(({ mapMs }) => mapMs)).median,
  }
}
