/**
 * A private PostgreSQL cluster in a temporary folder, with full durability, to be used and to be hurt: it can
 * be restarted, killed as by a loss of power, and frozen. It refuses to know what is stored in it.
 */
import { type ChildProcess, execFile, execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  chownSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { chown, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { databasesOf, type PostgresFacts } from './cluster.ts'
import { freePort } from './ports.ts'
import { freezeFamily, killFamily, signal } from './processes.ts'
import { until } from './until.ts'

const run = promisify(execFile)
const USER = 'postgres'
const START_TIMEOUT_MS = 60_000
const STOP_SIGNAL = { fast: 'SIGINT', immediate: 'SIGQUIT' } as const

export interface Missing {
  /** Why there can be no cluster here, as a sentence for the report. */
  missing: string
}

export type Postgres = Awaited<ReturnType<typeof openCluster>>

/** The folder of its programs. Starts nothing, and takes no longer than to ask one of them where its other files are. */
export function findPostgres(): { binaries: string } | Missing {
  const binaries = findBinaries()
  if (!binaries) return { missing: 'initdb and postgres were not found' }
  const control = join(shareOf(binaries), 'extension', 'postgis.control')
  return existsSync(control) ? { binaries } : { missing: `the PostgreSQL in ${binaries} has no PostGIS` }
}

/** Takes a few seconds. Rejects, with the end of the server's log, when a cluster that could run does not. */
export async function startPostgres(): Promise<Postgres | Missing> {
  const found = findPostgres()
  return 'missing' in found ? found : openCluster(found.binaries)
}

async function openCluster(binaries: string) {
  const owner = ownerOfServer()
  const folder = mkdtempSync(join(tmpdir(), 'alzy-pg-'))
  if (owner) chownSync(folder, owner.uid, owner.gid)
  const dataFolder = join(folder, 'data')
  const logFile = join(folder, 'log')
  // The server's user may not be allowed into the folder where the tests run.
  const surroundings = { ...owner, cwd: folder, env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' } }
  const facts: PostgresFacts = {
    host: '127.0.0.1',
    port: 0,
    socketDirectory: folder,
    user: USER,
    pid: 0,
    version: '',
  }
  const databases = databasesOf(facts)
  let server: ChildProcess | null = null
  let frozen: number[] = []

  process.once('exit', abandon)
  try {
    await run(join(binaries, 'initdb'), [...INITDB_OPTIONS, `--pgdata=${dataFolder}`], surroundings)
    facts.port = await freePort()
    await start()
    const [row] = await databases.query(USER, 'show server_version')
    facts.version = String(row?.server_version)
  } catch (fault) {
    await stop()
    throw fault
  }

  return {
    ...databases,
    /** What another process needs to reach this cluster. */
    facts,
    /** The server process; another one after a restart. */
    get pid() {
      return facts.pid
    },
    isRunning: () => server !== null,
    logTail,
    start,
    restart,
    kill9,
    pause,
    resume,
    stop,
    readFile: (name: string) => readFile(join(dataFolder, name), 'utf8'),
    writeFile: writeOwnFile,
  }

  /** A file of the data folder, such as pg_hba.conf, which the server reads as it starts or when it is told to. */
  async function writeOwnFile(name: string, text: string): Promise<void> {
    await writeFile(join(dataFolder, name), text)
    if (owner) await chown(join(dataFolder, name), owner.uid, owner.gid)
  }

  /** Starts the server, on the same port and data as before, and waits until it answers. `more`: settings. */
  async function start(more: readonly string[] = []): Promise<void> {
    if (server) return
    const log = openSync(logFile, 'a')
    const settings = [
      'listen_addresses=127.0.0.1',
      `unix_socket_directories=${folder}`,
      `port=${facts.port}`,
      // In the folder, and so removed with it, even after kill9.
      'dynamic_shared_memory_type=mmap',
      ...more,
    ]
    const command = [join(binaries, 'postgres'), '-D', dataFolder, ...settings.flatMap((s) => ['-c', s])]
    const [program, ...parameters] = [...dieWithParent(), ...command]
    const started = spawn(program!, parameters, { ...surroundings, stdio: ['ignore', log, log] })
    closeSync(log)
    server = started
    facts.pid = started.pid ?? 0
    started.once('exit', () => {
      if (server === started) server = null
    })
    await until(isUpOrGone, 'the cluster answers', START_TIMEOUT_MS)
    if (server === null) throw new Error(`PostgreSQL did not start:\n${logTail()}`)
  }

  async function isUpOrGone(): Promise<boolean> {
    return server === null || (await databases.query(USER, 'select 1')).length > 0
  }

  /** Stops the server, in mode `immediate` without writing its memory to disk first, and starts it again. */
  async function restart(mode: keyof typeof STOP_SIGNAL = 'fast'): Promise<void> {
    await shutDown(mode)
    await start()
  }

  /** Kills every process of the cluster. It stays down until `start` or `restart`. */
  async function kill9(): Promise<void> {
    frozen = []
    if (server) await killFamily(facts.pid)
    await ended()
  }

  /** Freezes every process: connections stay open, new ones are accepted by the kernel, nobody answers. */
  function pause(): void {
    if (server) frozen = freezeFamily(facts.pid)
  }

  function resume(): void {
    for (const pid of frozen) signal(pid, 'SIGCONT')
    frozen = []
  }

  /** Ends the cluster and removes all of it. */
  async function stop(): Promise<void> {
    await shutDown('fast')
    process.removeListener('exit', abandon)
    // Side by side, since removing a file that was synced takes milliseconds.
    await rm(folder, { recursive: true, force: true })
  }

  async function shutDown(mode: keyof typeof STOP_SIGNAL): Promise<void> {
    resume()
    if (server) signal(facts.pid, STOP_SIGNAL[mode])
    await ended()
  }

  async function ended(): Promise<void> {
    await until(() => server === null, 'the server process ends', START_TIMEOUT_MS)
  }

  /** The last lines of the server's log. */
  function logTail(lines = 30): string {
    return existsSync(logFile)
      ? readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n')
      : ''
  }

  /** The last resort of a process that ends without having called `stop`. */
  function abandon(): void {
    resume()
    if (server) signal(facts.pid, STOP_SIGNAL.immediate)
    rmSync(folder, { recursive: true, force: true })
  }
}

const INITDB_OPTIONS = [
  `--username=${USER}`,
  '--auth=trust',
  '--encoding=UTF8',
  '--locale=C',
  // Only the empty cluster is not synced; the server itself runs with every default of durability.
  '--no-sync',
]

/** A folder that holds both programs: a Debian package, the newest first, or wherever PATH leads. */
function findBinaries(): string | null {
  const packages = '/usr/lib/postgresql'
  const versions = existsSync(packages) ? readdirSync(packages).filter((name) => /^\d+$/.test(name)) : []
  const folders = [
    ...versions.sort((a, b) => Number(b) - Number(a)).map((version) => join(packages, version, 'bin')),
    ...pathFolders(),
  ]
  return (
    folders.find((folder) => ['initdb', 'postgres'].every((name) => existsSync(join(folder, name)))) ?? null
  )
}

/** Where the files are that belong to these programs, extensions among them, by their own word. */
function shareOf(binaries: string): string {
  // It shows them of any data folder, but not to root, and not from where its user may not be.
  const options = { ...ownerOfServer(), cwd: '/', encoding: 'utf8', stdio: 'pipe' } as const
  const shown = spawnSync(join(binaries, 'initdb'), ['--show', '--pgdata=none'], options)
  return /^share_path=(.+)$/m.exec(shown.stdout + shown.stderr)?.[1] ?? ''
}

function pathFolders(): string[] {
  return (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
}

/** The server refuses to run as root, so that root hands it to a user without rights. */
function ownerOfServer(): { uid: number; gid: number } | null {
  if (process.getuid?.() !== 0) return null
  for (const name of ['postgres', 'nobody']) {
    try {
      const [uid, gid] = ['-u', '-g'].map((which) =>
        Number(execFileSync('id', [which, name], { stdio: 'pipe' })),
      )
      return { uid: uid!, gid: gid! }
    } catch {
      // No such user: the next one.
    }
  }
  throw new Error('running as root, and there is neither a user postgres nor nobody to run the server as')
}

/** Where the system can do it, the server ends with the process that started it, however that one ends. */
function dieWithParent(): string[] {
  const setpriv = pathFolders()
    .map((folder) => join(folder, 'setpriv'))
    .find((file) => existsSync(file))
  return setpriv ? [setpriv, '--pdeathsig', 'QUIT', '--'] : []
}
