/**
 * A real writer on a real backlog in this process: frames go in as devices send them, and everything that the
 * writer says comes out. What to do at each statement is the test's to decide.
 */
import { expect } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { type Backlog, type BacklogEntry, createBacklog, type Stored } from '../../src/core/backlog.ts'
import { type Device, type Kept, keepPoints, keepSessionOp } from '../../src/core/device.ts'
import type { PointsFrame, SessionOp } from '../../src/protocol/messages.ts'
import type { Run } from '../../src/store/line/run.ts'
import { createWriter } from '../../src/store/points/writer.ts'
import { GAP_MS, LIMITS, NOW_MS, type PointParts, pointsFrame, sessionFrame } from '../core/frames.ts'

/** Told that its frame is finished. */
export type Sender = (entry: BacklogEntry<Sender>) => void

export interface Sent {
  kept: Kept
  /** Resolves when the writer reports the frame. */
  stored: Promise<BacklogEntry<Sender>>
}

export interface WritingOptions {
  /** The one of the side lane first, as in a store. */
  runs: readonly Run[]
  limits?: { writeRowsMax?: number; rejectedPointsPerDevice?: number }
}

export type Writing = ReturnType<typeof startWriting>

export function startWriting({ runs, limits = {} }: WritingOptions) {
  const backlog: Backlog<Sender> = createBacklog<Sender>(runs.length - 1)
  const batches: Stored<Sender>[] = []
  const away: { lane: number; code?: string; message: string }[] = []
  const back: number[] = []
  const broken: Error[] = []
  let retries = 0
  let seq = 0
  const writer = createWriter<Sender>({
    backlog,
    runs,
    limits: { writeRowsMax: 2_000, sessionGapMs: GAP_MS, rejectedPointsPerDevice: 1_000, ...limits },
    listener: {
      stored: onStored,
      away: (lane, reason) => away.push({ lane, ...reason }),
      back: (lane) => back.push(lane),
      broken: (error) => broken.push(error),
      retried: () => {
        retries += 1
      },
    },
    clock: { ...systemClock, now: () => NOW_MS, random: () => 0 },
  })
  return {
    batches,
    away,
    back,
    broken,
    backlog,
    writer,
    send,
    sendFrame,
    sendOp,
    offer,
    get retries() {
      return retries
    },
    /** Frames of the devices that were reported. */
    get reported() {
      return batches.flatMap(({ entries }) => entries)
    },
  }

  /** A POINTS frame; a point that is nothing but a number is an ordinary one of that moment. */
  function send(
    device: Device,
    points: readonly (number | PointParts)[],
    session: number | null = null,
    receivedMs = NOW_MS,
  ): Sent {
    return sendFrame(device, pointsFrame(nextSeq(), session, points), receivedMs)
  }

  function sendFrame(device: Device, frame: PointsFrame, receivedMs = NOW_MS): Sent {
    const cost = frame.values.length / 8
    return offer(device, frame.seq, cost, keepPoints(device, frame, receivedMs, LIMITS), receivedMs)
  }

  function sendOp(device: Device, session: number, op: SessionOp, atMs = session): Sent {
    const frame = sessionFrame(nextSeq(), session, op, atMs)
    return offer(device, frame.seq, 1, keepSessionOp(device, frame, NOW_MS), NOW_MS)
  }

  function offer(device: Device, frameSeq: number, cost: number, kept: Kept, receivedMs = NOW_MS): Sent {
    const stored = new Promise<BacklogEntry<Sender>>((resolve) => {
      backlog.offer({ device, owner: resolve, seq: frameSeq, cost, receivedMs, kept })
    })
    return { kept, stored }
  }

  function onStored(batch: Stored<Sender>): void {
    batches.push(batch)
    for (const entry of batch.entries) entry.owner?.(entry)
  }

  function nextSeq(): number {
    seq += 1
    return seq
  }
}

/** A writer on a store, for as long as `use` takes; it must not have met any fault. */
export async function writingTo(
  store: { writes: readonly Run[] },
  use: (writing: Writing) => Promise<void>,
): Promise<void> {
  const writing = startWriting({ runs: store.writes })
  await use(writing)
  expect(await writing.writer.stop(10_000)).toBe(true)
  expect([writing.broken, writing.away, writing.retries]).toEqual([[], [], 0])
}

export interface Tap {
  run: Run
  /** Every statement that was begun, in order. */
  statements: string[]
  /** Awaited before a statement is sent; what it throws fails the statement. */
  before: (text: string) => Promise<void> | void
  /** Awaited when the answer is there and nobody knows it yet. */
  after: (text: string) => Promise<void> | void
}

/** Stands between a writer and its connection. */
export function createTap(run: Run): Tap {
  const tap: Tap = { run: through, statements: [], before: () => {}, after: () => {} }
  return tap

  async function through(...[text, parameters]: Parameters<Run>): ReturnType<Run> {
    tap.statements.push(text)
    await tap.before(text)
    const result = await run(text, parameters)
    await tap.after(text)
    return result
  }
}

export function insertsPoints(text: string): boolean {
  return text.includes('insert into points')
}

/** A promise with its ends outside, for a test that decides when. */
export function createLatch(): { opened: Promise<void>; open: () => void } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}
