/** The viewer socket (PROTOCOL.md section 3): frames in and frames out. What a viewer is shown, `live/` decides. */
import type { Live } from '../live/live.ts'
import { createSnapshot } from '../live/snapshot.ts'
import type { Subscriber } from '../live/subscription.ts'
import { ROUTE, SUBPROTOCOL, TYPE } from '../protocol/messages.ts'
import { createGuests, type Guest, type GuestLimits, type GuestsOptions } from './guest.ts'

export interface Viewer extends Guest, Subscriber {
  peer: Guest['peer']
}

export interface ViewerSocketOptions extends GuestsOptions {
  limits: GuestLimits & { viewersMax: number; viewerBufferBytesMax: number }
  live: Live
}

export function createViewerSocket({ live, ...options }: ViewerSocketOptions) {
  const { limits } = options
  const { subscriptions } = live
  const viewers = createGuests<Viewer>(options, {
    path: ROUTE.live,
    subprotocol: SUBPROTOCOL.live,
    max: limits.viewersMax,
    bufferBytesMax: limits.viewerBufferBytesMax,
    open: viewerOf,
    mayEnter: () => true,
    answer: (viewer, grant, frame) => {
      if (frame.type === TYPE.sub) subscriptions.subscribe(viewer, grant, frame.userIds, frame.deviceIds)
      else if (frame.type === TYPE.resync) subscriptions.resync(viewer)
      else if (frame.type === TYPE.seen) subscriptions.seen(viewer, frame.tick)
      return true
    },
    tend: subscriptions.tend,
    dropped: subscriptions.lost,
    close: subscriptions.close,
  })
  return Object.assign(viewers, {
    gauges: () => ({
      viewers: viewers.count,
      viewersOnSnapshots: viewers.count - subscriptions.liveCount,
    }),
  })
}

/** One literal: an object that grows field by field takes more, and there are thousands. */
function viewerOf({ peer, hello, grant, release, expiresMs, freshToken, frames, lane }: Guest): Viewer {
  const changed = new Set<number>()
  return {
    peer,
    hello,
    grant,
    release,
    expiresMs,
    freshToken,
    frames,
    lane,
    topics: [],
    changed,
    snapshot: createSnapshot(changed),
    request: 0,
    subscription: null,
    isPreparing: false,
    isPumping: false,
    hasLostFrames: false,
  }
}
