/**
 * A device made from PROTOCOL.md alone, for tests that break things: it records, sends within its window, follows
 * PAUSE and GOAWAY, reconnects, sends again whatever was not acknowledged, and keeps a ledger of all of it. It shares
 * no code with src/client, so that a mistake there is not made here as well.
 */
import type { Chance } from './chance.ts'
import { createLedger, type Note, type Op, type Values } from './ledger.ts'
import { type Frame, openPlainSocket, type PlainSocket } from './plainSocket.ts'
import { ACK, GOAWAY, HELLO, PAUSE, POINTS, SESSION, WELCOME } from './points.ts'

export interface VirtualDeviceOptions {
  id: number
  deviceKey: string
  /** Where the hub is, each time it connects. */
  url: () => string
  chance: Chance
  /** How long it waits after it recorded a frame, and how many points it puts into one. */
  pace?: { everyMs: readonly [number, number]; points: readonly [number, number] }
  /** Records so many points for each that is acknowledged, besides its pace: with two, more than any hub can take. */
  recordedPerAcknowledged?: number
  /** The 30 s of D5. */
  silenceMs?: number
  /** The waits between connections are the protocol's, only shorter. */
  reconnect?: { baseMs: number; capMs: number; replacedMs: number }
  /** Makes some points of a frame such that the hub has to reject them, and says the reason. */
  poison?: (chance: Chance) => { values: Values; reason: number } | null
  /** Why the hub has to reject whatever is of this time. */
  refusalOf?: (ms: number) => number | null
  /** The device's own clock. */
  now?: () => number
}

/** Waits to be sent, or was and is not acknowledged. */
type Item = { notes: Note[]; op: null } | { notes: null; op: Op }
type InFlight = { seq: number; item: Item; cost: number }

export type VirtualDevice = ReturnType<typeof startVirtualDevice>

const WATCH_MS = 100
/** Closes that a device may meet which does as told: a broken line, a hub that ends or has no time, and a successor. */
const BLAMELESS = new Set([1006, 1012, 1013, 4409])
const SESSION_START = 0
const SESSION_END = 3
/** Of the newest point, so that live and late ones are both among them. */
const LATE_MS_MAX = 90_000

export function startVirtualDevice(options: VirtualDeviceOptions) {
  const { chance, now = Date.now, silenceMs = 30_000 } = options
  const pace = options.pace ?? { everyMs: [20, 120], points: [1, 12] }
  const reconnect = options.reconnect ?? { baseMs: 25, capMs: 500, replacedMs: 500 }
  const ledger = createLedger(options.id)
  const counts = { connections: 0, welcomes: 0, acks: 0, pauses: 0, goaways: 0, silences: 0, sentAgain: 0 }
  const closes = new Map<number, number>()
  /** What a device which does as told must never hear: verdicts on it, and what the protocol does not know. */
  const refusals: string[] = []
  const outbox: Item[] = []
  let flight: InFlight[] = []
  let socket: PlainSocket | null = null
  let limits: { windowPoints: number; batchPointsMax: number; heartbeatS: number } | null = null
  let seq = 0
  let failures = 0
  let lastRecordedMs = now() - chance.whole(0, LATE_MS_MAX)
  let sessionMs: number | null = null
  let pausedUntilMs = 0
  let isLeaving = false
  let leaveSpreadMs = 0
  let heardMs = 0
  let answeredMs = 0
  let pings = 0
  let isRecording = true
  let isStopped = false
  let recording: NodeJS.Timeout | undefined
  let connecting: NodeJS.Timeout | undefined
  let wakeUp = () => {}
  let away: Promise<void> = Promise.resolve()
  let comeBack = () => {}
  const watching = setInterval(watch, WATCH_MS)
  recordLater()
  const life = connect()

  return {
    ledger,
    counts: counts as Readonly<typeof counts>,
    closes: closes as ReadonlyMap<number, number>,
    refusals: refusals as readonly string[],
    isWelcome: () => limits !== null,
    /** Everything recorded so far is acknowledged. */
    isSettled: () => outbox.length === 0 && flight.length === 0,
    /** It has something to send and may not: the window is full, or it was told to pause. */
    isHeldBack: () => limits !== null && outbox.length > 0 && !maySend(outbox[0]!),
    pauseRecording,
    goOnRecording,
    /** Ends the connection without a word, as a machine that crashed; it reconnects. */
    crash: () => socket?.terminate(),
    /** The same, and it does not reconnect before it may come back. */
    stayAway,
    comeBack: () => comeBack(),
    stop,
  }

  function recordLater(): void {
    recording = setTimeout(record, chance.whole(...pace.everyMs))
  }

  function record(): void {
    recordFrame()
    pump()
    if (isRecording) recordLater()
  }

  /** Returns how many points it holds. */
  function recordFrame(): number {
    if (chance.yes(0.02)) changeSession()
    const notes = Array.from({ length: chance.whole(...pace.points) }, recordPoint)
    ledger.notes.push(...notes)
    outbox.push({ notes, op: null })
    return notes.length
  }

  function recordAhead(acknowledgedPoints: number): void {
    if (!isRecording) return
    let due = (options.recordedPerAcknowledged ?? 0) * acknowledgedPoints
    while (due > 0) due -= recordFrame()
  }

  function recordPoint(): Note {
    lastRecordedMs = Math.max(lastRecordedMs + chance.whole(1, 40), now() - LATE_MS_MAX)
    const poisoned = options.poison?.(chance) ?? null
    return {
      recordedMs: lastRecordedMs,
      values: poisoned?.values ?? randomValues(chance),
      sessionMs,
      poison: options.refusalOf?.(lastRecordedMs) ?? poisoned?.reason ?? null,
      sent: [],
      acknowledgedMs: null,
      rejection: null,
    }
  }

  function changeSession(): void {
    lastRecordedMs += 1
    if (sessionMs !== null) announce(SESSION_END)
    sessionMs = sessionMs === null ? lastRecordedMs : null
    if (sessionMs !== null && chance.yes(0.5)) announce(SESSION_START)
  }

  function announce(op: number): void {
    const poison = options.refusalOf?.(lastRecordedMs) ?? null
    const noted: Op = {
      sessionMs: sessionMs!,
      op,
      atMs: lastRecordedMs,
      poison,
      acknowledgedMs: null,
      rejection: null,
    }
    ledger.ops.push(noted)
    outbox.push({ notes: null, op: noted })
  }

  async function connect(): Promise<void> {
    while (!isStopped) {
      const { code, wasWelcome } = await connectOnce()
      closes.set(code, (closes.get(code) ?? 0) + 1)
      if (!BLAMELESS.has(code)) refusals.push(`closed with ${code}`)
      failures = wasWelcome ? 0 : failures + 1
      if (!isStopped) await wait(delayAfter(code))
      await away
    }
  }

  async function connectOnce(): Promise<{ code: number; wasWelcome: boolean }> {
    counts.connections += 1
    try {
      const place = `${options.url()}/v1/device`
      socket = await openPlainSocket(place, { subprotocol: 'alzy.device.v1' }, heard, breached)
    } catch {
      return { code: 1006, wasWelcome: false }
    }
    heardMs = performance.now()
    pings = 0
    if (isStopped) socket.terminate()
    else socket.send([HELLO, options.deviceKey, 'virtual device', now()])
    const { code } = await socket.closed
    const wasWelcome = limits !== null
    socket = null
    limits = null
    isLeaving = false
    takeBack()
    return { code, wasWelcome }
  }

  /**
   * Nothing of what was in flight is known to be stored: all of it is sent again, in other frames and another order. Nor is
   * anything of it rejected, if the next connection does not say so as well (D4).
   */
  function takeBack(): void {
    const items = [...flight.map(({ item }) => item), ...outbox.splice(0)]
    flight = []
    const notes = items.flatMap((item) => item.notes ?? []).filter((note) => note.acknowledgedMs === null)
    for (const sent of [...notes, ...items.flatMap(({ op }) => op ?? [])]) sent.rejection = null
    notes.sort((a, b) => a.recordedMs - b.recordedMs)
    const isNewestFirst = chance.yes(0.5)
    const frames: Item[] = []
    while (notes.length > 0) {
      const first = notes[0]!
      const limit = chance.whole(1, 2 * pace.points[1])
      let count = 1
      while (count < limit && notes[count]?.sessionMs === first.sessionMs) count += 1
      frames.push({ notes: notes.splice(0, count), op: null })
    }
    if (isNewestFirst) frames.reverse()
    outbox.push(...items.filter((item) => item.op !== null), ...frames)
  }

  function delayAfter(code: number): number {
    if (code === 4409) return chance.whole(reconnect.replacedMs, 2 * reconnect.replacedMs)
    if (code === 1012) return chance.whole(0, leaveSpreadMs)
    return chance.whole(0, Math.min(reconnect.capMs, reconnect.baseMs * 2 ** Math.min(failures, 10)))
  }

  function heard(frame: Frame): boolean {
    heardMs = performance.now()
    const [type, first, second, third] = frame as [number, ...unknown[]]
    if (type === WELCOME) welcomed(frame as number[])
    else if (type === ACK) acknowledged(first as number, second as number, third as Rejection[] | null)
    else if (type === PAUSE) paused(first as number)
    else if (type === GOAWAY) leaving(second as number)
    pump()
    return true
  }

  function breached({ message }: Error): void {
    refusals.push(`broke the protocol: ${message}`)
  }

  function welcomed([, , windowPoints, batchPointsMax, , , heartbeatS]: number[]): void {
    counts.welcomes += 1
    limits = { windowPoints: windowPoints!, batchPointsMax: batchPointsMax!, heartbeatS: heartbeatS! }
    seq = 0
    pausedUntilMs = 0
    answeredMs = performance.now()
  }

  function acknowledged(upTo: number, windowPoints: number, rejected: Rejection[] | null | undefined): void {
    counts.acks += 1
    limits!.windowPoints = windowPoints
    pausedUntilMs = 0
    answeredMs = performance.now()
    for (const [seqOfFrame, index, reason] of rejected ?? []) reject(seqOfFrame, index, reason)
    const atMs = Date.now()
    let points = 0
    while (flight.length > 0 && flight[0]!.seq <= upTo) {
      const { item } = flight.shift()!
      points += item.notes?.length ?? 0
      for (const note of item.notes ?? []) note.acknowledgedMs ??= atMs
      if (item.op !== null) item.op.acknowledgedMs ??= atMs
    }
    recordAhead(points)
    if (upTo > seq) refusals.push(`ACK of ${upTo} when ${seq} was the last frame`)
  }

  function reject(seqOfFrame: number, index: number, reason: number): void {
    const item = flight.find((one) => one.seq === seqOfFrame)?.item
    if (item === undefined) refusals.push(`rejected ${seqOfFrame} ${index} ${reason}`)
    else if (item.op !== null) item.op.rejection = reason
    else for (const note of index < 0 ? item.notes : [item.notes[index]!]) note.rejection = reason
  }

  function paused(retryAfterMs: number): void {
    counts.pauses += 1
    pausedUntilMs = performance.now() + retryAfterMs
    answeredMs = performance.now()
  }

  function leaving(maxDelayMs: number): void {
    counts.goaways += 1
    isLeaving = true
    leaveSpreadMs = maxDelayMs
  }

  /** Sends what the window allows. */
  function pump(): void {
    while (limits !== null && socket?.isOpen() && outbox.length > 0) {
      const item = outbox[0]!
      if (!maySend(item)) return
      outbox.shift()
      seq += chance.yes(0.1) ? 2 : 1
      if (flight.length === 0) answeredMs = performance.now()
      flight.push({ seq, item, cost: costOf(item) })
      socket.send(item.op === null ? pointsOf(item.notes) : sessionOf(item.op))
    }
  }

  function maySend(item: Item): boolean {
    if (item.notes !== null && (isLeaving || performance.now() < pausedUntilMs)) return false
    const held = flight.reduce((sum, { cost }) => sum + cost, 0)
    return held + costOf(item) <= limits!.windowPoints
  }

  function pointsOf(notes: readonly Note[]): unknown[] {
    const baseMs = notes[0]!.recordedMs
    const atMs = Date.now()
    for (const note of notes) {
      if (note.sent.length > 0) counts.sentAgain += 1
      note.sent.push({ connection: counts.connections, seq, atMs })
    }
    const points = notes.map(({ recordedMs, values }) => [recordedMs - baseMs, ...values])
    return [POINTS, seq, notes[0]!.sessionMs, baseMs, points]
  }

  function sessionOf({ sessionMs: session, op, atMs }: Op): unknown[] {
    return [SESSION, seq, session, op, atMs]
  }

  /** D5 and D11, and the end of a PAUSE. */
  function watch(): void {
    pump()
    if (socket === null) return
    const nowMs = performance.now()
    if (socket.counts.pings > pings) heardMs = nowMs
    pings = socket.counts.pings
    const isDeaf = limits !== null && nowMs - heardMs > 2 * limits.heartbeatS * 1000
    const isUnanswered = flight.length > 0 && nowMs - answeredMs > silenceMs
    const isUnwelcome = limits === null && nowMs - heardMs > silenceMs
    if (!isDeaf && !isUnanswered && !isUnwelcome) return
    counts.silences += 1
    heardMs = nowMs
    socket.terminate()
  }

  function pauseRecording(): void {
    isRecording = false
    clearTimeout(recording)
  }

  function goOnRecording(): void {
    if (isRecording) return
    isRecording = true
    recordLater()
  }

  function stayAway(): void {
    away = new Promise((resolve) => {
      comeBack = resolve
    })
    socket?.terminate()
  }

  async function stop(): Promise<void> {
    pauseRecording()
    isStopped = true
    comeBack()
    clearInterval(watching)
    wake()
    if (socket?.isOpen()) socket.terminate()
    await life
  }

  function wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      wakeUp = resolve
      connecting = setTimeout(resolve, ms)
    })
  }

  function wake(): void {
    clearTimeout(connecting)
    wakeUp()
  }
}

function costOf(item: Item): number {
  return item.notes?.length ?? 1
}

type Rejection = [seq: number, index: number, reason: number]

/** Anything that the protocol allows, the ends of the ranges included. */
function randomValues(chance: Chance): Values {
  const optional = (min: number, max: number) =>
    chance.yes(0.3) ? null : chance.yes(0.05) ? chance.pick([min, max]) : chance.whole(min, max)
  return [
    chance.whole(-900_000_000, 900_000_000),
    chance.whole(-1_800_000_000, 1_800_000_000),
    optional(0, 2 ** 31 - 1),
    optional(0, 2 ** 31 - 1),
    optional(0, 35_999),
    optional(-(2 ** 31 - 1), 2 ** 31 - 1),
    chance.whole(0, 3),
  ]
}
