/** TICK, which asks whoever reads a stream whether it keeps up (V4). What is done about the answer is decided elsewhere. */
import type { Attended } from '../clock.ts'
import * as lanes from '../core/lane.ts'
import { encodeTick } from '../protocol/encode.ts'

export type Ticks = ReturnType<typeof createTicks>

/** By time as far as the hub attended to it: an answer that came while it was stopped was not late. */
export function createTicks(attended: Pick<Attended, 'attendedMs'>) {
  let last = 0
  return { send, attendedMs: attended.attendedMs }

  /** False when it did not fit into the buffer. */
  function send({
    peer,
    lane,
  }: {
    peer: { send: (frame: Uint8Array) => boolean }
    lane: lanes.Lane
  }): boolean {
    last += 1
    const isSent = peer.send(encodeTick(last))
    if (isSent) lanes.ticked(lane, last, attended.attendedMs())
    else lanes.missed(lane, attended.attendedMs())
    return isSent
  }
}
