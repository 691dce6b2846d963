/**
 * One line to PostgreSQL that never hangs: every statement is raced with a watchdog and with the end of the socket
 * it went to, and after either of them the line begins anew. Single autocommit statements only. It knows no table.
 */
import net from 'node:net'
import postgres from 'postgres'

/** Where the database is: a URL, or the Unix socket of the embedded one. */
export type Target = { url: string } | { socketPath: string }

export interface LineOptions {
  name: string
  timeoutMs: number
  onNotice: (message: string) => void
}

/** No more than one attempt to connect in so long: the driver itself would try again at once for ever. */
const CONNECT_EVERY_MS = 250
const CONNECT_TIMEOUT_S = 5
const CLOSE_TIMEOUT_S = 2

export class WatchdogError extends Error {
  readonly code = 'WATCHDOG'
}

/** The socket has ended, and nobody knows what became of the statement. */
export class LostError extends Error {
  readonly code = 'CONNECTION_CLOSED'
}

/** What lives and dies with one socket. */
interface Client {
  sql: postgres.Sql
  /** Fails each statement that has no answer yet. */
  waiting: Set<(error: Error) => void>
  sockets: Set<net.Socket>
}

export type Line = ReturnType<typeof openLine>

export function openLine(target: Target, options: LineOptions) {
  let connectedMs = Number.NEGATIVE_INFINITY
  let hostIndex = 0
  let isClosed = false
  let client = createClient()
  return {
    send,
    renew,
    close,
    /** Statements without an answer. */
    get waiting() {
      return client.waiting.size
    },
  }

  async function send<T>(start: (sql: postgres.Sql) => Promise<T>): Promise<T> {
    const used = client
    let fail: (error: Error) => void = () => {}
    const failed = new Promise<never>((_, reject) => {
      fail = reject
    })
    const timer = setTimeout(() => {
      fail(new WatchdogError(`no answer from the database within ${options.timeoutMs} ms`))
      replace(used)
    }, options.timeoutMs)
    used.waiting.add(fail)
    try {
      return await Promise.race([start(used.sql), failed])
    } finally {
      clearTimeout(timer)
      used.waiting.delete(fail)
    }
  }

  /** Makes a new connection for what comes next, unless `sql` has been replaced already. */
  function renew(sql: postgres.Sql | undefined): void {
    if (sql === client.sql) replace(client)
  }

  /** Everything that waits on the old client fails now, with an outcome that nobody knows. */
  function replace(
    old: Client,
    reason: Error = new LostError('the connection to the database was lost'),
  ): void {
    if (old !== client || isClosed) return
    client = createClient()
    for (const fail of old.waiting) fail(reason)
    old.sql.end({ timeout: 0 }).catch(() => {})
    for (const socket of old.sockets) socket.destroy()
  }

  async function close(): Promise<void> {
    isClosed = true
    await client.sql.end({ timeout: CLOSE_TIMEOUT_S }).catch(() => {})
    for (const socket of client.sockets) socket.destroy()
  }

  function createClient(): Client {
    const created: Client = {
      sql: connect((parsed) => openSocket(created, parsed)),
      waiting: new Set(),
      sockets: new Set(),
    }
    return created
  }

  function connect(socket: (parsed: Address) => Promise<net.Socket>): postgres.Sql {
    const common = {
      max: 1,
      fetch_types: false,
      connect_timeout: CONNECT_TIMEOUT_S,
      idle_timeout: 0,
      max_lifetime: null,
      backoff: () => CONNECT_EVERY_MS / 1000,
      onnotice: (notice: postgres.Notice) => options.onNotice(notice.message ?? 'notice without a text'),
      socket,
    }
    if ('socketPath' in target) {
      // The embedded database has one user and one database, and takes no settings.
      return postgres({ ...common, path: target.socketPath, username: 'postgres', database: 'postgres' })
    }
    // Below the watchdog, so that a slow statement ends on the server as well.
    const statementTimeoutMs = Math.max(100, Math.floor(options.timeoutMs * 0.8))
    return postgres(target.url, {
      ...common,
      connection: {
        application_name: options.name,
        statement_timeout: statementTimeoutMs,
        lock_timeout: Math.floor(statementTimeoutMs / 2),
        TimeZone: 'UTC',
      },
    })
  }

  /** A socket that is still connecting, as the driver expects; it is ours so that we can destroy it. */
  async function openSocket(owner: Client, parsed: Address): Promise<net.Socket> {
    const waitMs = connectedMs + CONNECT_EVERY_MS - performance.now()
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
    if (owner !== client) throw new LostError('given up before it was connected')
    connectedMs = performance.now()
    const socket = new net.Socket()
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 10_000)
    owner.sockets.add(socket)
    onEnd(socket, (error) => {
      if (socket.closed) owner.sockets.delete(socket)
      replace(owner, error)
    })
    if (parsed.path) return socket.connect(parsed.path)
    const host = parsed.host[hostIndex % parsed.host.length]!
    const port = parsed.port[hostIndex % parsed.port.length]!
    hostIndex += 1
    // The driver reads it for the server name of TLS.
    return Object.assign(socket.connect(port, host), { host })
  }
}

interface Address {
  host: string[]
  port: number[]
  path?: string | false
}

/**
 * Before the driver hears of it: postgres 3.4.9 never answers a statement that is begun between the error of a socket
 * and its close, and takes the answer to a later one for it.
 */
function onEnd(socket: net.Socket, act: (error?: Error) => void): void {
  const listen = (): void => {
    socket.once('error', act)
    socket.once('close', () => act())
  }
  listen()
  // For TLS the driver takes all listeners from the socket underneath.
  const removeAll = socket.removeAllListeners.bind(socket)
  socket.removeAllListeners = (event) => {
    removeAll(event)
    if (!socket.closed) listen()
    return socket
  }
}
