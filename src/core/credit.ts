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

export type Credit = ReturnType<typeof createCredit>
export type Window = NonNullable<ReturnType<Credit['open']>>

export function createCredit(limits: CreditLimits) {
  const { backlogPointsMax, devicesMax, batchPointsMax, windowPointsMax } = limits
  // Everything that devices may still send and everything they sent that is not settled.
  let heldPoints = 0
  let openWindows = 0
  return {
    open,
    get heldPoints() {
      return heldPoints
    },
    get openWindows() {
      return openWindows
    },
  }

  /** A window for a new connection, or null when no credit is left. */
  function open() {
    if (openWindows >= devicesMax || heldPoints + batchPointsMax > backlogPointsMax) return null
    openWindows += 1
    let lastSeq = 0
    // Costs since the connection opened: sent by the device, settled by the hub, granted in all. Absolute
    // sums, because a device may use what an earlier ACK granted while a later one is on its way to it.
    let sent = 0
    let settled = 0
    let granted = 0
    let settledSeq = 0
    let isOpen = true
    let held = 0
    hold()
    grant()
    return {
      accept,
      settle,
      grant,
      close,
      /** The seq that an ACK may name. */
      get settledSeq() {
        return settledSeq
      },
      get unsettledPoints() {
        return sent - settled
      },
      /** What the device may have unacknowledged from now on. */
      get windowPoints() {
        return granted - settled
      },
    }

    /** A frame arrives. */
    function accept(seq: number, cost: number): 'kept' | 'sequence' | 'limit' {
      if (seq <= lastSeq) return 'sequence'
      if (sent + cost > granted) return 'limit'
      lastSeq = seq
      sent += cost
      return 'kept'
    }

    /** A frame is committed or listed as rejected. Frames are settled in the order they were accepted. */
    function settle(seq: number, cost: number): void {
      settledSeq = seq
      settled += cost
      hold()
    }

    /** Raises the window as far as the pool allows; to be announced with the next ACK. */
    function grant(): void {
      if (!isOpen) return
      const windowNow = granted - settled
      const reserved = Math.max(0, devicesMax - openWindows) * batchPointsMax
      // Half of what is free, so that many greedy devices share instead of the first taking all.
      const share = Math.max(0, backlogPointsMax - reserved - heldPoints) >> 1
      const window = Math.max(batchPointsMax, Math.min(windowPointsMax, windowNow + share))
      granted = Math.max(granted, settled + window)
      hold()
    }

    /** Counts what is held, which for an open connection includes the least that it may always be granted. */
    function hold(): void {
      const now = isOpen ? Math.max(batchPointsMax, granted - settled) : granted - settled
      heldPoints += now - held
      held = now
    }

    /** The connection is gone: what it did not send is free again; what it sent is held until settled. */
    function close(): void {
      if (!isOpen) return
      isOpen = false
      openWindows -= 1
      granted = sent
      hold()
    }
  }
}
