/**
 * What people put between a broker and their database, in a process of its own: takes from JetStream what devices
 * published, stores what gathered with the hub's own INSERT while the next gathers, and acknowledges after the commit.
 */
import { AckPolicy, type JsMsg, jetstream, jetstreamManager, StorageType } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { decodeDeviceFrame } from '../../src/protocol/decode.ts'
import { POINT_STRIDE, TYPE } from '../../src/protocol/messages.ts'
import { connectDatabase } from '../../src/store/line/connection.ts'
import type { Run } from '../../src/store/line/run.ts'
import { insertPoints, type PointRow, pointParameters } from '../../src/store/points/points.ts'
import { serveTasks } from '../children.ts'
import { cpuMs, monotonicMs } from '../clock.ts'
import { deviceSubject } from '../load/dialects.ts'
import { createLines, type Line } from './insertLoop.ts'

export type JetStreamWriterTasks = typeof tasks

const STREAM = 'points'
const CONSUMER = 'writer'
const STATEMENT_TIMEOUT_MS = 60_000
const FRAME_POINTS_MAX = 1_000
/** Messages that may be on their way to here or wait here: never so few that the database waits for the broker. */
const UNACKNOWLEDGED_MAX = 20_000

const waiting: JsMsg[] = []
let isWriting = false
let stored = 0
let lastCommitMs = 0
let awaited: { points: number; resolve: () => void; reject: (fault: Error) => void } | null = null

const tasks = { open, begin, stored: untilStored }
serveTasks(tasks)

/** Makes the stream and its devices, and takes what comes from then on, at most `batchRows` with one statement. */
async function open(input: {
  port: number
  databaseUrl: string
  devices: number
  batchRows: number
}): Promise<void> {
  const { run } = connectDatabase(
    { url: input.databaseUrl },
    { name: 'bench', connections: 1, timeoutMs: STATEMENT_TIMEOUT_MS, onNotice: () => {} },
  )
  const lines = await createLines(run, input.devices, 'jetstream@example.org')
  const connection = await connect({ servers: `127.0.0.1:${input.port}` })
  const manager = await jetstreamManager(connection)
  const subjects = lines.map((_, place) => deviceSubject(place))
  await manager.streams.add({ name: STREAM, subjects, storage: StorageType.File })
  await manager.consumers.add(STREAM, {
    durable_name: CONSUMER,
    ack_policy: AckPolicy.All,
    max_ack_pending: UNACKNOWLEDGED_MAX,
  })
  const byName = new Map(subjects.map((subject, place) => [subject, lines[place]!]))
  const consumer = await jetstream(connection).consumers.get(STREAM, CONSUMER)
  await consumer.consume({
    max_messages: UNACKNOWLEDGED_MAX,
    callback: (message) => {
      waiting.push(message)
      if (!isWriting) void write(run, byName, input.batchRows)
    },
  })
}

/** Counts anew. */
async function begin(): Promise<{ cpuMs: number }> {
  stored = 0
  return { cpuMs: cpuMs() }
}

/** Resolves when so many points are committed. */
async function untilStored(input: { points: number }): Promise<{ lastCommitMs: number; cpuMs: number }> {
  await new Promise<void>((resolve, reject) => {
    awaited = { points: input.points, resolve, reject }
    tell()
  })
  return { lastCommitMs, cpuMs: cpuMs() }
}

/** One statement after the other, as long as something waits. */
async function write(run: Run, lines: ReadonlyMap<string, Line>, batchRows: number): Promise<void> {
  isWriting = true
  try {
    while (waiting.length > 0) {
      const { rows, messages } = take(lines, batchRows)
      stored += await insertPoints(run, pointParameters(rows))
      lastCommitMs = monotonicMs()
      // Stands for all before it.
      waiting.splice(0, messages)[messages - 1]!.ack()
      tell()
    }
  } catch (fault) {
    awaited?.reject(fault as Error)
  }
  isWriting = false
}

function take(lines: ReadonlyMap<string, Line>, batchRows: number) {
  const rows: PointRow[] = []
  const receivedMs = Date.now()
  let messages = 0
  for (; messages < waiting.length && rows.length < batchRows; messages++) {
    const { data, subject } = waiting[messages]!
    const frame = decodeDeviceFrame(data, FRAME_POINTS_MAX)
    if (frame.type !== TYPE.points) throw new Error('a message that is no frame of points')
    const { session } = lines.get(subject)!
    for (let at = 0; at < frame.values.length / POINT_STRIDE; at++) {
      rows.push({ values: frame.values, at, session, receivedMs })
    }
  }
  return { rows, messages }
}

function tell(): void {
  if (awaited === null || stored < awaited.points) return
  awaited.resolve()
  awaited = null
}
