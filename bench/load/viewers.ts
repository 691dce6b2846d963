/**
 * The viewers of a benchmark, in a process of their own: they stay in the live stream, count LIVE frames and look
 * at nothing in them.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { serveTasks } from '../children.ts'
import { cpuMs, monotonicMs } from '../clock.ts'
import type { DialectName } from './dialects.ts'
import { openViewerLink } from './links.ts'
import { openPeerLink } from './peerLink.ts'
import type { BenchSocket } from './webSocket.ts'

export type ViewersTasks = typeof tasks

interface Counted {
  /** LIVE frames of all viewers together. */
  received: number
  lastMs: number
  cpuMs: number
}

const CONNECTING_MAX = 50
const CHECK_MS = 50
/** When nothing has come for so long, nothing will. */
const QUIET_MS = 3_000

let sockets: BenchSocket[] = []
let received = 0
let expected = 0
let completeMs = 0
let armedCpuMs = 0
let trouble: string | null = null

const tasks = { connect, arm, counted, stall, disconnect }
serveTasks(tasks)

/** So many viewers for each token. Resolves when all of them are live. */
async function connect(input: {
  port: number
  tokens: readonly string[]
  viewers: number
  dialect?: DialectName | null
}): Promise<void> {
  const { port, tokens, viewers, dialect } = input
  const count = tokens.length * viewers
  trouble = null
  let begun = 0
  await Promise.all(
    Array.from({ length: Math.min(count, CONNECTING_MAX) }, async () => {
      while (begun < count) {
        const token = tokens[begun % tokens.length]!
        begun += 1
        sockets.push(
          dialect
            ? await openPeerLink({ port, dialect, role: 'viewer', onDelivered: hear, onTrouble: note })
            : await openViewerLink({ port, token, onLive: hear, onTrouble: note }),
        )
      }
    }),
  )
}

/** From now on frames are counted. */
async function arm(input: { expected: number }): Promise<void> {
  received = 0
  expected = input.expected
  completeMs = expected === 0 ? monotonicMs() : 0
  armedCpuMs = cpuMs()
}

/** Resolves when as many came as were expected, or no more come. Rejects when a viewer was closed. */
async function counted(): Promise<Counted> {
  let seen = received
  let seenMs = monotonicMs()
  while (received < expected) {
    if (received > seen) {
      seen = received
      seenMs = monotonicMs()
    }
    if (monotonicMs() - seenMs > QUIET_MS) break
    await sleep(CHECK_MS)
  }
  if (trouble !== null) throw new Error(trouble)
  return { received, lastMs: completeMs === 0 ? seenMs : completeMs, cpuMs: cpuMs() - armedCpuMs }
}

/** From now on none of them reads; the server may close them. */
async function stall(): Promise<void> {
  for (const socket of sockets) socket.stall()
}

async function disconnect(): Promise<void> {
  for (const socket of sockets) socket.end()
  sockets = []
}

function hear(): void {
  received += 1
  if (received === expected) completeMs = monotonicMs()
}

function note(reason: string): void {
  trouble ??= reason
}
