/**
 * A TCP proxy that breaks connections on purpose: cut, freeze, refuse, delay, narrow or slice, at any time or at an exact moment
 * of whatever is spoken. It counts what it did, so that a test can tell that the fault happened. It understands
 * nothing of what passes through.
 */
import { once } from 'node:events'
import { createServer, connect as open, type Server, type Socket } from 'node:net'
import { createPipe, type Pipe } from './pipe.ts'
import { freePort } from './ports.ts'
import { reset } from './reset.ts'

export type Target = { host: string; port: number } | { path: string }

/** `up` is from the one who connects to the target. */
export type Direction = 'up' | 'down'

export type CutKind = 'fin' | 'rst'

/**
 * What becomes of a chunk: nothing said, it passes. `drop` swallows it; the others let `forwardBytes` of it pass
 * (none by default), and then cut the connection, freeze it with the rest of the chunk held back, or let the rest, and
 * whatever follows it that way, pass over another line. A reset may overtake bytes that passed just before it, as it may
 * in life.
 */
export type Action = 'drop' | Ending | { forwardBytes: number; afterwards: Ending | Line }

/** `hold-up` and `hold-down` freeze one direction, and the other goes on: a connection that is half open. */
export type Ending = CutKind | 'hold' | `hold-${Direction}`

/** What a line is like, each way or both. */
export interface Line {
  delayMs?: number
  /** So much more at the most, another time for each chunk. */
  jitterMs?: number
  bytesPerS?: number
  /** So many bytes at the most in one piece. */
  sliceBytes?: number
}

export type OnData = (direction: Direction, chunk: Buffer, connection: Connection) => Action | undefined

export interface Connection {
  /** From 1, in the order in which they were accepted. */
  number: number
  /** Bytes that arrived from either side; those of them that were passed on are in `forwarded`. */
  arrived: Record<Direction, number>
  forwarded: Record<Direction, number>
  /** Either way. */
  readonly isFrozen: boolean
  cut: (kind: CutKind) => void
  /** One way, or both. */
  freeze: (direction?: Direction) => void
  thaw: () => void
  /** What its own line is like for the chunks that arrive from now on, one way or both, until it is said of all. */
  line: (like: Line, direction?: Direction) => void
}

export interface Counts {
  accepted: number
  /** Connections of which the target wanted to know nothing. */
  targetFailed: number
  cut: number
  /** How often a connection was frozen, one by one or with all others. */
  frozen: number
  /** Bytes that arrived while their connection was frozen: the proof that somebody met the black hole. */
  heldBytes: number
  droppedBytes: number
  /** Pieces that were passed on. */
  pieces: number
}

export type FaultProxy = Awaited<ReturnType<typeof startProxy>>

/** Listens on 127.0.0.1, on a free port. Whoever starts it closes it. */
export async function startProxy(target: Target, options: { onData?: OnData; random?: () => number } = {}) {
  const connections = new Set<Connection>()
  const sockets = new Set<Socket>()
  const counts: Counts = {
    accepted: 0,
    targetFailed: 0,
    cut: 0,
    frozen: 0,
    heldBytes: 0,
    droppedBytes: 0,
    pieces: 0,
  }
  let onData: OnData | null = options.onData ?? null
  const random = options.random ?? Math.random
  const lines: Record<Direction, Line> = { up: {}, down: {} }
  const frozen = new Set<Direction>()
  // One that is still to be had after `refuse`.
  const port = await freePort()
  let server: Server | null = await listening(port)

  return {
    host: '127.0.0.1',
    port,
    /** Those that are open, oldest first. */
    connections,
    counts,
    cut,
    freeze,
    thaw,
    refuse,
    accept,
    delay,
    line,
    hook,
    close,
  }

  /** Ends all connections: `fin` as one side would in peace, `rst` as when a machine forgot them. */
  function cut(kind: CutKind): number {
    const open = [...connections]
    for (const connection of open) connection.cut(kind)
    return open.length
  }

  /** From now on nothing passes, one way or both, in any connection, old or new, and neither side is told. */
  function freeze(direction?: Direction): void {
    for (const way of waysOf(direction)) frozen.add(way)
    for (const connection of connections) connection.freeze(direction)
  }

  /** Everything held back passes, in order, the ends of connections included. */
  function thaw(): void {
    frozen.clear()
    for (const connection of connections) connection.thaw()
  }

  /** New connections are refused, as when nothing listens; the open ones stay. */
  async function refuse(): Promise<void> {
    const refused = server
    server = null
    // The callback would wait for the open connections, but the port is given up at once.
    refused?.close()
  }

  async function accept(): Promise<void> {
    server ??= await listening(port)
  }

  /** Every chunk that arrives from now on passes so much later, in order. */
  function delay(ms: number): void {
    line({ delayMs: ms })
  }

  /** What all lines are like for the chunks that arrive from now on, one way or both; {}: as good as can be. */
  function line(like: Line, direction?: Direction): void {
    for (const way of waysOf(direction)) lines[way] = like
    for (const connection of connections) connection.line(like, direction)
  }

  /** Called with every chunk that arrives at a connection that is not frozen; null: no more. */
  function hook(next: OnData | null): void {
    onData = next
  }

  async function close(): Promise<void> {
    await refuse()
    cut('rst')
    // One that was ended in peace may still wait for the other side to say goodbye.
    for (const socket of sockets) socket.destroy()
  }

  async function listening(onPort: number): Promise<Server> {
    const created = createServer({ allowHalfOpen: true, noDelay: true }, connected)
    created.listen(onPort, '127.0.0.1')
    await once(created, 'listening')
    return created
  }

  function connected(near: Socket): void {
    counts.accepted += 1
    const far = open({ ...target, allowHalfOpen: true, noDelay: true })
    const number = counts.accepted
    const arrived = { up: 0, down: 0 }
    const forwarded = { up: 0, down: 0 }
    const frozenHere = new Set<Direction>()
    const linesHere = { ...lines }
    const pipes: Record<Direction, Pipe> = { up: pipe('up', near, far), down: pipe('down', far, near) }
    const connection: Connection = {
      number,
      arrived,
      forwarded,
      get isFrozen() {
        return frozenHere.size > 0
      },
      cut: cutThis,
      freeze: freezeThis,
      thaw: thawThis,
      line: (like, direction) => {
        for (const way of waysOf(direction)) linesHere[way] = like
      },
    }
    connections.add(connection)
    let reached = false
    far.once('connect', () => {
      reached = true
    })
    far.once('error', () => {
      if (!reached) counts.targetFailed += 1
    })
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.once('close', () => forget(socket))
    }
    for (const direction of frozen) freezeThis(direction)

    function pipe(direction: Direction, from: Socket, to: Socket): Pipe {
      return createPipe(from, to, {
        delayMs: () => (linesHere[direction].delayMs ?? 0) + (linesHere[direction].jitterMs ?? 0) * random(),
        bytesPerS: () => linesHere[direction].bytesPerS ?? Number.POSITIVE_INFINITY,
        slices: (chunk) => sliced(chunk, linesHere[direction].sliceBytes),
        arrived: (chunk) => judge(direction, chunk),
        forwarded: (bytes) => {
          forwarded[direction] += bytes
          counts.pieces += 1
        },
      })
    }

    /** Returns what of a chunk is to be queued, and queues the fault that a hook asks for in front of it. */
    function judge(direction: Direction, chunk: Buffer): Buffer[] {
      arrived[direction] += chunk.length
      const isHeld = frozenHere.has(direction)
      const action = isHeld ? undefined : onData?.(direction, chunk, connection)
      if (isHeld) counts.heldBytes += chunk.length
      if (action === undefined) return [chunk]
      if (action === 'drop') {
        counts.droppedBytes += chunk.length
        return []
      }
      const { forwardBytes, afterwards } =
        typeof action === 'string' ? { forwardBytes: 0, afterwards: action } : action
      const [before, rest] = [chunk.subarray(0, forwardBytes), chunk.subarray(forwardBytes)]
      if (typeof afterwards === 'object') {
        pipes[direction].pass(before)
        linesHere[direction] = afterwards
        return [rest]
      }
      pipes[direction].pass(before, () => endBy(afterwards))
      if (afterwards === 'fin' || afterwards === 'rst') return []
      if (afterwards !== `hold-${opposite(direction)}`) counts.heldBytes += rest.length
      return [rest]
    }

    function endBy(ending: Ending): void {
      if (ending === 'fin' || ending === 'rst') cutThis(ending)
      else freezeThis(ending === 'hold' ? undefined : ending === 'hold-up' ? 'up' : 'down')
    }

    function cutThis(kind: CutKind): void {
      if (!connections.delete(connection)) return
      counts.cut += 1
      for (const pipe of [pipes.up, pipes.down]) pipe.abandon()
      for (const socket of [near, far]) {
        if (kind === 'rst') reset(socket)
        else endInPeace(socket)
      }
    }

    function freezeThis(direction?: Direction): void {
      const ways = waysOf(direction).filter((way) => !frozenHere.has(way))
      if (ways.length > 0) counts.frozen += 1
      for (const way of ways) {
        frozenHere.add(way)
        pipes[way].freeze()
      }
    }

    function thawThis(): void {
      frozenHere.clear()
      for (const pipe of [pipes.up, pipes.down]) pipe.thaw()
    }

    function forget(socket: Socket): void {
      sockets.delete(socket)
      if (!sockets.has(near) && !sockets.has(far)) connections.delete(connection)
    }
  }
}

function waysOf(direction: Direction | undefined): readonly Direction[] {
  return direction === undefined ? ['up', 'down'] : [direction]
}

function opposite(direction: Direction): Direction {
  return direction === 'up' ? 'down' : 'up'
}

function sliced(chunk: Buffer, sliceBytes = Number.POSITIVE_INFINITY): Buffer[] {
  if (chunk.length <= sliceBytes) return [chunk]
  return Array.from({ length: Math.ceil(chunk.length / sliceBytes) }, (_, i) =>
    chunk.subarray(i * sliceBytes, (i + 1) * sliceBytes),
  )
}

/** Says goodbye and hears out the other side: a socket that is closed on unread bytes would send a reset. */
function endInPeace(socket: Socket): void {
  socket.end()
  socket.resume()
}
