/**
 * `alzy watch`: prints live movement, a line for each thing that happens, until somebody ends it. What
 * happens is known by the viewer client, and the words for it by news.ts.
 */
import { createViewerClient, type ViewerEvent } from '../client/node.ts'
import { shown } from '../tracks/read/fix.ts'
import { checkUrl, faultOf } from './fault.ts'
import { createNews, inWords, type Movement } from './news.ts'
import type { Terminal } from './progress.ts'

export interface WatchOptions {
  /** The hub's address; default http://127.0.0.1:9001. */
  url?: string | undefined
  token: string
  /** The user to watch instead of the token's own; for admins. */
  user?: number | undefined
  /** One JSON object a line instead of words. */
  json?: boolean | undefined
}

export interface WatchIo {
  stdout: Terminal
  stderr: Terminal
  /** Aborted on Ctrl-C. */
  signal: AbortSignal
}

/** The error that answers a subscription beyond the viewer's rights (V5). */
const SUBSCRIPTION_REFUSED = 4403

/**
 * Runs until Ctrl-C, or until nobody reads its output any more, and resolves to 0. Rejects with an Error of
 * one clear line when the hub refuses, or cannot be reached when the command begins.
 */
export function watch(
  options: WatchOptions,
  io: WatchIo,
  connect: typeof createViewerClient = createViewerClient,
): Promise<number> {
  const url = options.url ?? 'http://127.0.0.1:9001'
  const news = createNews()
  let wasOpen = false

  return new Promise((resolve, reject) => {
    checkUrl(url)
    const viewer = connect({
      url,
      token: options.token,
      name: 'alzy watch',
      subscription: options.user === undefined ? {} : { userIds: [options.user] },
      onEvent: heard,
    })
    io.signal.addEventListener('abort', finish)
    io.stdout.on('error', finish)
    if (io.signal.aborted) finish()

    function finish(): void {
      io.signal.removeEventListener('abort', finish)
      viewer.close()
      resolve(0)
    }

    function fail(message: string): void {
      reject(new Error(message))
      finish()
    }

    function heard(event: ViewerEvent): void {
      if (event.type === 'state' || event.type === 'welcome' || event.type === 'error') {
        const fault = spoken(event)
        if (fault !== null) fail(fault)
      } else if (event.type !== 'goaway' && event.type !== 'resync') {
        print(event)
      }
    }
  })

  /** Tells how the connection stands; returns what ends the command, or null. */
  function spoken(event: Extract<ViewerEvent, { type: 'state' | 'welcome' | 'error' }>): string | null {
    switch (event.type) {
      case 'state': {
        if (event.state.name === 'open') wasOpen = true
        const fault = faultOf(event.state, { url, wasOpen, credential: 'token' })
        if (fault === null && event.state.name === 'waiting') {
          say(`waiting for the hub (${event.state.reason})`)
        }
        return fault
      }
      case 'welcome':
        news.connected()
        say(`connected to ${url} as user ${event.userId} (${event.role})`)
        return null
      case 'error':
        if (event.code === SUBSCRIPTION_REFUSED) return `the hub refuses to show this: ${event.message}`
        say(`the hub says: ${event.message}`)
        return null
    }
  }

  function say(message: string): void {
    io.stderr.write(`${shown(message)}\n`)
  }

  function print(event: Movement): void {
    const lines = news.of(event).map((item) => (options.json ? JSON.stringify(item) : inWords(item)))
    if (lines.length > 0) io.stdout.write(`${lines.join('\n')}\n`)
  }
}
