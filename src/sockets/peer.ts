/**
 * One WebSocket, wrapped once: methods of a closed one throw in uWebSockets.js, even inside its close handler,
 * so everything goes through here and does nothing when it is too late.
 */
import type { WebSocket } from 'uWebSockets.js'
import type { Door, Pass } from '../access/door.ts'
import type { Close } from '../protocol/closes.ts'
import { CLOSE } from '../protocol/closes.ts'
import { encodeError } from '../protocol/encode.ts'

export interface Peer {
  readonly isOpen: boolean
  /** Where it comes from: an IP address as text. */
  readonly address: string
  /** It has had its WELCOME, and stands in nobody's way any more. */
  admit: () => void
  /** False when the bytes did not fit into the buffer and are lost. */
  send: (frame: Uint8Array) => boolean
  /** Sends the close frame; it may be lost when the buffer is full, and the socket ends all the same. */
  end: (close: Close) => void
  /** ERROR with the frame's `seq` where it could be read, then 4500. */
  malformed: (message: string, ref: number | null) => void
  join: (topic: string) => void
  leave: (topic: string) => void
}

const DROPPED = 2

/** A class, for there are tens of thousands: closures of its own would cost each idle socket more than all else of it. */
export class SocketPeer<UserData> implements Peer {
  readonly address: string
  readonly #ws: WebSocket<UserData>
  readonly #door: Door
  readonly #pass: Pass
  #isOpen = true

  constructor(ws: WebSocket<UserData>, address: string, door: Door, pass: Pass) {
    this.address = address
    this.#ws = ws
    this.#door = door
    this.#pass = pass
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  admit(): void {
    this.#door.admit(this.#pass)
  }

  /** The socket has closed; called once by the server. */
  closed(): void {
    this.#isOpen = false
    this.#door.close(this.#pass)
  }

  send(frame: Uint8Array): boolean {
    return this.#isOpen && this.#ws.send(frame, true, false) !== DROPPED
  }

  end({ code, reason }: Close): void {
    if (this.#isOpen) this.#ws.end(code, reason)
  }

  malformed(message: string, ref: number | null): void {
    this.send(encodeError(CLOSE.malformed.code, message, ref))
    this.end(CLOSE.malformed)
  }

  join(topic: string): void {
    if (this.#isOpen) this.#ws.subscribe(topic)
  }

  leave(topic: string): void {
    if (this.#isOpen) this.#ws.unsubscribe(topic)
  }
}
