/** How a hub that stops parts with everybody: GOAWAY, then the last ACKs, then the close (D12). */
import { type Clock, wait, within } from '../clock.ts'
import { CLOSE, type Close } from '../protocol/closes.ts'

/** What is needed of the sockets of one route. */
export interface Crowd {
  /** GOAWAY, to all that have had their WELCOME. */
  goaway: () => void
  closeAll: (reason: Close) => void
  readonly count: number
}

export interface FarewellOptions {
  crowds: readonly Crowd[]
  /** Resolves when all that was taken is stored and acknowledged, with false where there was no time for it. */
  ingest: { stop: () => Promise<boolean> }
  /** Hands over what is published so far. */
  publisher: { flush: () => void }
  clock: Pick<Clock, 'after'>
}

/** How long sockets get to answer the close frame. */
const LINGER_MS = 500
const LOOK_MS = 10

/** Resolves when nobody is there any more, or after a while; with what `ingest` said. */
export async function sayFarewell({ crowds, ingest, publisher, clock }: FarewellOptions): Promise<boolean> {
  for (const crowd of crowds) crowd.goaway()
  const isFlushed = await ingest.stop()
  publisher.flush()
  for (const crowd of crowds) crowd.closeAll(CLOSE.restart)
  await within(clock, LINGER_MS, gone())
  return isFlushed

  async function gone(): Promise<void> {
    while (crowds.some(({ count }) => count > 0)) await wait(clock, LOOK_MS)
  }
}
