/**
 * The peers that are programs of their own, from Debian's packages: started for one run, with their documented
 * settings for speed and without any limit that would drop a message. Who talks to them they do not know.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../test/rig/ports.ts'
import { processCpuMs } from '../processes.ts'

export type BrokerName = 'mosquitto' | 'nats-server'

export interface Broker {
  version: string
  pid: number
  /** For WebSocket. */
  port: number
  /** For the broker's own protocol over TCP. */
  plainPort: number
  cpuMs: () => Promise<number>
  stop: () => Promise<void>
}

const START_MS_MAX = 10_000
const RETRY_MS = 20
/** A broker that is being killed may write one more file. */
const RETRIES = 3
const FOLDERS = ['/usr/sbin', '/usr/bin', '/usr/local/sbin', '/usr/local/bin']

/** Where there is no such program, says so: a sentence for the report. With `keeps`, nats-server has JetStream. */
export async function startBroker(name: BrokerName, keeps = false): Promise<Broker | { missing: string }> {
  const program = FOLDERS.map((folder) => path.join(folder, name)).find(existsSync)
  if (!program) return { missing: `${name} is not installed (Debian package ${name})` }
  const folder = mkdtempSync(path.join(tmpdir(), 'alzy-broker-'))
  const [port, plainPort] = [await freePort(), await freePort()]
  const settings = path.join(folder, 'settings')
  const store = keeps ? folder : null
  writeFileSync(
    settings,
    name === 'mosquitto' ? forMosquitto(port, plainPort) : forNats(port, plainPort, store),
  )
  const child = spawn(program, ['-c', settings], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr!.on('data', (chunk) => {
    said = `${said}${chunk}`.slice(-1_000)
  })
  const kill = () => {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true, maxRetries: RETRIES })
  }
  process.once('exit', kill)
  await untilItListens(child, port, () => `${name} did not start: ${said}`)
  return {
    version: versionOf(program, name),
    pid: child.pid!,
    port,
    plainPort,
    cpuMs: async () => processCpuMs(child.pid!),
    stop: async () => {
      process.removeListener('exit', kill)
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      if (child.exitCode === null) await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/**
 * As root it would become another user, who may not read the settings. Without a listener that is no WebSocket one
 * this version does not start; and the address of a WebSocket one it would take for the name of an interface.
 */
function forMosquitto(port: number, plainPort: number): string {
  return [
    `listener ${plainPort} 127.0.0.1`,
    `listener ${port}`,
    'protocol websockets',
    'user root',
    'allow_anonymous true',
    'persistence false',
    'log_type error',
    'set_tcp_nodelay true',
    'max_inflight_messages 0',
    'max_queued_messages 0',
    '',
  ].join('\n')
}

function forNats(port: number, clientPort: number, store: string | null): string {
  return [
    ...(store === null ? [] : [`jetstream { store_dir: ${JSON.stringify(store)} }`]),
    `listen: "127.0.0.1:${clientPort}"`,
    `websocket { listen: "127.0.0.1:${port}", no_tls: true, compression: false }`,
    'write_deadline: "60s"',
    'max_pending: 1GB',
    '',
  ].join('\n')
}

async function untilItListens(child: ChildProcess, port: number, reason: () => string): Promise<void> {
  for (let waited = 0; !(await isListening(port)); waited += RETRY_MS) {
    if (child.exitCode !== null || waited > START_MS_MAX) throw new Error(reason())
    await sleep(RETRY_MS)
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

function versionOf(program: string, name: BrokerName): string {
  if (name === 'nats-server') return execFileSync(program, ['--version'], { encoding: 'utf8' }).trim()
  try {
    execFileSync(program, ['-h'], { encoding: 'utf8', stdio: 'pipe' })
    return name
  } catch (fault) {
    // It tells its version, and then that help is a failure.
    return String((fault as { stdout?: string }).stdout)
      .split('\n')[0]!
      .trim()
  }
}
