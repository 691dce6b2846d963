/**
 * One WebSocket, wrapped once: methods of a closed one throw in uWebSockets.js, even inside its close handler,
 * so everything goes through here and does nothing when it is too late.
 */
import type { WebSocket } from 'uWebSockets.js'
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

/** What uWebSockets.js carries for each socket. */
export interface Seat<State> {
  peer: Peer
  state: State
  /** The socket has closed; called once by the server. */
  markClosed: () => void
}

const DROPPED = 2

export function createPeer<State>(
  ws: WebSocket<{ seat: Seat<State> | null }>,
  { address, admit }: Pick<Peer, 'address' | 'admit'>,
) {
  let isOpen = true
  return {
    peer: {
      get isOpen() {
        return isOpen
      },
      address,
      admit,
      send,
      end,
      malformed,
      join: (topic: string) => void (isOpen && ws.subscribe(topic)),
      leave: (topic: string) => void (isOpen && ws.unsubscribe(topic)),
    } satisfies Peer,
    markClosed: () => {
      isOpen = false
    },
  }

  function send(frame: Uint8Array): boolean {
    return isOpen && ws.send(frame, true, false) !== DROPPED
  }

  function end({ code, reason }: Close): void {
    if (isOpen) ws.end(code, reason)
  }

  function malformed(message: string, ref: number | null): void {
    send(encodeError(CLOSE.malformed.code, message, ref))
    end(CLOSE.malformed)
  }
}
