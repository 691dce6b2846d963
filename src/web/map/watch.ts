/**
 * The devices as the hub tells them: one viewer connection, and signals that say when to look again. The list looks
 * at most twice a second however much moves; whoever draws hears of every change.
 */
import { signal } from '@preact/signals'
import {
  type ConnectionState,
  createViewerClient,
  type Subscription,
  type TokenSource,
  type ViewerEvent,
  type ViewerRole,
} from '../../client/browser.ts'
import { systemClock } from '../../clock.ts'

export type Watch = ReturnType<typeof openWatch>
export type WatchListener = (event: ViewerEvent) => void

export interface WatchOptions {
  token: TokenSource
  subscription: Subscription
  /** The hub will not have this token. */
  onRefused: (why: 'expired' | 'refused') => void
}

const LOOK_EVERY_MS = 500
const EXPIRED = 4451
const CLIENT_NAME = 'alzy map'

export function openWatch({ token, subscription, onRefused }: WatchOptions) {
  const connection = signal<ConnectionState>({ name: 'connecting' })
  const role = signal<ViewerRole | null>(null)
  /** A snapshot was complete: what is shown is all there is. */
  const isComplete = signal(false)
  /** Grows when the devices are worth another look. */
  const changes = signal(0)
  const listeners = new Set<WatchListener>()
  let callOffLook: (() => void) | null = null
  /** What the hub's clock is ahead of this one. */
  let aheadMs = 0

  const viewer = createViewerClient({
    url: location.origin,
    token,
    subscription,
    name: CLIENT_NAME,
    onEvent: (event) => {
      heard(event)
      for (const listener of listeners) listener(event)
    },
  })
  return {
    connection,
    role,
    isComplete,
    changes,
    devices: viewer.devices,
    now: () => systemClock.now() + aheadMs,
    get isHearing() {
      return connection.peek().name === 'open'
    },
    retryNow: viewer.retryNow,
    subscribe,
    listen,
    close,
  }

  function heard(event: ViewerEvent): void {
    switch (event.type) {
      case 'state':
        connection.value = event.state
        if (event.state.name === 'stopped' && event.state.code !== 1000) {
          onRefused(event.state.code === EXPIRED ? 'expired' : 'refused')
        }
        break
      case 'welcome':
        role.value = event.role
        aheadMs = event.serverNowMs - systemClock.now()
        break
      case 'snapshot':
        isComplete.value = true
        changes.value += 1
        break
      default:
        callOffLook ??= systemClock.after(LOOK_EVERY_MS, look)
    }
  }

  function look(): void {
    callOffLook = null
    changes.value += 1
  }

  function subscribe(to: Subscription): void {
    isComplete.value = false
    viewer.subscribe(to)
  }

  function listen(listener: WatchListener): () => void {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  function close(): void {
    callOffLook?.()
    listeners.clear()
    viewer.close()
  }
}
