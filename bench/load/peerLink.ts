/** One client's connection to a peer, for any dialect: in, and then only counting. What is in a message it ignores. */
import { DIALECTS, type DialectName, type Role } from './dialects.ts'
import { type BenchSocket, openSocket } from './webSocket.ts'

export interface PeerLinkOptions {
  port: number
  dialect: DialectName
  role: Role
  /** The number of the device among all of them; of a viewer it means nothing. */
  place?: number
  /** For each message that a viewer gets. */
  onDelivered?: (bytes: Buffer, from: number, to: number) => void
  /** Everything that this device sent up to this seq was taken. */
  onAck?: (seq: number) => void
  onTrouble: (reason: string) => void
}

/** Resolves when the client is let in and, as a viewer, subscribed. */
export async function openPeerLink(options: PeerLinkOptions): Promise<BenchSocket> {
  const { port, role, place = 0, onDelivered, onAck, onTrouble } = options
  const dialect = DIALECTS[options.dialect]
  let taken = 0
  let socket: BenchSocket | null = null
  // A server may speak first, before anybody has the socket.
  const unsent: Uint8Array[] = []
  let isIn: () => void = () => {}
  let refused: (fault: Error) => void = () => {}
  const ready = new Promise<void>((resolve, reject) => {
    isIn = resolve
    refused = reject
  })
  const ears = {
    write: (message: Uint8Array) => (socket === null ? void unsent.push(message) : socket.write(message)),
    ready: isIn,
    delivered: onDelivered ?? (() => {}),
    taken: (count: number) => {
      taken += count
      onAck?.(taken)
    },
    trouble,
  }
  const reader = dialect.reader(role, ears, place)
  const opened = await openSocket({
    port,
    path: dialect.path(role),
    subprotocol: dialect.subprotocol,
    onMessage: reader.binary,
    ...(reader.text && { onText: reader.text }),
    onLost: (reason) => trouble(`a ${role}: ${reason}`),
  })
  socket = opened
  const greeting = dialect.greeting()
  if (greeting) opened.write(greeting)
  for (const message of unsent.splice(0)) opened.write(message)
  if (!dialect.isReadyAtOnce) await ready
  return opened

  function trouble(reason: string): void {
    refused(new Error(reason))
    onTrouble(reason)
  }
}
