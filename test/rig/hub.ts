/**
 * A real hub in a process of its own, built, started and ended as a user would, on a database of either kind. Its
 * HTTP API is used over HTTP; what it stored is read from the database itself.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { createTokens, readSecret } from '../../src/access/tokens.ts'
import { built } from './gear.ts'
import type { TestDatabase } from './kinds.ts'
import { secretIn } from './secrets.ts'

const READY_MS = 240_000
/** For whoever looks for a fault: HUB_LOG=1 shows what hubs write, HUB_FLAGS=--inspect-brk is for their Node. */
const { HUB_LOG, HUB_FLAGS = '' } = process.env

export interface TestHub {
  port: number
  /** `ws://127.0.0.1:port` */
  ws: string
  /** `http://127.0.0.1:port` */
  http: string
  process: ChildProcess
  /** Every line of its log so far. */
  log: readonly Record<string, unknown>[]
  /** All that it wrote there so far. */
  stderr: () => string
  addUser: (options?: { role?: 'user' | 'admin' }) => Promise<TestUser>
  addDevice: (user: TestUser, name?: string) => Promise<TestDevice>
  /** Any request, as the operator unless a token is given. */
  request: (method: string, path: string, body?: unknown, token?: string | null) => Promise<Answer>
  /** A figure of /metrics without labels, such as `alzy_points_stored_total`. */
  metric: (name: string) => Promise<number>
  /** Sends a signal and resolves with the exit code, or the signal's name when it ended by it. */
  end: (signal?: NodeJS.Signals) => Promise<number | NodeJS.Signals>
}

export interface TestUser {
  id: number
  email: string
  token: string
}

export interface TestDevice {
  id: number
  deviceKey: string
}

export interface Answer {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into answers of any shape
  json: any
}

export interface HubOptions {
  database: TestDatabase
  env?: Record<string, string>
  /** Do not wait for the database. */
  waitsForReady?: boolean
}

let users = 0

/** Starts a hub and waits until it is ready. Whoever starts it ends it. */
export async function startHub({ database, env = {}, waitsForReady = true }: HubOptions): Promise<TestHub> {
  const flags = HUB_FLAGS.split(' ').filter((flag) => flag !== '')
  const child = spawn(process.execPath, [...flags, await built('main.js'), 'serve'], {
    env: {
      PATH: process.env.PATH,
      ALZY_PORT: '0',
      ALZY_LOG_LEVEL: 'debug',
      // Whatever this machine has: what two of them may do to each other happens with two only.
      ALZY_WRITER_LANES: '2',
      ...database.env,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  // Whoever fails to end it may fail for another reason.
  const abandon = () => void child.kill('SIGKILL')
  process.once('exit', abandon)
  // Not its exit, which may come before the last of what it wrote.
  const ended = once(child, 'close').then(([code, signal]) => {
    process.removeListener('exit', abandon)
    return (signal ?? code) as number | NodeJS.Signals
  })
  const { log, line, stderr } = readLog(child)
  const first = await Promise.race([line('listening'), ended])
  if (typeof first !== 'object') throw new Error(`the hub ended with ${first}: ${stderr()}`)
  const port = first.port as number
  if (waitsForReady) {
    const ready = await Promise.race([line('ready'), ended])
    if (typeof ready !== 'object') throw new Error(`the hub ended with ${ready}: ${stderr()}`)
  }
  const http = `http://127.0.0.1:${port}`
  return {
    port,
    ws: `ws://127.0.0.1:${port}`,
    http,
    process: child,
    log,
    stderr,
    addUser,
    addDevice,
    request,
    metric,
    end,
  }

  async function addUser({ role = 'user' }: { role?: 'user' | 'admin' } = {}): Promise<TestUser> {
    users += 1
    const email = `user${process.pid}-${users}@example.org`
    const user = await made('/v1/users', { email, role })
    const issued = await made(`/v1/users/${user.id}/tokens`, {})
    return { id: user.id, email, token: issued.token }
  }

  async function addDevice(user: TestUser, name = 'Device'): Promise<TestDevice> {
    const { device, deviceKey } = await made('/v1/devices', { userId: user.id, name, withKey: true })
    return { id: device.id, deviceKey }
  }

  async function made(place: string, body: unknown): Promise<Answer['json']> {
    const { status, json } = await request('POST', place, body)
    if (status !== 201) throw new Error(`POST ${place} was answered with ${status}: ${json?.detail}`)
    return json
  }

  async function request(
    method: string,
    place: string,
    body?: unknown,
    token?: string | null,
  ): Promise<Answer> {
    const bearer = token === undefined ? await operatorToken(database) : token
    const response = await fetch(http + place, {
      method,
      headers: {
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, json: text === '' ? null : JSON.parse(text) }
  }

  async function metric(name: string): Promise<number> {
    const text = await (await fetch(`${http}/metrics`)).text()
    const found = new RegExp(`^${name} (.+)$`, 'm').exec(text)
    if (found === null) throw new Error(`there is no metric ${name}`)
    return Number(found[1])
  }

  async function end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals> {
    child.kill(signal)
    return ended
  }
}

function readLog(child: ChildProcess) {
  const log: Record<string, unknown>[] = []
  const waiting: { message: string; resolve: (line: Record<string, unknown>) => void }[] = []
  let errors = ''
  createInterface({ input: child.stderr! }).on('line', (text) => {
    errors += `${text}\n`
    show(text)
    failOnSecret(text)
  })
  createInterface({ input: child.stdout! }).on('line', (text) => {
    show(text)
    failOnSecret(text)
    const line = JSON.parse(text) as Record<string, unknown>
    log.push(line)
    for (const { message, resolve } of waiting) if (line.msg === message) resolve(line)
  })
  return { log, line, stderr: () => errors }

  function line(message: string): Promise<Record<string, unknown>> {
    const found = log.find((one) => one.msg === message)
    if (found !== undefined) return Promise.resolve(found)
    return new Promise((resolve, reject) => {
      waiting.push({ message, resolve })
      const late = () => reject(new Error(`the hub did not say "${message}" within ${READY_MS} ms`))
      setTimeout(late, READY_MS).unref()
    })
  }
}

function show(line: string): void {
  if (HUB_LOG === '1') process.stderr.write(`${line}\n`)
}

/** Fails the run, from wherever: no test has to think of it. */
function failOnSecret(line: string): void {
  const found = secretIn(line)
  if (found !== null) throw new Error(`the hub wrote ${found} down: ${line}`)
}

async function operatorToken({ env }: TestDatabase): Promise<string> {
  const secret = env.ALZY_SECRET ?? (await readSecret(env.ALZY_DATA_DIR!))
  return (await createTokens(secret, { tokenTtlSMax: 3_600 }).issueOperator(Date.now())).token
}

/** Runs a command of the command line to its end. */
export async function runAlzy(
  args: readonly string[],
  env: Record<string, string>,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'alzy-cli-'))
  const child = spawn(process.execPath, [await built('main.js'), ...args], {
    cwd: directory,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const [code] = (await once(child, 'close')) as [number]
  await rm(directory, { recursive: true, force: true })
  return { code, stdout, stderr }
}
