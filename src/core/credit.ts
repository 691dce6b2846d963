/**
 * Credit: how many points each device may have in flight (D6). What was granted is never taken back, and the
 * sum of everything granted stays below the bound of the backlog, so that a frame within a window can always
 * be kept. It knows nothing of sockets or of points: frames have a seq and a cost.
 */
export interface CreditLimits {
  /** Points that may be granted or waiting in all. */
  backlogPointsMax: number
  /** Connections that must always find at least `batchPointsMax`. */
  devicesMax: number
  batchPointsMax: number
  windowPointsMax: number
}

/** What all windows share. */
export interface Credit {
  readonly limits: CreditLimits
  /** Everything that devices may still send and everything they sent that is not settled. */
  heldPoints: number
  openWindows: number
}

/**
 * What one connection may have in flight. Its costs are sums since it opened, because a device may use what an earlier
 * ACK granted while a later one is on its way to it.
 */
export interface Window {
  readonly credit: Credit
  isOpen: boolean
  lastSeq: number
  /** The seq that an ACK may name. */
  settledSeq: number
  /** Sent by the device, settled by the hub, granted in all. */
  sent: number
  settled: number
  granted: number
  /** Of the credit, by this window. */
  held: number
}

export function createCredit(limits: CreditLimits): Credit {
  return { limits, heldPoints: 0, openWindows: 0 }
}

/** A window for a new connection, or null when no credit is left. */
export function openWindow(credit: Credit): Window | null {
  const { devicesMax, batchPointsMax, backlogPointsMax } = credit.limits
  if (credit.openWindows >= devicesMax || credit.heldPoints + batchPointsMax > backlogPointsMax) return null
  credit.openWindows += 1
  const window: Window = {
    credit,
    isOpen: true,
    lastSeq: 0,
    settledSeq: 0,
    sent: 0,
    settled: 0,
    granted: 0,
    held: 0,
  }
  hold(window)
  grantMore(window)
  return window
}

export function unsettledPoints({ sent, settled }: Window): number {
  return sent - settled
}

/** What the device may have unacknowledged from now on. */
export function windowPoints({ granted, settled }: Window): number {
  return granted - settled
}

/** A frame arrives. */
export function acceptFrame(window: Window, seq: number, cost: number): 'kept' | 'sequence' | 'limit' {
  if (seq <= window.lastSeq) return 'sequence'
  if (window.sent + cost > window.granted) return 'limit'
  window.lastSeq = seq
  window.sent += cost
  return 'kept'
}

/** A frame is committed or listed as rejected. Frames are settled in the order they were accepted. */
export function settleFrame(window: Window, seq: number, cost: number): void {
  window.settledSeq = seq
  window.settled += cost
  hold(window)
}

/** Raises the window as far as the credit allows; to be announced with the next ACK. */
export function grantMore(window: Window): void {
  if (!window.isOpen) return
  const { limits, heldPoints, openWindows } = window.credit
  const { backlogPointsMax, devicesMax, batchPointsMax, windowPointsMax } = limits
  const reserved = Math.max(0, devicesMax - openWindows) * batchPointsMax
  // Half of what is free, so that many greedy devices share instead of the first taking all.
  const share = Math.max(0, backlogPointsMax - reserved - heldPoints) >> 1
  const points = Math.max(batchPointsMax, Math.min(windowPointsMax, windowPoints(window) + share))
  window.granted = Math.max(window.granted, window.settled + points)
  hold(window)
}

/** The connection is gone: what it did not send is free again; what it sent is held until settled. */
export function closeWindow(window: Window): void {
  if (!window.isOpen) return
  window.isOpen = false
  window.credit.openWindows -= 1
  window.granted = window.sent
  hold(window)
}

/** Counts what is held, which for an open connection includes the least that it may always be granted. */
function hold(window: Window): void {
  const { credit, isOpen } = window
  const points = isOpen ? Math.max(credit.limits.batchPointsMax, windowPoints(window)) : windowPoints(window)
  credit.heldPoints += points - window.held
  window.held = points
}
