/** The devices of a benchmark of ingest: the same number of points from each, out of one generator or several. */
import { type Child, openChild } from '../children.ts'
import type { DialectName } from './dialects.ts'
import type { GeneratorTasks } from './generator.ts'

/** What is sent to, and in which frames. */
export interface Target {
  port: number
  deviceKeys: readonly string[]
  pointsPerFrame: number
  dialect?: DialectName
}

export interface Driven {
  pointsSent: number
  firstSendMs: number
  /** From the first frame to the last ACK. */
  pointsPerSecond: number
  generatorCpuMs: number
  /** By the clock that `drive` was given. */
  usedCpuMs: number
}

export function openDeviceLoad(options: { devices: number; generators: number; windowPoints: number }) {
  const { devices, windowPoints } = options
  const generators = Array.from({ length: Math.min(options.generators, devices) }, () =>
    openChild<GeneratorTasks>('load/generator'),
  )
  return { drive, close }

  /** Sends about so many points. Connecting and encoding are not counted; `cpuMs` is read right before and after. */
  async function drive(target: Target, wanted: number, cpuMs = async () => 0): Promise<Driven> {
    const { port, deviceKeys, pointsPerFrame, dialect = null } = target
    const framesPerDevice = Math.max(1, Math.round(wanted / devices / pointsPerFrame))
    const pointsSent = framesPerDevice * devices * pointsPerFrame
    const firstOf = (i: number) => Math.floor((i * deviceKeys.length) / generators.length)
    await onEach((generator, i) =>
      generator.ask('connect', {
        port,
        deviceKeys: deviceKeys.slice(firstOf(i), firstOf(i + 1)),
        firstPlace: firstOf(i),
        dialect,
      }),
    )
    await onEach((generator) => generator.ask('prepare', { framesPerDevice, pointsPerFrame, as: 'points' }))
    const beforeMs = await cpuMs()
    const sent = await onEach((generator) => generator.ask('send', { pointsPerFrame, windowPoints }))
    const usedCpuMs = (await cpuMs()) - beforeMs
    await onEach((generator) => generator.ask('disconnect', undefined))
    const firstSendMs = Math.min(...sent.map((one) => one.firstSendMs))
    const lastAckMs = Math.max(...sent.map((one) => one.lastAckMs))
    return {
      pointsSent,
      firstSendMs,
      pointsPerSecond: (pointsSent / (lastAckMs - firstSendMs)) * 1000,
      generatorCpuMs: sent.reduce((sum, one) => sum + one.cpuMs, 0),
      usedCpuMs,
    }
  }

  async function close(): Promise<void> {
    await onEach((generator) => generator.end())
  }

  function onEach<Answer>(act: (generator: Child<GeneratorTasks>, index: number) => Promise<Answer>) {
    return Promise.all(generators.map(act))
  }
}

export type DeviceLoad = ReturnType<typeof openDeviceLoad>
