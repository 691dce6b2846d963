/**
 * The hub under test: the built one, in a process of its own, started and asked as a user would. Its processor
 * time and its counts are its own accounting, from /metrics.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { createTokens, OPERATOR_TTL_S_MAX } from '../src/access/tokens.ts'
import { createApiClient } from '../src/commands/api.ts'
import { HUB_MAIN } from './paths.ts'

export type Hub = Awaited<ReturnType<typeof startHub>>

export interface HubUser {
  token: string
  deviceKeys: string[]
}

const TOKEN_TTL_S = 3_600
/** Devices that are being added at a time: one after the other, ten thousand take a minute. */
const ADDED_AT_ONCE = 8
/** All the devices of a run are of one user. */
const DEVICES_MAX = 1_000_000
let users = 0

/** Resolves when the hub is ready. `profileDirectory`: where its CPU profile goes when it ends, or empty. */
export async function startHub(
  env: Record<string, string>,
  profileDirectory: string,
  nodeFlags: readonly string[] = [],
) {
  const secret = randomBytes(32).toString('hex')
  const profile = profileDirectory === '' ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDirectory}`]
  const child = spawn(process.execPath, [...nodeFlags, ...profile, HUB_MAIN, 'serve'], {
    // Nothing of the caller's environment may set the hub up.
    env: {
      PATH: process.env.PATH,
      TZ: 'UTC',
      ALZY_PORT: '0',
      ALZY_SECRET: secret,
      ALZY_DEVICES_PER_USER_MAX: String(DEVICES_MAX),
      ...env,
    },
    stdio: ['ignore', 'pipe', 2],
  })
  const ended = once(child, 'exit')
  process.once('exit', kill)
  const port = await becomesReady()
  const url = `http://127.0.0.1:${port}`
  return { pid: child.pid!, port, addUser, metrics, cpuMs, collections, stop }

  function becomesReady(): Promise<number> {
    return new Promise((resolve, reject) => {
      let listening = 0
      ended.then(([code, signal]) => reject(new Error(`the hub ended with ${signal ?? code}`)), reject)
      createInterface({ input: child.stdout! }).on('line', (text) => {
        const line = JSON.parse(text) as { level: string; msg: string; port?: number }
        if (line.msg === 'listening') listening = line.port!
        if (line.msg === 'ready') resolve(listening)
        if (line.level !== 'info') process.stderr.write(`hub: ${text}\n`)
      })
    })
  }

  /** A user with so many devices. */
  async function addUser(devices: number): Promise<HubUser> {
    const operator = await createTokens(secret, { tokenTtlSMax: OPERATOR_TTL_S_MAX }).issueOperator(
      Date.now(),
    )
    const api = createApiClient(url, operator.token)
    users += 1
    const email = `bench${process.pid}-${users}@example.org`
    const user = await api.request<{ id: number }>('POST', '/v1/users', { email })
    const issued = await api.request<{ token: string }>('POST', `/v1/users/${user.id}/tokens`, {
      ttlS: TOKEN_TTL_S,
    })
    const deviceKeys: string[] = []
    let begun = 0
    await Promise.all(
      Array.from({ length: ADDED_AT_ONCE }, async () => {
        while (begun < devices) {
          begun += 1
          const device = { userId: user.id, name: `Device ${begun}`, withKey: true }
          const { deviceKey } = await api.request<{ deviceKey: string }>('POST', '/v1/devices', device)
          deviceKeys.push(deviceKey)
        }
      }),
    )
    return { token: issued.token, deviceKeys }
  }

  /** The figures of /metrics, by name with its labels as they stand there. */
  async function metrics(): Promise<Map<string, number>> {
    const text = await (await fetch(`${url}/metrics`)).text()
    return new Map(
      [...text.matchAll(/^(\w+(?:\{.*\})?) (\S+)$/gm)].map(
        ([, name, value]) => [name!, Number(value)] as const,
      ),
    )
  }

  /** Processor time that it has used, in all its threads. */
  async function cpuMs(): Promise<number> {
    return (await metrics()).get('process_cpu_seconds_total')! * 1000
  }

  /** How often it has stopped to collect garbage, how often of these all of it, and for how long in all. */
  async function collections(): Promise<{ count: number; major: number; ms: number }> {
    const figures = await metrics()
    const of = (kind: 'minor' | 'major', what: 'count' | 'sum') =>
      // A kind that has not happened yet is not there.
      figures.get(`nodejs_gc_duration_seconds_${what}{kind="${kind}"}`) ?? 0
    const major = of('major', 'count')
    return {
      count: of('minor', 'count') + major,
      major,
      ms: (of('minor', 'sum') + of('major', 'sum')) * 1000,
    }
  }

  async function stop(): Promise<void> {
    child.kill('SIGTERM')
    await ended
    process.removeListener('exit', kill)
  }

  function kill(): void {
    child.kill('SIGKILL')
  }
}

/** How much a figure of /metrics grew between two looks. */
export function growth(before: Map<string, number>, after: Map<string, number>, name: string): number {
  const [from, to] = [before.get(name), after.get(name)]
  if (from === undefined || to === undefined) throw new Error(`the hub has no metric ${name}`)
  return to - from
}
