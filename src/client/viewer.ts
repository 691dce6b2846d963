/**
 * The viewer client: one subscription, kept up through reconnects, and a picture of the devices in it
 * (PROTOCOL.md section 3). It knows no platform; node.ts and browser.ts give it one.
 */

import { type Clock, systemClock } from '../clock.ts'
import { CLOSE, type Verdict, verdictOf } from '../protocol/closes.ts'
import { pack } from '../protocol/encode.ts'
import {
  CLIENT_CHARS_MAX,
  ROUTE,
  SUB_DEVICES_MAX,
  SUB_USERS_MAX,
  SUBPROTOCOL,
  TYPE,
} from '../protocol/messages.ts'
import { type ConnectionState, type Loss, openConnection } from './connection.ts'
import { readToViewer, type ToViewer, type ViewerRole } from './frames.ts'
import { type Change, createPicture, type DeviceView } from './picture.ts'
import type { Platform } from './platform.ts'
import { createTokenKeeper, type TokenSource } from './token.ts'

/** Which devices to watch. A filter, never a grant: what the viewer may not see is left out by the hub. */
export interface Subscription {
  /** Absent: the token's own user. A list, or `[]` for all users: admins only. At most 256. */
  userIds?: readonly number[] | null
  /** Narrows it. At most 1 024. */
  deviceIds?: readonly number[] | null
}

export interface ViewerOptions {
  /** The hub's address: `http:`, `https:`, `ws:` or `wss:`. */
  url: string
  token: TokenSource
  subscription?: Subscription
  /** Name and version of the program, at most 64 characters. */
  name?: string
  /** Default false: stop when refused for good. True: try again, at most once an hour. */
  unattended?: boolean
  onEvent?: (event: ViewerEvent) => void
  clock?: Partial<Clock>
}

export type ViewerEvent =
  | Change
  | { type: 'state'; state: ConnectionState }
  | { type: 'welcome'; userId: number; role: ViewerRole; serverNowMs: number; authExpiresMs: number }
  /** A frame was missed, and the hub is asked for a new snapshot. */
  | { type: 'resync' }
  | { type: 'goaway'; minDelayMs: number; maxDelayMs: number }
  | { type: 'error'; code: number | null; message: string }

export interface ViewerClient {
  /** What is shown now; kept through reconnects until a new snapshot. */
  readonly devices: ReadonlyMap<number, DeviceView>
  readonly state: ConnectionState
  /** Replaces the subscription. Throws a RangeError when it has too many ids. */
  subscribe(subscription: Subscription): void
  /** A user's action: connect at once instead of waiting, also after a stop. */
  retryNow(): void
  close(): void
}

const RESYNC_SPREAD_MS = 1_000
const RESYNC_EVERY_MS_MIN = 1_000
/** A hub that has begun no snapshot by then is asked again. */
const SNAPSHOT_TIMEOUT_MS = 60_000
/** The error that answers a SUB beyond the viewer's rights (V5). */
const SUB_REFUSED = 4403
const SUB_BYTES_MAX = 8_192

/**
 * One closure, for subscription, snapshot and resync answer each other: what a frame means hangs on which of them was
 * asked for last.
 */
export function createViewer(options: ViewerOptions, platform: Platform): ViewerClient {
  const name = options.name ?? 'alzy'
  if (name.length > CLIENT_CHARS_MAX)
    throw new RangeError(`name has more than ${CLIENT_CHARS_MAX} characters`)
  const clock: Clock = { ...systemClock, ...options.clock }
  const picture = createPicture()
  let sub = encodeSub(options.subscription ?? {})
  /** The last SUB that the hub answered, to go back to when the next one is refused. */
  let granted: Uint8Array | null = null
  let isClosed = false
  let callOffResync: (() => void) | null = null
  let resyncAtMs = Number.NEGATIVE_INFINITY
  /** Since when a complete snapshot is due; null: none is. */
  let snapshotDueSinceMs: number | null = null

  const token = createTokenKeeper(options.token, clock, {
    renew: (fresh) => connection.send(pack([TYPE.auth, fresh])),
    failed: (message) => emit({ type: 'error', code: null, message }),
  })
  const connection = openConnection<ToViewer>({
    url: options.url,
    route: ROUTE.live,
    subprotocol: SUBPROTOCOL.live,
    platform,
    clock,
    unattended: options.unattended ?? false,
    hello: async () => [TYPE.hello, await token.get(), name, clock.now()],
    read: readToViewer,
    received,
    lost,
    changed: (state) => emit({ type: 'state', state }),
  })
  // Not at once, so that the first event finds the caller holding the client.
  queueMicrotask(() => {
    if (!isClosed) connection.start()
  })

  return {
    devices: picture.devices,
    get state() {
      return connection.state
    },
    subscribe,
    retryNow: () => {
      if (!isClosed) connection.retryNow()
    },
    close,
  }

  function received(frame: ToViewer): void {
    switch (frame.type) {
      case TYPE.tick:
        connection.send(pack([TYPE.seen, frame.tick]))
        break
      case TYPE.live:
      case TYPE.presence:
      case TYPE.sessionChange:
      case TYPE.backfilled: {
        const change = picture.counted(frame)
        resyncIfNeeded()
        if (change) emit(change)
        break
      }
      case TYPE.snap:
        snapped(frame.part, frame.last, picture.snap(frame.part, frame.last, frame.devices))
        break
      case TYPE.device:
        emit(picture.device(frame.device))
        break
      case TYPE.gone:
        for (const change of picture.gone(frame.deviceId)) emit(change)
        break
      default:
        spoken(frame)
    }
  }

  /** Everything that is about the connection, not about devices. */
  function spoken(frame: ToViewer): void {
    switch (frame.type) {
      case TYPE.welcome: {
        const { userId, role, serverNowMs, authExpiresMs } = frame
        picture.begin()
        token.accepted(serverNowMs, authExpiresMs)
        granted = null
        sendSub()
        emit({ type: 'welcome', userId, role, serverNowMs, authExpiresMs })
        break
      }
      case TYPE.authOk:
        token.renewed(frame.authExpiresMs)
        break
      case TYPE.goaway:
        emit({ ...frame, type: 'goaway' })
        break
      case TYPE.error:
        if (frame.code === SUB_REFUSED) refuseSub()
        if (frame.code === CLOSE.unavailable.code) token.deferred()
        emit({ type: 'error', code: frame.code, message: frame.message })
        break
      case 'malformed':
        emit({ type: 'error', code: null, message: frame.message })
    }
  }

  function subscribe(subscription: Subscription): void {
    sub = encodeSub(subscription)
    if (connection.state.name === 'open') sendSub()
  }

  function sendSub(): void {
    snapshotDueSinceMs = clock.elapsed()
    connection.send(sub)
  }

  /** The hub keeps the subscription as it was, and so does this side, also after a reconnect. */
  function refuseSub(): void {
    snapshotDueSinceMs = null
    if (granted) sub = granted
  }

  function snapped(part: number, last: boolean, changes: Change[]): void {
    if (snapshotDueSinceMs !== null) snapshotDueSinceMs = clock.elapsed()
    if (part === 0) granted = sub
    if (last && changes.at(-1)?.type === 'snapshot') {
      snapshotDueSinceMs = null
      callOffResync?.()
      callOffResync = null
    }
    resyncIfNeeded()
    for (const change of changes) emit(change)
  }

  /** Asks for a snapshot where a frame is missing, unless one is on its way (V2). */
  function resyncIfNeeded(): void {
    if (!picture.hasHole || callOffResync !== null) return
    const nowMs = clock.elapsed()
    const earliestMs = Math.max(
      nowMs + clock.random() * RESYNC_SPREAD_MS,
      resyncAtMs + RESYNC_EVERY_MS_MIN,
      snapshotDueSinceMs === null ? 0 : snapshotDueSinceMs + SNAPSHOT_TIMEOUT_MS,
    )
    callOffResync = clock.after(earliestMs - nowMs, resync)
  }

  function resync(): void {
    callOffResync = null
    if (!picture.hasHole || connection.state.name !== 'open') return
    resyncAtMs = clock.elapsed()
    snapshotDueSinceMs = resyncAtMs
    connection.send(pack([TYPE.resync]))
    emit({ type: 'resync' })
  }

  function lost({ code }: Loss): Verdict {
    callOffResync?.()
    callOffResync = null
    snapshotDueSinceMs = null
    const isAuthUnknown = code === CLOSE.malformed.code && token.isAsking
    if (isAuthUnknown) token.forgoAuth()
    token.disconnected(code === CLOSE.tokenExpired.code)
    if (isAuthUnknown) return { do: 'reconnect', delayMsMin: 0 }
    const verdict = verdictOf(code)
    if (verdict.do === 'renewToken') return token.canRenew ? verdict : { do: 'stop' }
    return verdict.do === 'finish' ? { do: 'reconnect', delayMsMin: 0 } : verdict
  }

  function close(): void {
    isClosed = true
    callOffResync?.()
    token.disconnected(false)
    connection.stop('closed')
  }

  function emit(event: ViewerEvent): void {
    options.onEvent?.(event)
  }
}

function encodeSub({ userIds, deviceIds }: Subscription): Uint8Array {
  if ((userIds?.length ?? 0) > SUB_USERS_MAX) throw new RangeError(`more than ${SUB_USERS_MAX} users`)
  if ((deviceIds?.length ?? 0) > SUB_DEVICES_MAX) throw new RangeError(`more than ${SUB_DEVICES_MAX} devices`)
  const bytes = pack([TYPE.sub, userIds ?? null, deviceIds ?? null])
  if (bytes.length > SUB_BYTES_MAX) throw new RangeError('the subscription is larger than a frame may be')
  return bytes
}
