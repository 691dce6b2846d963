/**
 * The far end of a window: what a device has sent and heard on one connection, with ACKs that are still on
 * their way to it, and beside that what an onlooker knows who sees everything at once.
 */
import {
  acceptFrame,
  closeWindow,
  grantMore,
  settleFrame,
  type Window,
  windowPoints,
} from '../../src/core/credit.ts'
import type { VerdictTold, WindowTold } from './story.ts'

export type Connection = ReturnType<typeof createConnection>

export function createConnection(window: Window) {
  // As the device sees it.
  const onTheWay: { seq: number; windowPoints: number }[] = []
  let unacknowledged: { seq: number; cost: number }[] = []
  let windowHeard = windowPoints(window)
  let lastSeq = 0
  // As the onlooker sees it: sums of costs since the connection opened.
  let sent = 0
  let settled = 0
  let grantedEver = windowPoints(window)
  let windowTold = windowPoints(window)
  let isOpen = true
  return {
    send,
    settle,
    acknowledge,
    hear,
    hearUntilFree,
    close,
    get lastSeq() {
      return lastSeq
    },
    /** Points that the hub has taken and not settled. */
    get unsettled() {
      return sent - settled
    },
  }

  /** The device sends a frame, and the hub says what the window says. */
  function send(seq: number, cost: number): VerdictTold {
    const isWithin = sent + cost <= grantedEver
    const expected = seq <= lastSeq ? 'sequence' : isWithin ? 'kept' : 'limit'
    const isCompliant = expected !== 'sequence' && cost <= freePoints()
    const verdict = acceptFrame(window, seq, cost)
    if (verdict === 'kept') {
      lastSeq = seq
      sent += cost
      unacknowledged.push({ seq, cost })
    }
    return { verdict, expected, isCompliant }
  }

  function settle(seq: number, cost: number): void {
    settleFrame(window, seq, cost)
    settled += cost
  }

  /** The hub sends an ACK of everything settled; null when there is nobody to send it to. */
  function acknowledge(): WindowTold | null {
    grantMore(window)
    if (!isOpen) return null
    const { settledSeq } = window
    const pointsNow = windowPoints(window)
    const told = {
      windowPoints: pointsNow,
      acknowledged: settled,
      grantedBefore: grantedEver,
      windowBefore: windowTold,
    }
    onTheWay.push({ seq: settledSeq, windowPoints: pointsNow })
    windowTold = pointsNow
    grantedEver = Math.max(grantedEver, settled + pointsNow)
    return told
  }

  /** The next ACK reaches the device. */
  function hear(): void {
    const ack = onTheWay.shift()
    if (ack === undefined) return
    windowHeard = ack.windowPoints
    unacknowledged = unacknowledged.filter(({ seq }) => seq > ack.seq)
  }

  /** The device listens until it may send a frame of this cost; false when it has heard all there is. */
  function hearUntilFree(cost: number): boolean {
    while (freePoints() < cost && onTheWay.length > 0) hear()
    return freePoints() >= cost
  }

  function freePoints(): number {
    return unacknowledged.reduce((free, { cost }) => free - cost, windowHeard)
  }

  function close(): void {
    isOpen = false
    closeWindow(window)
  }
}
