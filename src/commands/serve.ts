/** `alzy serve`: runs the hub until it is told to stop, or cannot keep its promises. */
import { type Config, ConfigError, parseConfig } from '../config.ts'
import type { Hub } from '../hub.ts'
import { createLog } from '../ops/log.ts'
import { tlsProblems } from '../sockets/tls.ts'
import { StartError } from '../store/open/startError.ts'

export interface ServeIo {
  env: Readonly<Record<string, string | undefined>>
  stderr: (line: string) => void
  /** Aborted by the first SIGTERM or SIGINT. */
  signal: AbortSignal
}

/**
 * Resolves with the exit code. `whenReady` runs beside the hub once it is ready; what it returns is called
 * before the hub closes.
 */
export async function serve(
  io: ServeIo,
  whenReady?: (hub: Hub, config: Config) => Promise<() => Promise<void>>,
): Promise<number> {
  let config: Config
  try {
    config = parseConfig(io.env)
    const problems = config.tls === null ? [] : tlsProblems(config.tls)
    if (problems.length > 0) throw new ConfigError(problems)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const problem of error.problems) io.stderr(problem)
    return 1
  }
  const log = createLog(config.logLevel)
  const { openHub } = await loadHub()
  const hub = await openHub(config, log)
  let stopBeside: (() => Promise<void>) | undefined
  const stopped = new Promise<null>((resolve) => {
    if (io.signal.aborted) resolve(null)
    io.signal.addEventListener('abort', () => resolve(null), { once: true })
  })
  const trouble = hub.ready
    .then(async () => {
      stopBeside = await whenReady?.(hub, config)
      return hub.failed
    })
    .catch((error: Error) => error)
  const reason = await Promise.race([stopped, trouble])
  if (reason === null) log.info({}, 'stopping')
  else if (!(reason instanceof StartError)) log.fatal({ stack: reason.stack }, reason.message)
  else io.stderr(reason.message)
  await stopBeside?.()
  await hub.close()
  return reason === null ? 0 : 1
}

/** The native part of uWebSockets.js is looked for when the module loads; where it is missing, say so shortly. */
async function loadHub(): Promise<typeof import('../hub.ts')> {
  try {
    return await import('../hub.ts')
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes('uWS')) throw error
    const { platform, arch, version } = process
    throw new Error(
      `uWebSockets.js has no binary that runs here (${platform} ${arch}, Node ${version}): Node 20 needs glibc 2.27, Node 22 and 24 need 2.38; see "Node and glibc" in src/OPERATING.md`,
    )
  }
}
