/** What happened in a play (play.ts), put down so that a test can hold it against what had to happen. */
import type { Kept } from '../../src/core/device.ts'
import type { StoredSession } from '../../src/core/sessions.ts'
import type { Row } from './frames.ts'
import { type Expected, endOf, type ModelSession, statusOf } from './model.ts'

/** A POINTS frame that was kept: what the hub made of it, and what the model says. */
export interface FrameTold {
  deviceId: number
  seq: number
  nowMs: number
  sent: Row[]
  kept: Kept
  /** Starts of the sessions as they were right after the frame: of each kept point, of each live run. */
  starts: number[]
  liveStarts: number[]
  expected: Expected
  expectedStarts: number[]
  newest: PositionTold | null
  expectedNewest: PositionTold | null
}

export interface PositionTold {
  row: Row
  startMs: number
}

/** A SESSION frame that was kept, and every reason why it had to be rejected. */
export interface OpTold {
  seq: number
  rejected: Kept['rejected']
  reasons: number[]
}

export interface SessionTold {
  startMs: number
  automatic: boolean
  status: string
  endMs: number | null
}

/** What the window said to a frame, and what it had to say by everything ever granted. */
export interface VerdictTold {
  verdict: 'kept' | 'sequence' | 'limit'
  expected: 'kept' | 'sequence' | 'limit'
  /** The device went by the last ACK that it had heard. */
  isCompliant: boolean
}

/** A window as WELCOME or ACK told it. Sums of costs since the connection opened. */
export interface WindowTold {
  windowPoints: number
  acknowledged: number
  /** The most that the device was ever granted before. */
  grantedBefore: number
  /** What was told before this, 0 with WELCOME. */
  windowBefore: number
}

export type Story = ReturnType<typeof newStory>

export function newStory() {
  return {
    frames: [] as FrameTold[],
    ops: [] as OpTold[],
    /** The sessions of a device after each move that concerns it: by its book, and by the model. */
    books: [] as { hub: SessionTold[]; model: SessionTold[] }[],
    /** The sessions of each device once everything is stored: by its book, and by the store. */
    atTheEnd: [] as { hub: SessionTold[]; store: SessionTold[] }[],
    /** Where the count stood with each live frame. */
    published: [] as { deviceId: number; epoch: number; n: number }[],
    hellos: [] as { epoch: number; epochBefore: number; nowMs: number; isTakeover: boolean }[],
    /** HELLOs for which there was no window; `leftBehind` counts points of closed connections. */
    refusedHellos: [] as { openWindows: number; leftBehind: number }[],
    verdicts: [] as VerdictTold[],
    windows: [] as WindowTold[],
    /** Points held after each move. */
    held: [] as number[],
    /** The entries of each device as they were offered, and as they were done. */
    offered: new Map<number, object[]>(),
    done: new Map<number, object[]>(),
    /** In how many lanes a device was being written, after each move and for each device. */
    lanesInUse: [] as number[],
    /** Counts that have to be zero once everything is stored. */
    leftOver: {} as Record<string, number>,
  }
}

export function sessionsTold(sessions: readonly StoredSession[]): SessionTold[] {
  return inOrder(
    sessions.map(({ startedMs, automatic, status, endedMs }) => {
      return { startMs: startedMs, automatic, status, endMs: endedMs }
    }),
  )
}

export function sessionsExpected(sessions: readonly ModelSession[]): SessionTold[] {
  return inOrder(
    sessions.map((session) => {
      const { startMs, isAutomatic } = session
      return { startMs, automatic: isAutomatic, status: statusOf(session), endMs: endOf(session) }
    }),
  )
}

function inOrder(sessions: SessionTold[]): SessionTold[] {
  return sessions.sort((a, b) => a.startMs - b.startMs)
}
