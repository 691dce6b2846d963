/**
 * What a viewer shows, kept by the rules V1 to V3 and nothing else; it says where a frame does not fit. Both the viewers
 * and the onlooker beside the hub have one.
 */
import * as t from '../rig/points.ts'
import { type Frame, type Shown, shownOf } from './wire.ts'

export interface View {
  epoch: number
  n: number
  online: boolean
  lastMs: number | null
  lat: number | null
  sessionMs: number | null
  /** Once a SESSION has said it: the start of an automatic session may still move. */
  sessionId: number | null
  status: string | null
}

export type Oddity = 'hole' | 'stale' | 'unknown' | 'older point' | 'part of no snapshot'

export function createPicture() {
  const views = new Map<number, View>()
  let seen: Set<number> | null = null
  let isComplete = false
  let lastPart = Number.NaN
  return {
    views,
    apply,
    /** A snapshot has come to its end since the last SUB or RESYNC. */
    get isComplete() {
      return isComplete
    },
    restart: () => {
      isComplete = false
    },
    begin,
  }

  function begin(): void {
    views.clear()
    seen = null
    isComplete = false
    lastPart = Number.NaN
  }

  function apply(frame: Frame): Oddity | null {
    switch (frame[0]) {
      case t.SNAP:
        return snap(frame[1] as number, frame[2] as boolean, (frame[3] as unknown[][]).map(shownOf))
      case t.DEVICE:
        return null
      case t.GONE:
        views.delete(frame[1] as number)
        seen?.delete(frame[1] as number)
        return null
      case t.LIVE:
      case t.PRESENCE:
      case t.SESSION_CHANGE:
      case t.BACKFILLED:
        return counted(frame)
    }
    return null
  }

  function counted(frame: Frame): Oddity | null {
    const view = views.get(frame[1] as number)
    if (view === undefined) return 'unknown'
    const [epoch, n] = [frame[2] as number, frame[3] as number]
    if (epoch < view.epoch || (epoch === view.epoch && n <= view.n)) return 'stale'
    const isNext = n === (epoch === view.epoch ? view.n + 1 : 1)
    view.epoch = epoch
    view.n = n
    const isOlder = frame[0] === t.LIVE && !live(view, frame)
    if (frame[0] === t.PRESENCE) view.online = frame[4] as boolean
    if (frame[0] === t.SESSION_CHANGE) session(view, frame)
    if (!isNext) return 'hole'
    return isOlder ? 'older point' : null
  }

  function session(view: View, frame: Frame): void {
    if (frame[5] !== view.sessionMs && frame[4] !== view.sessionId) return
    view.sessionId = frame[4] as number
    view.sessionMs = frame[5] as number
    view.status = frame[6] as string
  }

  /** False when one of the points is not newer than what is shown. */
  function live(view: View, frame: Frame): boolean {
    let isNewer = true
    for (const [dtMs, lat] of frame[6] as [number, number][]) {
      const recordedMs = (frame[5] as number) + dtMs
      if (view.lastMs !== null && recordedMs <= view.lastMs) {
        isNewer = false
        continue
      }
      view.lastMs = recordedMs
      view.lat = lat
      if (frame[4] === view.sessionMs) continue
      view.sessionMs = frame[4] as number
      view.sessionId = null
      view.status = null
    }
    return isNewer
  }

  function snap(part: number, isLast: boolean, shown: Shown[]): Oddity | null {
    const isNext = part === 0 || part === lastPart + 1
    lastPart = part
    if (part === 0) seen = new Set()
    for (const one of shown) {
      seen?.add(one.deviceId)
      replace(one)
    }
    if (isLast) {
      isComplete = true
      for (const id of seen === null ? [] : views.keys()) if (!seen!.has(id)) views.delete(id)
      seen = null
    }
    return isNext ? null : 'part of no snapshot'
  }

  function replace(shown: Shown): void {
    const { deviceId, epoch, n, online, lastMs, lat, sessionMs, status } = shown
    const held = views.get(deviceId)
    if (held !== undefined && (epoch < held.epoch || (epoch === held.epoch && n < held.n))) return
    const sessionId = held?.sessionMs === sessionMs ? held.sessionId : null
    views.set(deviceId, { epoch, n, online, lastMs, lat, sessionMs, sessionId, status })
  }
}

export type Picture = ReturnType<typeof createPicture>
