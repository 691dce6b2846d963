/** A device's socket, from upgrade to close, as a source of points: what has become of them goes back as frames. */
import type { Waiting } from '../access/helloDeadline.ts'
import type { Inlet } from '../ingest/intake.ts'
import type { Source } from '../ingest/source.ts'
import type { Close } from '../protocol/closes.ts'
import { encodeAck, encodePause, encodeRate } from '../protocol/encode.ts'
import type { Rejected } from '../protocol/messages.ts'
import type { Peer } from './peer.ts'

/** A class, for there are tens of thousands: closures of its own would cost each idle socket more than all else of it. */
export class DeviceSource implements Source {
  readonly peer: Peer
  readonly hello: Waiting
  /** null until WELCOME. */
  inlet: Inlet | null = null

  constructor(peer: Peer, hello: Waiting) {
    this.peer = peer
    this.hello = hello
  }

  get isOpen(): boolean {
    return this.peer.isOpen
  }

  ack(seq: number, windowPoints: number, rejected: readonly Rejected[]): boolean {
    return this.peer.send(encodeAck(seq, windowPoints, rejected))
  }

  end(close: Close): void {
    this.peer.end(close)
  }

  pause(retryMs: number, reason: string): void {
    this.peer.send(encodePause(retryMs, reason))
  }

  rate(everyMs: number, isWatched: boolean): void {
    this.peer.send(encodeRate(everyMs, isWatched))
  }
}
