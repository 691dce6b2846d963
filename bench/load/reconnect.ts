/**
 * The devices of `bench:hello`, in a process of their own: they connect, say HELLO, wait for WELCOME, and drop the
 * line when they are told to, all at once and without a goodbye.
 */
import { serveTasks } from '../children.ts'
import { cpuMs, monotonicMs } from '../clock.ts'
import { type DeviceLink, openDeviceLink } from './links.ts'

export type ReconnectTasks = typeof tasks

export interface Storm {
  /** From the first connect to the last WELCOME. */
  tookMs: number
  /** Of each device, from its connect to its WELCOME. */
  welcomeMs: number[]
  cpuMs: number
}

let links: DeviceLink[] = []
let trouble: string | null = null

const tasks = { storm, drop }
serveTasks(tasks)

/** Resolves when every device is welcome; so many connect at a time. Rejects when one is refused or lost. */
async function storm(input: { port: number; deviceKeys: string[]; atOnce: number }): Promise<Storm> {
  const { port, deviceKeys, atOnce } = input
  const welcomeMs: number[] = []
  const startMs = monotonicMs()
  const startCpuMs = cpuMs()
  let begun = 0
  await Promise.all(
    Array.from({ length: Math.min(atOnce, deviceKeys.length) }, async () => {
      while (begun < deviceKeys.length) {
        const deviceKey = deviceKeys[begun++]!
        const connectMs = monotonicMs()
        links.push(await openDeviceLink({ port, deviceKey, onAck: () => {}, onTrouble: note }))
        welcomeMs.push(monotonicMs() - connectMs)
      }
    }),
  )
  const tookMs = monotonicMs() - startMs
  if (trouble !== null) throw new Error(trouble)
  return { tookMs, welcomeMs, cpuMs: cpuMs() - startCpuMs }
}

async function drop(): Promise<void> {
  for (const link of links) link.end()
  links = []
}

function note(reason: string): void {
  trouble ??= reason
}
