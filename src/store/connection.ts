/**
 * Connections to PostgreSQL that never hang: every statement is raced with a watchdog that destroys the socket
 * and begins anew. Single autocommit statements only. It knows no table.
 */
import net from 'node:net'
import postgres from 'postgres'

/** Where the database is: a URL, or the Unix socket of the embedded one. */
export type Target = { url: string } | { socketPath: string }

export interface Result extends Array<Record<string, unknown>> {
  /** Rows that the statement returned or changed. */
  count: number
}

/** Runs one statement. Rejects with the driver's error, whose `code` is a SQLSTATE or a connection fault. */
export type Run = (text: string, parameters?: readonly Parameter[]) => Promise<Result>
export type Parameter = string | number | boolean | null

export interface ConnectionOptions {
  name: string
  connections: number
  timeoutMs: number
  onNotice: (message: string) => void
}

export interface Connection {
  run: Run
  /** Several statements in one text, without parameters, as one implicit transaction. */
  runScript: (text: string) => Promise<void>
  close: () => Promise<void>
}

/** No more than one attempt to connect in so long: the driver itself would try again at once for ever. */
const CONNECT_EVERY_MS = 250
const CONNECT_TIMEOUT_S = 5
const CLOSE_TIMEOUT_S = 2

const READ_ONLY = '25006'

export class WatchdogError extends Error {
  readonly code = 'WATCHDOG'
}

export function openConnection(target: Target, options: ConnectionOptions): Connection {
  let sockets = new Set<net.Socket>()
  let connectedMs = Number.NEGATIVE_INFINITY
  let hostIndex = 0
  let sql = connect()
  return { run, runScript, close }

  async function run(text: string, parameters: readonly Parameter[] = []): Promise<Result> {
    const result = await attempt(text, parameters)
    // postgres 3.4.9 goes on counting rows where a statement that failed had stopped: the front can be holes.
    if (result.length === 0 || 0 in result) return result
    return Object.assign(
      result.filter(() => true),
      { count: result.count },
    )
  }

  async function attempt(text: string, parameters: readonly Parameter[]): Promise<Result> {
    const client = sql
    try {
      return await watch(
        (current) => current.unsafe(text, [...parameters], { prepare: true }) as Promise<Result>,
      )
    } catch (error) {
      // A session that began on a read-only database stays read-only when the database no longer is.
      if (client === sql && codeOf(error) === READ_ONLY) renew()
      throw error
    }
  }

  async function runScript(text: string): Promise<void> {
    await watch((client) => client.unsafe(text).simple() as Promise<unknown>)
  }

  async function watch<T>(start: (client: postgres.Sql) => Promise<T>): Promise<T> {
    const client = sql
    let timer: NodeJS.Timeout | undefined
    const expired = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new WatchdogError(`no answer from the database within ${options.timeoutMs} ms`))
        if (client === sql) renew()
      }, options.timeoutMs)
    })
    try {
      return await Promise.race([start(client), expired])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Everything pending on the old client fails now, with an outcome that nobody knows. */
  function renew(): void {
    const old = sql
    const oldSockets = sockets
    sockets = new Set()
    sql = connect()
    old.end({ timeout: 0 }).catch(() => {})
    for (const socket of oldSockets) socket.destroy()
  }

  async function close(): Promise<void> {
    await sql.end({ timeout: CLOSE_TIMEOUT_S }).catch(() => {})
    for (const socket of sockets) socket.destroy()
  }

  function connect(): postgres.Sql {
    const common = {
      max: options.connections,
      fetch_types: false,
      connect_timeout: CONNECT_TIMEOUT_S,
      idle_timeout: 0,
      max_lifetime: null,
      backoff: () => CONNECT_EVERY_MS / 1000,
      onnotice: (notice: postgres.Notice) => options.onNotice(notice.message ?? 'notice without a text'),
      socket: openSocket,
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

  /** A socket that is still connecting, as the driver expects; it is ours so that the watchdog can destroy it. */
  async function openSocket(parsed: { host: string[]; port: number[]; path?: string | false }) {
    const waitMs = connectedMs + CONNECT_EVERY_MS - performance.now()
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
    connectedMs = performance.now()
    const socket = new net.Socket()
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 10_000)
    sockets.add(socket)
    const own = sockets
    socket.once('close', () => own.delete(socket))
    if (parsed.path) return socket.connect(parsed.path)
    const host = parsed.host[hostIndex % parsed.host.length]!
    const port = parsed.port[hostIndex % parsed.port.length]!
    hostIndex += 1
    // The driver reads it for the server name of TLS.
    return Object.assign(socket.connect(port, host), { host })
  }
}

/** The driver's error code: a SQLSTATE, ECONNREFUSED, CONNECTION_CLOSED, WATCHDOG … */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : undefined
}

/**
 * What may be said of a database error in a log. The whole error carries parameters, and its detail the
 * values of a row, which are positions of people.
 */
export function describeError(error: unknown): { code?: string; message: string } {
  const text = error instanceof Error ? error.message : 'unknown error'
  const code = codeOf(error)
  // A fault of a value quotes the value.
  const message = code?.startsWith('22') ? text.replace(/".*"/s, '"…"') : text
  return code === undefined ? { message } : { code, message }
}
