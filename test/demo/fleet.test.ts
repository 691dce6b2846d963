import { describe, expect, test } from 'vitest'
import type { DeviceClient, DeviceOptions, RecordedPoint } from '../../src/client/node.ts'
import { createDemoFleet } from '../../src/demo/fleet.ts'

const NOW_MS = Date.UTC(2026, 5, 1)

/** A clock that is moved by hand, and wakes whoever waits in the order of time. */
function createDrivenClock() {
  let nowMs = NOW_MS
  const sleepers = new Set<{ atMs: number; wake: () => void }>()
  const clock = {
    now: () => nowMs,
    after: (delayMs: number, wake: () => void) => {
      const sleeper = { atMs: nowMs + delayMs, wake }
      sleepers.add(sleeper)
      return () => sleepers.delete(sleeper)
    },
  }
  return { clock, run }

  async function run(forMs: number): Promise<void> {
    const untilMs = nowMs + forMs
    for (;;) {
      // Promises of the woken ones settle before the next timer is looked for.
      await new Promise((resolve) => setImmediate(resolve))
      let next = null
      for (const sleeper of sleepers) if (next === null || sleeper.atMs < next.atMs) next = sleeper
      if (next === null || next.atMs > untilMs) break
      sleepers.delete(next)
      nowMs = next.atMs
      next.wake()
    }
    nowMs = untilMs
  }
}

type Told = { op: 'start' | 'end'; session: number; atMs: number } | ({ op: 'point' } & RecordedPoint)

/** A fleet whose clients write down what they are told. */
async function openFleet() {
  const { clock, run } = createDrivenClock()
  const told = new Map<string, Told[]>()
  const keys: [name: string, color: string, platform: string][] = []
  const problems: string[] = []
  const options = new Map<string, DeviceOptions>()
  const closed: string[] = []
  const fleet = await createDemoFleet({
    url: 'http://127.0.0.1:9001',
    clock,
    deviceKeyFor: async (name, color, platform) => {
      keys.push([name, color, platform])
      return `key of ${name}`
    },
    onProblem: (message) => problems.push(message),
    connect: (given) => {
      options.set(given.deviceKey, given)
      const list: Told[] = []
      told.set(given.deviceKey.replace('key of ', ''), list)
      const client: Partial<DeviceClient> = {
        tryRecord: (point) => list.push({ op: 'point', ...point }) > 0,
        session: async (op, at) => {
          list.push({ op: op as 'start' | 'end', ...at })
        },
        close: async () => {
          closed.push(given.deviceKey)
        },
      }
      return client as DeviceClient
    },
  })
  return { fleet, run, told, keys, problems, options, closed }
}

const pointsOf = (told: Told[]) => told.filter((item) => item.op === 'point')

describe('the demo’s fleet', () => {
  test('is a bus line, two walks and a car, each with a colour and a key of its own', async () => {
    const { fleet, keys, options } = await openFleet()
    const buses = ['4716', '4720', '4722', '4733', '4803', '4836', '4841', '4842'].map((bus) => `Bus ${bus}`)
    expect(fleet.devices).toEqual([...buses, 'Walk at Cerknica', 'Walk on Žbevnica', 'Car at Višnjan'])
    expect(keys.map(([name]) => name)).toEqual(fleet.devices)
    expect(new Set(keys.slice(0, 8).map(([, color]) => color)).size).toBe(8)
    expect([...options.keys()]).toEqual(fleet.devices.map((name) => `key of ${name}`))
    await fleet.close()
  })

  test('every device sends at once, and something moves every few seconds', async () => {
    const { fleet, run, told } = await openFleet()
    await run(0)
    for (const items of told.values()) expect(pointsOf(items)).toHaveLength(1)
    await run(60_000)
    const all = [...told.values()].flatMap(pointsOf).map((point) => point.recordedMs)
    all.sort((a, b) => a - b)
    const gaps = all.slice(1).map((ms, i) => ms - all[i]!)
    expect(Math.max(...gaps)).toBeLessThan(3_000)
    await fleet.close()
  })

  test('times are now and grow, and nobody is silent for more than ten seconds', async () => {
    const { fleet, run, told } = await openFleet()
    await run(3_600_000)
    for (const items of told.values()) {
      const times = pointsOf(items).map((point) => point.recordedMs)
      expect(times[0]).toBe(NOW_MS)
      expect(times.at(-1)).toBeGreaterThan(NOW_MS + 3_600_000 - 10_001)
      const gaps = times.slice(1).map((ms, i) => ms - times[i]!)
      expect(Math.min(...gaps)).toBeGreaterThan(0)
      expect(Math.max(...gaps)).toBeLessThanOrEqual(10_001)
    }
    await fleet.close()
  })

  test('it goes round and round, a session for each trip, and each point in the one that is open', async () => {
    const { fleet, run, told } = await openFleet()
    await run(3_600_000)
    await fleet.close()
    const car = told.get('Car at Višnjan')!
    expect(pointsOf(car).length).toBeGreaterThan(2 * 104)
    for (const items of told.values()) {
      let open: number | null = null
      for (const item of items) {
        if (item.op === 'start') {
          expect(open).toBeNull()
          open = item.session
        } else if (item.op === 'end') {
          expect(item.session).toBe(open)
          open = null
        } else {
          expect(item.session).toBe(open)
        }
      }
      expect(open).toBeNull()
      expect(items.filter((item) => item.op === 'start').length).toBeGreaterThan(1)
    }
  })

  test('buses of one line begin at different places of it', async () => {
    const { fleet, run, told } = await openFleet()
    await run(0)
    const places = fleet.devices.slice(0, 8).map((name) => pointsOf(told.get(name)!)[0])
    expect(new Set(places.map((place) => `${place?.lat} ${place?.lng}`)).size).toBe(8)
    await fleet.close()
  })

  test('a device that the hub refuses is told by name, and closing is no problem', async () => {
    const { fleet, problems, options, closed } = await openFleet()
    const stopped = { type: 'state', state: { name: 'stopped', reason: 'refused', code: 4503 } } as const
    options.get('key of Bus 4716')!.onEvent!(stopped)
    expect(problems).toEqual(['Bus 4716 has stopped: refused (4503)'])
    await fleet.close()
    options.get('key of Bus 4720')!.onEvent!(stopped)
    expect(problems).toHaveLength(1)
    expect(closed).toHaveLength(11)
  })
})
