/**
 * Links between clients and a hub: each direction in order, each link at its own pace, cut at any moment, with the news
 * of it reaching either side late. The hub's side is a Peer as the hub's own server makes it.
 */

import type { Close } from '../../src/protocol/closes.ts'
import { CLOSE } from '../../src/protocol/closes.ts'
import { encodeError } from '../../src/protocol/encode.ts'
import type { Peer } from '../../src/sockets/peer.ts'
import type { Chance } from '../rig/chance.ts'
import type { Clock } from './clock.ts'
import { type Frame, unpackFrame } from './wire.ts'

/** What the hub has of a socket: the handlers of one of its routes, with their state. */
export interface Seat {
  message: (bytes: Uint8Array) => void
  dropped: () => void
  closed: () => void
  /** In the live stream, as the hub sees it. */
  isLive: () => boolean
}

export interface Client {
  id: number
  onFrame: (frame: Frame) => void
  /** 1006 where no close frame came. */
  onClose: (code: number) => void
}

/** Frames that the hub may have under way to a client before its buffer is full. */
const BUFFER_FRAMES_MAX = [6, 40]
const NONE_SEEN = 1006
/** A hub pings, and a client hears nothing: either notices after this at the latest. */
const NOTICE_MS_MAX = 60_000

export type Link = ReturnType<typeof createLink>

/** `open` makes the hub's side of it; null when there is no hub. */
export function createLink(
  clock: Clock,
  chance: Chance,
  client: Client,
  open: (link: { peer: Peer; number: number }) => Seat | null,
  witness: {
    onSend: (number: number, frame: Frame) => void
    onEnd: (number: number, code: number) => void
    onLost: (number: number) => void
  },
  number: number,
) {
  let isWhole = true
  let isClientThere = true
  let isStalled = false
  const bufferFramesMax = chance.pick(BUFFER_FRAMES_MAX)
  let paceMs = chance.pick([5, 30, 200])
  let toHubMs = 0
  let toClientMs = 0
  let underWay = 0
  const held: (() => void)[] = []
  const topics = new Set<string>()
  let seat: Seat | null = null
  let isAdmitted = false
  const peer: Peer & { isOpen: boolean } = {
    isOpen: false,
    address: '192.0.2.1',
    admit: () => {
      isAdmitted = true
    },
    send,
    end,
    malformed: (message: string, ref: number | null) => {
      send(encodeError(CLOSE.malformed.code, message, ref))
      end(CLOSE.malformed)
    },
    join: (topic: string) => void topics.add(topic),
    leave: (topic: string) => void topics.delete(topic),
  }
  const opensInMs = chance.whole(1, paceMs)
  toHubMs = clock.nowMs + opensInMs
  clock.at(opensInMs, 'link opens', client.id, () => {
    if (!isWhole) return
    peer.isOpen = true
    seat = open({ peer, number })
    if (seat !== null) return
    peer.isOpen = false
    tellClient(NONE_SEEN, 1)
  })
  return {
    number,
    topics,
    peer,
    sendToHub,
    leave,
    cut,
    killHub,
    publish,
    stall,
    pace,
    get isOpen() {
      return peer.isOpen
    },
    /** It stands in nobody's way at the door any more. */
    get isAdmitted() {
      return isAdmitted
    },
    /** In the live stream, as the hub sees it. */
    get isLive() {
      return peer.isOpen && (seat?.isLive() ?? false)
    },
    /** The client has read all that the hub has sent. */
    get isRead() {
      return underWay === 0
    },
    /** Nothing can come of it any more. */
    get isDone() {
      return !peer.isOpen && !isWhole
    },
  }

  function sendToHub(bytes: Uint8Array): void {
    toHubMs = Math.max(toHubMs, clock.nowMs + chance.whole(1, paceMs))
    clock.at(toHubMs - clock.nowMs, 'to hub', client.id, () => {
      if (isWhole && peer.isOpen) seat?.message(bytes)
    })
  }

  /** False when the buffer is full: the frame is lost. */
  function send(bytes: Uint8Array): boolean {
    if (!peer.isOpen) return false
    if (underWay >= bufferFramesMax) {
      witness.onLost(number)
      return false
    }
    carry(unpackFrame(bytes))
    return true
  }

  /** A frame of a topic, unpacked once for all. */
  function publish(frame: Frame): void {
    if (!peer.isOpen) return
    if (underWay < bufferFramesMax) carry(frame)
    else seat?.dropped()
  }

  function carry(frame: Frame): void {
    witness.onSend(number, frame)
    underWay += 1
    toClientMs = Math.max(toClientMs, clock.nowMs + chance.whole(1, paceMs))
    clock.at(toClientMs - clock.nowMs, 'to client', client.id, () => {
      if (!isWhole) return
      if (isStalled) held.push(() => deliver(frame))
      else deliver(frame)
    })
  }

  function deliver(frame: Frame): void {
    underWay -= 1
    if (isClientThere) client.onFrame(frame)
  }

  /** The hub ends the connection; its close handler runs before this returns. */
  function end({ code }: Close): void {
    if (!peer.isOpen) return
    witness.onEnd(number, code)
    closeHubSide()
    // A close frame that does not fit, or that the line loses, is never seen.
    const seen = isStalled || chance.yes(0.05) ? NONE_SEEN : code
    if (isWhole) tellClient(seen, Math.max(1, toClientMs - clock.nowMs + 1))
  }

  function closeHubSide(): void {
    if (!peer.isOpen) return
    peer.isOpen = false
    topics.clear()
    seat?.closed()
  }

  function tellClient(code: number, delayMs: number): void {
    clock.at(delayMs, 'close seen', client.id, () => {
      if (!isClientThere) return
      isClientThere = false
      isWhole = false
      client.onClose(code)
    })
  }

  /** The client goes away, properly. */
  function leave(): void {
    isClientThere = false
    clock.at(chance.whole(1, paceMs) + Math.max(0, toHubMs - clock.nowMs), 'client left', client.id, () => {
      isWhole = false
      closeHubSide()
    })
  }

  /** From now on nothing gets through; either side notices at its own time. */
  function cut(isSilent: boolean): void {
    if (!isWhole) return
    isWhole = false
    const noticeMs = () => (isSilent ? chance.whole(1_000, NOTICE_MS_MAX) : chance.whole(0, 50))
    clock.at(noticeMs(), 'hub notices', client.id, closeHubSide)
    tellClient(NONE_SEEN, noticeMs())
  }

  /** The process of the hub is gone, and with it its side. */
  function killHub(): void {
    peer.isOpen = false
    topics.clear()
    seat = null
    if (isWhole)
      tellClient(NONE_SEEN, chance.yes(0.1) ? chance.whole(1_000, NOTICE_MS_MAX) : chance.whole(0, 100))
    isWhole = false
  }

  /** The client stops reading, or begins again. */
  function stall(yes: boolean): void {
    isStalled = yes
    if (yes) return
    for (const read of held.splice(0)) read()
  }

  function pace(ms: number): void {
    paceMs = ms
  }
}
