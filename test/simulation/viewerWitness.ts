/**
 * Stands beside the hub and sees every frame to every viewer at the moment it leaves: nothing is missing, doubled or out
 * of order (V1, V2, V3), and nothing comes of what was withdrawn (V6).
 */
import type { BacklogEntry, Stored } from '../../src/core/backlog.ts'
import type { Inlet } from '../../src/ingest/intake.ts'
import { POINT_STRIDE } from '../../src/protocol/messages.ts'
import * as t from '../rig/points.ts'
import type { Fail } from './deviceWitness.ts'
import type { Hub } from './hub.ts'
import type { Link, Seat } from './network.ts'
import { createPicture, type Picture } from './picture.ts'
import type { Sometimes } from './sometimes.ts'
import { AHEAD_MS, type DeviceTable, type Tables } from './tables.ts'
import { type Frame, shownOf } from './wire.ts'

interface Watch {
  link: Link
  picture: Picture
  seat: Seat | null
  token: string
  /** A frame did not fit: until the next complete snapshot it is known to be wrong. */
  isLossy: boolean
  isWelcome: boolean
  role: string | null
  isEnded: boolean
}

export type ViewerWitness = ReturnType<typeof createViewerWitness>

export interface ViewerWitnessOptions {
  hasContent: (deviceId: number, atMs: number, lat: number) => boolean
  tables: Tables
  sometimes: Sometimes
  fail: Fail
  /** Whether the hub must know by now that it is withdrawn. */
  isOverdue: (what: string) => boolean
  hubNow: () => number
}

export function createViewerWitness(options: ViewerWitnessOptions) {
  const { hasContent, tables, sometimes, fail, isOverdue, hubNow } = options
  const watches = new Map<number, Watch>()
  const goneDevices = new Set<number>()
  /** Of each device, moments that went live since the last frame of it was offered to the writer. */
  const shown = new Map<number, Set<number>>()
  /** Moments of a frame that did not, and of frames that are stored and BACKFILLED has not said yet. */
  const leftOut = new WeakMap<BacklogEntry<Inlet>, number[]>()
  let unsaid: { deviceId: number; atMs: number }[] = []
  return {
    opened,
    seated,
    asked,
    lost,
    onSend,
    onEnd,
    onPublish,
    onOffer,
    onStored,
    check,
    deviceGone: (id: number) => void goneDevices.add(id),
    tokenEnded,
  }

  function opened(link: Link, token: string): void {
    watches.set(link.number, {
      link,
      picture: createPicture(),
      seat: null,
      token,
      isLossy: false,
      isWelcome: false,
      role: null,
      isEnded: false,
    })
  }

  /** Whoever has had a WELCOME hears nothing from now on; who is at the door may get in until the hub looks again. */
  function tokenEnded(token: string): void {
    for (const watch of watches.values()) if (watch.token === token) watch.isEnded = watch.isWelcome
  }

  function seated(number: number, seat: Seat): void {
    watches.get(number)!.seat = seat
  }

  /** SUB or RESYNC is at the hub: no live frame before the last part of its answer. */
  function asked(number: number): void {
    watches.get(number)!.picture.restart()
  }

  function lost(number: number): void {
    watches.get(number)!.isLossy = true
  }

  function onSend(number: number, frame: Frame): void {
    const watch = watches.get(number)!
    const { picture, token } = watch
    if (frame[0] === t.SNAP && frame[1] === 0) watch.isLossy = false
    if (frame[0] === t.WELCOME) {
      watch.isWelcome = true
      if (!watch.link.isAdmitted) fail(`${token}: welcome, and still waiting at the door`)
      watch.role = frame[2] as string
    }
    if (watch.isEnded && frame[0] >= t.SNAP && frame[0] < t.GONE) {
      fail(`${token}: a frame of type ${frame[0]} after its end`)
    }
    if (frame[0] === t.DEVICE && goneDevices.has(frame[1] as number))
      fail(`${token}: DEVICE of device ${frame[1]}, which is withdrawn`)
    if (frame[0] === t.SNAP) {
      for (const fields of frame[3] as unknown[][]) {
        const { deviceId } = shownOf(fields)
        if (goneDevices.has(deviceId))
          fail(`${token}: a snapshot shows device ${deviceId}, which is withdrawn`)
      }
    }
    if (isAbout(frame) && goneDevices.has(frame[1] as number)) {
      fail(`${token}: a frame of type ${frame[0]} of device ${frame[1]}, which is withdrawn`)
    }
    if (isAbout(frame) && !picture.isComplete && !watch.isLossy) {
      fail(`${token}: a live frame before the last part of its snapshot`)
    }
    const oddity = picture.apply(frame)
    if (oddity === 'part of no snapshot') {
      if (!watch.isLossy) fail(`${token}: part ${frame[1]} of a snapshot follows another`)
      return
    }
    // What the database refuses was live, and is forgotten with its device; and so is what came first when it was ahead
    // of the clock, and again when it was not: to the database it is not the newest.
    const mayBeOlder = oddity === 'older point' && isForgotten(deviceOf(frame)!)
    if (oddity !== null && !mayBeOlder && !watch.isLossy && deviceOf(frame)!.isActive) {
      fail(`${token}: ${oddity} of device ${frame[1]} at (${frame[2]}, ${frame[3]})`)
    }
  }

  /** A frame that counts for its device. */
  function isAbout([type]: Frame): boolean {
    return type === t.BACKFILLED || (type >= t.LIVE && type <= t.SESSION_CHANGE)
  }

  function isForgotten({ points, rejected }: DeviceTable): boolean {
    if (rejected.size > 0) return true
    for (const { recordedMs, receivedMs } of points.values())
      if (recordedMs > receivedMs + AHEAD_MS) return true
    return false
  }

  function deviceOf(frame: Frame) {
    return tables.devices.get(frame[1] as number)
  }

  function onPublish(deviceId: number, frame: Frame): void {
    if (goneDevices.has(deviceId))
      fail(`a frame of type ${frame[0]} of device ${deviceId}, which is withdrawn`)
    if (frame[0] === t.BACKFILLED) {
      unsaid = unsaid.filter(
        (one) =>
          one.deviceId !== deviceId || one.atMs < (frame[4] as number) || one.atMs > (frame[5] as number),
      )
      const { points, rejected } = tables.devices.get(deviceId)!
      for (const atMs of [frame[4] as number, frame[5] as number]) {
        if (!points.has(atMs) && !rejected.has(atMs))
          fail(`device ${deviceId}: BACKFILLED before ${atMs} is stored`)
      }
    }
    if (frame[0] !== t.LIVE) return
    const seen = shown.get(deviceId) ?? new Set<number>()
    shown.set(deviceId, seen)
    for (const [dtMs, lat] of frame[6] as [number, number][]) {
      const atMs = (frame[5] as number) + dtMs
      seen.add(atMs)
      if (!hasContent(deviceId, atMs, lat)) fail(`device ${deviceId}: a live point that nobody sent`)
      if (atMs > hubNow() + AHEAD_MS) fail(`device ${deviceId}: a live point ahead of the clock of the hub`)
    }
  }

  /** What goes live of a frame has gone by now, where somebody watches. */
  function onOffer(entry: BacklogEntry<Inlet>, isWatched: boolean): void {
    const { device, kept } = entry
    const seen = shown.get(device.id)
    shown.delete(device.id)
    if (!isWatched) return
    const moments = Array.from({ length: kept.count }, (_, i) => kept.values[i * POINT_STRIDE]!)
    leftOut.set(
      entry,
      // Of what is ahead of the clock nobody is told (D9).
      moments.filter((atMs) => !seen?.has(atMs) && atMs <= entry.receivedMs + AHEAD_MS),
    )
  }

  /** BACKFILLED follows in the same step. */
  function onStored({ entries }: Stored<Inlet>): void {
    for (const entry of entries) {
      for (const atMs of leftOut.get(entry) ?? []) unsaid.push({ deviceId: entry.device.id, atMs })
    }
  }

  function onEnd(number: number, code: number): void {
    const { token, role } = watches.get(number)!
    if (code === 4402) sometimes.note('viewer closed for being slow')
    if (code !== 4503 || role === null) return
    if (role === 'share') sometimes.note('share ended')
    if (role === 'admin') sometimes.note('admin demoted')
    if (role === 'user' && token !== 'user 9') sometimes.note('user deactivated')
  }

  function judgeRight({ token, role }: Watch): void {
    const owner = tables.users.get(
      role === 'share' ? tables.shares.get(1)!.userId : Number(token.split(' ')[1]),
    )
    // A user who was an admin may come again, as what it is now.
    if ((role !== 'user' && isOverdue(token)) || isOverdue(`active ${owner!.id}`))
      fail(`${token}: connected long after its right was withdrawn`)
  }

  /** After each step: whoever is live has heard everything there was to hear. */
  function check(hub: Hub): void {
    for (const { deviceId, atMs } of unsaid) {
      if (tables.devices.get(deviceId)!.isActive)
        fail(`device ${deviceId}: ${atMs} was not shown live, and no BACKFILLED says that it is stored`)
    }
    unsaid = []
    for (const [number, watch] of watches) {
      if (!watch.link.isOpen) {
        if (watch.seat !== null) watches.delete(number)
        continue
      }
      if (watch.isWelcome) judgeRight(watch)
      if (watch.isLossy || !watch.seat?.isLive()) continue
      if (!watch.picture.isComplete) fail(`${watch.token}: live without a snapshot`)
      for (const [id, view] of watch.picture.views) {
        const device = hub.fleet.get(id)
        if (device === undefined || device.isGone || goneDevices.has(id)) continue
        if (view.epoch === device.epoch && view.n === device.n) continue
        // Nothing of it was counted since it is in memory.
        if (device.n === 0 && view.epoch < device.epoch) continue
        fail(
          `${watch.token}: device ${id} is at (${device.epoch}, ${device.n}), heard (${view.epoch}, ${view.n})`,
        )
      }
    }
  }
}
