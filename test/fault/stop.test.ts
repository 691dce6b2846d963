/** Processes that are stopped where they are (SIGSTOP) for a while, and a hub that is asked to end under load. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { expect } from 'vitest'
import { built } from '../rig/gear.ts'
import { createLedger, type Ledger, type Note } from '../rig/ledger.ts'
import { signal, stateOf } from '../rig/processes.ts'
import { until } from '../rig/until.ts'
import { IS_LONG, type Stage, scenario } from './scenario.ts'

/** 1–30 s in the long run; the short one has no time for that. */
const [FROZEN_MS_MIN, FROZEN_MS_MAX] = IS_LONG ? [1_000, 30_000] : [500, 2_000]
/** At the pace of the devices there is an ACK every few milliseconds. */
const STILL_MS = 250
/** Points that a device sends which is stopped in the middle of them: long enough for that, seven seconds. */
const REPLAYED = 300
const PACE = '4'
/** Below them, so that it barks in some of the tries and not in others. */
const ENV = { ALZY_WRITE_TIMEOUT_MS: IS_LONG ? '15000' : '1000' }

scenario(
  {
    fault: 'SIGSTOP of the hub for 1 to 30 s',
    shortFault: 'SIGSTOP of the hub for 0.5 to 2 s',
    tries: { short: 2, long: 7 },
    tryMs: 60_000,
  },
  async (on) => {
    const pid = on.hub.process.pid!
    signal(pid, 'SIGSTOP')
    await until(() => stateOf(pid)?.startsWith('T'), 'the hub stands still')
    const question = ask(on.hub.port, '/healthz')
    const acks = await lastAcks(on)
    await frozenFor(on.chance.whole(FROZEN_MS_MIN, FROZEN_MS_MAX))
    expect(stateOf(pid)).toMatch(/^T/)
    expect(question.answer()).toBe('')
    expect(acksOf(on)).toEqual(acks)
    on.heals()
    signal(pid, 'SIGCONT')
    await until(() => question.answer().startsWith('HTTP/1.1 200'), 'the hub to answer what it was asked')
    question.end()
  },
)

scenario(
  {
    fault: 'SIGSTOP of PostgreSQL for 1 to 30 s',
    shortFault: 'SIGSTOP of PostgreSQL for 0.5 to 2 s',
    tries: { short: 2, long: 7 },
    database: 'own',
    env: ENV,
    tryMs: 60_000,
  },
  async (on) => {
    on.cluster.pause()
    await until(() => stateOf(on.cluster.pid)?.startsWith('T'), 'PostgreSQL stands still')
    // The hub has had a turn by then, and has read what PostgreSQL had still answered.
    await on.hub.metric('alzy_points_stored_total')
    const acks = await lastAcks(on)
    const stored = await on.hub.metric('alzy_points_stored_total')
    await frozenFor(on.chance.whole(FROZEN_MS_MIN, FROZEN_MS_MAX))
    await until(async () => (await on.hub.metric('alzy_backlog_frames')) > 0, 'frames to wait for it')
    expect(await on.hub.metric('alzy_points_stored_total')).toBe(stored)
    expect(acksOf(on)).toEqual(acks)
    on.heals()
    on.cluster.resume()
  },
)

scenario(
  {
    fault: 'SIGSTOP of a device for 1 to 30 s, then kill -9 of it, and all of it sent again',
    shortFault: 'SIGSTOP of a device for 0.5 to 2 s, then kill -9 of it, and all of it sent again',
    tries: { short: 2, long: 4 },
    tryMs: 90_000,
  },
  async (on, number) => {
    const { id, deviceKey } = await on.hub.addDevice(on.user)
    const ledger = createLedger(id)
    const firstMs = Date.now() - 3_600_000
    for (let i = 0; i < REPLAYED; i++) ledger.notes.push(noteOf(firstMs + i * 100, i))
    const replayed = (speed: string) => startReplay(on, ledger, deviceKey, speed)
    const count = async () => {
      const rows = await on.database.query('select 1 from points where device_id = $1', [id])
      return rows.length
    }
    const device = await replayed(PACE)
    await until(async () => (await count()) > 10, 'the device to be under way')
    signal(device.pid!, 'SIGSTOP')
    await until(() => stateOf(device.pid!)?.startsWith('T'), 'the device stands still')
    const acks = acksOf(on)
    await frozenFor(on.chance.whole(FROZEN_MS_MIN, FROZEN_MS_MAX))
    expect(await count()).toBeLessThan(REPLAYED)
    const haveGoneOn = () => on.devices.every((other, i) => other.counts.acks > acks[i]!)
    await until(haveGoneOn, 'the others to have gone on')
    on.heals()
    const ended = once(device, 'exit')
    signal(device.pid!, 'SIGCONT')
    if (number % 2 === 0) {
      signal(device.pid!, 'SIGKILL')
      expect(await ended).toEqual([null, 'SIGKILL'])
      // The same again, by a device that knows nothing of what was acknowledged.
      expect(await once(await replayed('0'), 'exit')).toEqual([0, null])
    } else expect(await ended).toEqual([0, null])
    // It ends well when all of it is acknowledged.
    for (const note of ledger.notes) note.acknowledgedMs = Date.now()
    on.ledgers.push(ledger)
  },
)

scenario({ fault: 'SIGTERM of the hub under load', tries: { short: 3, long: 40 } }, async (on) => {
  const goaways = on.devices.map((device) => device.counts.goaways)
  const restarts = restartsOf(on)
  const welcome = on.devices.filter((device) => device.isWelcome())
  expect(welcome.length).toBeGreaterThan(0)
  expect(await on.hub.end()).toBe(0)
  const isTold = () =>
    on.devices.every((device, i) => !welcome.includes(device) || device.counts.goaways > goaways[i]!)
  await until(isTold, 'every device that was welcome has heard GOAWAY')
  on.heals()
  await on.startHub()
  expect(restartsOf(on)).toBeGreaterThan(restarts)
})

function acksOf(on: Stage): number[] {
  return on.devices.map((device) => device.counts.acks)
}

/** How many there are once what was on its way has come in. */
async function lastAcks(on: Stage): Promise<number[]> {
  let acks = acksOf(on)
  const isStill = async () => {
    const before = acks
    await frozenFor(STILL_MS)
    // Where this process stood still itself, the timer is over before what has come meanwhile is read.
    await new Promise((resolve) => setImmediate(resolve))
    acks = acksOf(on)
    return isDeepStrictEqual(acks, before)
  }
  await until(isStill, 'no more acknowledgements to come')
  return acks
}

/** The kernel takes the connection and the question for whoever listens, standing still or not. */
function ask(port: number, place: string) {
  const socket = net.connect(port, '127.0.0.1')
  let answer = ''
  socket.setEncoding('latin1')
  socket.on('data', (text) => {
    answer += text
  })
  socket.write(`GET ${place} HTTP/1.1\r\nHost: hub\r\n\r\n`)
  return { answer: () => answer, end: () => socket.destroy() }
}

/** How often devices were told that the hub ends. */
function restartsOf({ devices }: Stage): number {
  return devices.reduce((sum, { closes }) => sum + (closes.get(1012) ?? 0), 0)
}

/** As the player of tracks reads it from a file: no more than place and time. */
function noteOf(recordedMs: number, i: number): Note {
  return {
    recordedMs,
    values: [525_000_000 + i * 100, 134_000_000, null, null, null, null, 0],
    sessionMs: null,
    poison: null,
    sent: [{ connection: 1, seq: 1, atMs: recordedMs }],
    acknowledgedMs: null,
    rejection: null,
  }
}

/** The device that the project ships, in a process of its own. */
async function startReplay(
  on: Stage,
  { notes }: Ledger,
  deviceKey: string,
  speed: string,
): Promise<ChildProcess> {
  const folder = mkdtempSync(path.join(tmpdir(), 'alzy-replay-'))
  const file = path.join(folder, 'track.csv')
  const lines = notes.map(({ recordedMs, values: [lat, lng] }) =>
    [lat / 1e7, lng / 1e7, new Date(recordedMs).toISOString()].join(','),
  )
  writeFileSync(file, `${['lat,lng,time', ...lines].join('\n')}\n`)
  const args = ['replay', file, '--key', deviceKey, '--speed', speed, '--shift', 'none', '--url', on.url()]
  const device = spawn(process.execPath, [await built('main.js'), ...args], { stdio: 'ignore' })
  device.once('exit', () => rmSync(folder, { recursive: true }))
  return device
}

function frozenFor(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
