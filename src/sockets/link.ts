/** What the hub holds of one device's socket, from upgrade to close. */

import type { Waiting } from '../access/helloDeadline.ts'
import type { Window } from '../core/credit.ts'
import type { Device } from '../core/device.ts'
import type { Peer } from './peer.ts'

export interface DeviceLink {
  peer: Peer
  hello: Waiting
  /** null until WELCOME. */
  device: Device | null
  /** Of the key that it came with; empty until WELCOME. */
  keyHash: string
  window: Window | null
  /** To be called when the socket is closed. */
  release: () => void
  /** When each unsettled frame was received, oldest first. */
  receivedMs: number[]
  /** The seq of the last ACK. */
  ackedSeq: number
  isLeaving: boolean
  /** No PAUSE before this moment. */
  pauseAgainMs: number
  /** What RATE said last, and when. */
  toldWatched: boolean | null
  toldMs: number
}
