/**
 * A hub in miniature: the core put together as the hub puts it together, with a clock, a network and a
 * database made of variables. It acts out a script and tells what happened, next to what the model expected;
 * it judges nothing.
 */
import { type BacklogEntry, createBacklog } from '../../src/core/backlog.ts'
import { createCredit, openWindow, windowPoints } from '../../src/core/credit.ts'
import {
  comeOnline,
  type Device,
  endIdleSessions,
  type Kept,
  keepPoints,
  keepSessionOp,
  nextPosition,
} from '../../src/core/device.ts'
import type { Session } from '../../src/core/sessions.ts'
import { type Connection, createConnection } from './connection.ts'
import {
  frameOfRows,
  GAP_MS,
  HOUR_MS,
  IDLE_MS,
  LIMITS,
  NOW_MS,
  newDevice,
  type Row,
  rowsOf,
  sessionFrame,
} from './frames.ts'
import { createModel, type Model, type ModelSession, statusOf } from './model.ts'
import { DEVICE_IDS, type Moment, type Move, type OpMove, type PointsMove, type Script } from './moves.ts'
import { newStory, type Story, sessionsExpected, sessionsTold } from './story.ts'
import { createWriter } from './writer.ts'

/** A device, the model of it, and the connection that it has. */
interface Actor {
  device: Device
  model: Model
  /** Which session of the model is which of the book. */
  twins: Map<Session, ModelSession>
  connection: Connection | null
  /** Times that the device has named so far. */
  momentsMs: number[]
}

const LANES = 2
/** A device that has so many sessions falls silent: the book forgets beyond 64, and the model does not. */
const SESSIONS_MAX = 56

export function play({ credit: creditLimits, liveAgeMs, moves }: Script): Story {
  const limits = { ...LIMITS, liveAgeMs }
  const credit = createCredit(creditLimits)
  const backlog = createBacklog<Connection>(LANES)
  const writer = createWriter(backlog, stored)
  const actors = DEVICE_IDS.map((id) => newActor(id, liveAgeMs))
  const closed: Connection[] = []
  const story = newStory()
  /** Devices whose sessions may have changed since the last look. */
  const touched = new Set<number>()
  let nowMs = NOW_MS

  for (const move of moves) {
    act(move)
    observe()
  }
  for (const actor of actors) drop(actor)
  writer.writeAll()
  observe()
  conclude()
  return story

  function act(move: Move): void {
    switch (move.do) {
      case 'points':
      case 'op':
        return send(actors[move.device]!, move)
      case 'connect':
        return void connect(actors[move.device]!)
      case 'drop':
        return drop(actors[move.device]!)
      case 'hear':
        return actors[move.device]!.connection?.hear()
      case 'take':
        return writer.take(move.lane, move.rowsMax)
      case 'finish':
        return writer.finish(move.lane)
      case 'write':
        return writer.writeAll()
      case 'wait':
        nowMs += move.ms
        return
      case 'sweep':
        return actors.forEach(sweep)
      case 'suspect':
        return backlog.suspect(DEVICE_IDS[move.device]!, move.isSuspect)
    }
  }

  function connect(actor: Actor): Connection | null {
    const window = openWindow(credit)
    if (window === null) {
      const leftBehind = closed.reduce((sum, { unsettled }) => sum + unsettled, 0)
      story.refusedHellos.push({ openWindows: credit.openWindows, leftBehind })
      return null
    }
    const isTakeover = actor.connection !== null
    drop(actor)
    const { device } = actor
    const epochBefore = device.epoch
    comeOnline(device, nowMs)
    story.hellos.push({ epoch: device.epoch, epochBefore, nowMs, isTakeover })
    publish(device)
    story.windows.push({
      windowPoints: windowPoints(window),
      acknowledged: 0,
      grantedBefore: 0,
      windowBefore: 0,
    })
    actor.connection = createConnection(window)
    return actor.connection
  }

  /** The connection ends, whoever ended it. */
  function drop(actor: Actor): void {
    if (actor.connection === null) return
    actor.connection.close()
    closed.push(actor.connection)
    actor.connection = null
    publish(actor.device)
  }

  function send(actor: Actor, move: PointsMove | OpMove): void {
    if (actor.model.sessions.length > SESSIONS_MAX) return
    const connection = actor.connection ?? connect(actor)
    if (connection === null) return
    const cost = move.do === 'op' ? 1 : Math.min(move.points.length, creditLimits.batchPointsMax)
    if (!move.isGreedy && !connection.hearUntilFree(cost)) return
    const seq = Math.max(1, connection.lastSeq + move.seqStep)
    const verdict = connection.send(seq, cost)
    story.verdicts.push(verdict)
    if (verdict.verdict !== 'kept') return drop(actor)
    const kept = move.do === 'op' ? sendOp(actor, move, seq) : sendPoints(actor, move, seq, cost)
    offer({ device: actor.device, owner: connection, seq, cost, receivedMs: nowMs, kept })
  }

  function sendOp({ device, model, momentsMs }: Actor, move: OpMove, seq: number): Kept {
    const session = momentOf(momentsMs, move.session)
    const atMs = momentOf(momentsMs, move.at)
    const kept = keepSessionOp(device, sessionFrame(seq, session, move.op, atMs), nowMs)
    const reasons = model.op(session, move.op, atMs, nowMs)
    story.ops.push({ seq, rejected: kept.rejected, reasons })
    momentsMs.push(session)
    return kept
  }

  function sendPoints(actor: Actor, move: PointsMove, seq: number, count: number): Kept {
    const { device, model, twins, momentsMs } = actor
    const session = move.session && momentOf(momentsMs, move.session)
    const rows = move.points.slice(0, count).map(({ at, fields }): Row => {
      momentsMs.push(momentOf(momentsMs, at))
      return [momentsMs.at(-1)!, ...fields]
    })
    if (session !== null) momentsMs.push(session)
    const kept = keepPoints(device, frameOfRows(seq, session, rows), nowMs, limits)
    const expected = model.points(session, rows, nowMs, (place, allowed) => {
      const taken = kept.sessionOf[place]
      const twin = taken && twins.get(taken)
      const choice = twin !== undefined && allowed.includes(twin) ? twin : allowed[0]!
      if (taken !== undefined && twin === undefined) twins.set(taken, choice)
      return choice
    })
    const newest = model.newest()
    story.frames.push({
      deviceId: device.id,
      seq,
      nowMs,
      sent: rows,
      kept,
      starts: kept.sessionOf.map(({ startedMs }) => startedMs),
      liveStarts: kept.live.map((run) => run.session.startedMs),
      expected,
      expectedStarts: expected.kept.map((point) => point.session.startMs),
      newest: device.newest && {
        row: rowsOf(device.newest.values)[0]!,
        startMs: device.newest.session.startedMs,
      },
      expectedNewest: newest ? { row: newest.row, startMs: newest.session.startMs } : null,
    })
    for (const _ of kept.live) publish(device)
    return kept
  }

  function momentOf(momentsMs: number[], { of, back, offsetMs }: Moment): number {
    if (of === 'now') return nowMs + offsetMs
    if (of === 'year 2000') return Date.UTC(2000, 0, 1) + offsetMs
    if (of === 'begin') return NOW_MS + offsetMs
    return (momentsMs.at(-1 - back) ?? nowMs) + offsetMs
  }

  function sweep({ device, model }: Actor): void {
    for (const session of model.sessions) if (model.mustEnd(session, nowMs)) session.isEndedByHub = true
    const kept = endIdleSessions(device, nowMs)
    if (kept !== null) offer({ device, owner: null, seq: 0, cost: 0, receivedMs: nowMs, kept })
  }

  function offer(entry: BacklogEntry<Connection>): void {
    touched.add(entry.device.id)
    backlog.offer(entry)
    note(story.offered, entry)
  }

  /** Acknowledges once everything of a commit is settled, and tells viewers of what was left out. */
  function stored(entries: BacklogEntry<Connection>[]): void {
    const settled = new Set<Connection>()
    for (const entry of entries) {
      note(story.done, entry)
      touched.add(entry.device.id)
      if (entry.owner === null) continue
      entry.owner.settle(entry.seq, entry.cost)
      settled.add(entry.owner)
    }
    for (const connection of settled) {
      const told = connection.acknowledge()
      if (told !== null) story.windows.push(told)
    }
    for (const { device, kept } of entries) if (kept.leftOut !== null) publish(device)
  }

  function publish(device: Device): void {
    story.published.push(nextPosition(device))
  }

  function observe(): void {
    story.held.push(credit.heldPoints)
    for (const { device, model } of actors) {
      story.lanesInUse.push(writer.lanesOf(device.id))
      if (!touched.delete(device.id)) continue
      // When exactly the hub ends an idle session is its own affair, within what the model allows.
      for (const { startedMs, status } of device.book.sessions) {
        if (status !== 'ended') continue
        const session = model.sessions.find(({ startMs }) => startMs === startedMs)
        if (session === undefined || statusOf(session) === 'ended') continue
        if (model.mayEnd(session, nowMs)) session.isEndedByHub = true
      }
      story.books.push({
        hub: sessionsTold(device.book.sessions),
        model: sessionsExpected(model.sessions),
      })
    }
  }

  function conclude(): void {
    for (const { device } of actors) {
      const { sessions } = device.book
      const stored = sessions.flatMap((session) => writer.stored(session) ?? [])
      story.atTheEnd.push({ hub: sessionsTold(sessions), store: sessionsTold(stored) })
    }
    story.leftOver = {
      heldPoints: credit.heldPoints,
      openWindows: credit.openWindows,
      backlogPoints: backlog.points,
      backlogFrames: backlog.frames,
      pendingFrames: actors.reduce((sum, { device }) => sum + device.pendingFrames, 0),
      pendingPoints: actors.reduce((sum, { device }) => sum + device.pendingPoints, 0),
    }
  }
}

function newActor(id: number, liveAgeMs: number): Actor {
  const model = createModel({ gapMs: GAP_MS, idleMs: IDLE_MS, liveAgeMs })
  return {
    device: newDevice({ id }),
    model,
    twins: new Map(),
    connection: null,
    momentsMs: [NOW_MS - HOUR_MS],
  }
}

function note(lists: Map<number, object[]>, entry: BacklogEntry<Connection>): void {
  const list = lists.get(entry.device.id)
  if (list === undefined) lists.set(entry.device.id, [entry])
  else list.push(entry)
}
