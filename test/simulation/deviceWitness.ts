/**
 * Sees everything between devices and a hub, and holds it against what must always be so: D4, D6, D8 of PROTOCOL.md and
 * the bound of the credit. It decides by what went over the links and what lies in the tables, never by the core's word.
 */
import type { BacklogEntry, Stored } from '../../src/core/backlog.ts'
import type { Inlet } from '../../src/ingest/intake.ts'
import type { DeviceSource } from '../../src/sockets/deviceSource.ts'
import * as t from '../rig/points.ts'
import type { Item, Sent } from './device.ts'
import type { Limits } from './limits.ts'
import type { Link } from './network.ts'
import type { Sometimes } from './sometimes.ts'
import {
  AHEAD_MS,
  type DeviceTable,
  isPoisonStart,
  POISON_ACCURACY,
  type PointRow,
  type SessionRow,
  type Tables,
} from './tables.ts'
import type { Frame } from './wire.ts'

/** A frame that the hub has taken. */
interface Taken extends Sent {
  /** By index, as the hub said at once. */
  reasons: Map<number, number>
}

interface Line {
  link: Link
  deviceId: number
  keyHash: string
  sent: Map<number, Sent>
  taken: Taken[]
  takenSeq: number
  takenCost: number
  doneCost: number
  /** In all since WELCOME; 0 before it. */
  granted: number
  ackedSeq: number
  ackedCost: number
  windowBefore: number
  /** `seq index` of what ACKs listed. */
  listed: Map<string, number>
  isBroken: boolean
  /** What RATE said last. */
  isWatched: boolean | null
}

/** Devices come by sockets here, and by nothing else. */
const peerOf = ({ source }: Inlet) => (source as DeviceSource).peer

export type Fail = (what: string) => void

const DAY_MS = 24 * 3_600_000
const LAT_MAX = 900_000_000
const [COORDINATE, FUTURE, DATABASE] = [1, 2, 5]
const END = 3
/** What an op makes of a session that has not ended. */
const STATUS = ['active', 'paused', 'active', 'ended'] as const

export type DeviceWitness = ReturnType<typeof createDeviceWitness>

export interface DeviceWitnessOptions {
  limits: Limits
  tables: Tables
  sometimes: Sometimes
  fail: Fail
  /** Whether the hub must know by now that it is withdrawn. */
  isOverdue: (what: string) => boolean
  /** Somebody with this right is let in. */
  noteWelcome: (what: string) => void
  hubNow: () => number
}

export function createDeviceWitness(options: DeviceWitnessOptions) {
  const { limits, tables, sometimes, fail, isOverdue, noteWelcome, hubNow } = options
  const lines = new Map<number, Line>()
  /** Lines that may still hold credit, of the hub that runs. */
  let holding = new Set<Line>()
  const byPeer = new Map<unknown, Line>()
  /** Frames of each device in the order in which the hub took them. */
  let waiting = new Map<number, BacklogEntry<Inlet>[]>()
  /** Devices that have named a session that the store refuses: any point of theirs may belong to it. */
  const poisonStarts = new Map<number, boolean>()
  /** Every content that was ever sent for a point, by device and moment. */
  const contents = new Map<number, Map<number, Item[]>>()
  /** Moments of points that came when they were not ahead of the hub's clock, or no more, by device. */
  const timely = new Map<number, Set<number>>()
  /** Rows of each device that the database has refused, in all. */
  const refusedRows = new Map<number, number>()
  /** When the newest point that this hub knows to be stored was received: it has been so late, whatever its clock says. */
  let latestMs = 0
  const heardMs = new Map<number, number>()
  let acknowledged = 0
  return {
    begin,
    opened,
    onSent,
    onInsert,
    onOffer,
    onStored,
    onSend,
    onEnd,
    onLost: () => {},
    breaks: (number: number) => {
      lines.get(number)!.isBroken = true
    },
    check,
    hasContent,
    latest,
    wasTimely: (deviceId: number, atMs: number) => timely.get(deviceId)?.has(atMs) ?? false,
    isTaken: (deviceId: number, atMs: number) => contents.get(deviceId)?.has(atMs) ?? false,
    /** Whether a socket of it is welcome at the hub. */
    isOnline: (deviceId: number) => welcomeOf(deviceId) !== undefined,
    /** What the device was told last of whether it is watched; undefined: it is not online. */
    toldWatched: (deviceId: number) => welcomeOf(deviceId)?.isWatched,
    /** When the hub that runs has heard of the device last, by its clock. */
    heardMs: (deviceId: number) => heardMs.get(deviceId) ?? null,
    deviceGone,
    get latestMs() {
      return latestMs
    },
    hasPoisonSession: (deviceId: number) => poisonStarts.has(deviceId),
    get acknowledged() {
      return acknowledged
    },
  }

  function welcomeOf(deviceId: number): Line | undefined {
    return [...lines.values()].find(
      (line) => line.deviceId === deviceId && line.link.isOpen && line.granted > 0,
    )
  }

  /** The hub was told: it is closed by now. */
  function deviceGone(deviceId: number): void {
    if (welcomeOf(deviceId) !== undefined) fail(`device ${deviceId}: connected when it was withdrawn`)
  }

  /** Another hub: what the one before had taken is gone, unless it is stored. */
  function begin(): void {
    heardMs.clear()
    holding = new Set()
    waiting = new Map()
    latestMs = tables.newestReceivedMs ?? 0
  }

  function opened(link: Link, deviceId: number, keyHash: string): void {
    const line = {
      link,
      deviceId,
      keyHash,
      sent: new Map(),
      taken: [],
      takenSeq: 0,
      takenCost: 0,
      doneCost: 0,
      granted: 0,
      ackedSeq: 0,
      ackedCost: 0,
      windowBefore: 0,
      listed: new Map(),
      isBroken: false,
      isWatched: null,
    }
    lines.set(link.number, line)
    byPeer.set(link.peer, line)
  }

  function onSent(link: Link, sent: Sent): void {
    const line = lines.get(link.number)!
    line.sent.set(sent.seq, sent)
    for (const item of sent.items) {
      const { op, sessionMs } = item
      if (op === null) noteContent(line.deviceId, item)
      if (sessionMs !== null && isPoisonStart(sessionMs)) poisonStarts.set(line.deviceId, true)
    }
  }

  function noteContent(deviceId: number, item: Item): void {
    const ofDevice = contents.get(deviceId) ?? new Map<number, Item[]>()
    contents.set(deviceId, ofDevice)
    const known = ofDevice.get(item.atMs)
    if (known === undefined) ofDevice.set(item.atMs, [item])
    else if (!known.includes(item)) known.push(item)
  }

  function hasContent(deviceId: number, atMs: number, lat: number): boolean {
    return (
      contents
        .get(deviceId)
        ?.get(atMs)
        ?.some(({ values }) => values[0] === lat) ?? false
    )
  }

  /** The newest moment of a point that was ever sent, up to one. */
  function latest(deviceId: number, untilMs: number): number {
    let latestMs = 0
    for (const atMs of contents.get(deviceId)?.keys() ?? [])
      if (atMs <= untilMs && atMs > latestMs) latestMs = atMs
    return latestMs
  }

  function onInsert({ id }: DeviceTable, row: PointRow): void {
    const known = contents.get(id)?.get(row.recordedMs) ?? []
    const sent = known.filter(({ values }) => values.every((value, i) => row.values[i] === value))
    if (sent.length === 0) fail(`device ${id}: stored what nobody sent at ${row.recordedMs}`)
    if (known.length > sent.length) sometimes.note('other content for a stored point')
    const session = tables.sessions.get(row.sessionId)
    if (session?.deviceId !== id) return fail(`device ${id}: a point in a session of somebody else`)
    const belongs = sent.some(({ sessionMs }) => mayBeIn(session, sessionMs, row.recordedMs))
    if (!belongs) fail(`device ${id}: ${row.recordedMs} in a session that it was not sent for`)
  }

  /** A point that names its session is in no other; one that names none is in one that was made up, or had begun (D3). */
  function mayBeIn(session: SessionRow, sessionMs: number | null, atMs: number): boolean {
    if (sessionMs !== null) return session.starts.has(sessionMs)
    return tables.automatic.has(session.id) || session.startedMs <= atMs
  }

  function onOffer(entry: BacklogEntry<Inlet>): void {
    const { device, owner, seq, cost } = entry
    const queue = waiting.get(device.id)
    if (queue === undefined) waiting.set(device.id, [entry])
    else queue.push(entry)
    if (owner === null) return sometimes.note('session ended by the sweep')
    const line = byPeer.get(peerOf(owner))!
    heardMs.set(device.id, entry.receivedMs)
    const sent = line.sent.get(seq)
    if (sent === undefined) return fail(`device ${device.id}: took frame ${seq}, which was never sent`)
    if (cost !== sent.items.length) fail(`device ${device.id}: frame ${seq} costs ${cost}`)
    if (seq <= line.takenSeq) fail(`device ${device.id}: took frame ${seq} after ${line.takenSeq}`)
    line.takenSeq = seq
    line.takenCost += cost
    if (line.takenCost > line.granted) fail(`device ${device.id}: took more than it had granted`)
    const reasons = new Map(entry.kept.rejected.map(([, index, reason]) => [index, reason]))
    const expected = reasonsOf(sent, entry.receivedMs)
    const isSame =
      reasons.size === expected.size && [...expected].every(([i, reason]) => reasons.get(i) === reason)
    if (!isSame) fail(`device ${device.id}: frame ${seq} rejected as ${[...reasons]}, not ${[...expected]}`)
    noteTimely(device.id, sent, entry.receivedMs)
    line.taken.push({ ...sent, reasons })
    holding.add(line)
  }

  function noteTimely(deviceId: number, { items }: Sent, nowMs: number): void {
    const ofDevice = timely.get(deviceId) ?? new Set<number>()
    timely.set(deviceId, ofDevice)
    for (const { op, atMs } of items) if (op === null && atMs <= nowMs + AHEAD_MS) ofDevice.add(atMs)
  }

  function reasonsOf({ items }: Sent, nowMs: number): Map<number, number> {
    const reasons = new Map<number, number>()
    const [first] = items
    const isFuture = (ms: number | null) => ms !== null && ms > Math.max(nowMs, latestMs) + DAY_MS
    if (isFuture(first!.sessionMs) || (first!.op !== null && isFuture(first!.atMs))) {
      sometimes.note('frame rejected for its session')
      return reasons.set(-1, FUTURE)
    }
    if (first!.op !== null) return reasons
    items.forEach(({ atMs, values }, i) => {
      if (values[0]! > LAT_MAX) {
        sometimes.note('point rejected for its coordinate')
        reasons.set(i, COORDINATE)
      } else if (isFuture(atMs)) {
        sometimes.note('point rejected for the future')
        reasons.set(i, FUTURE)
      } else if (atMs > nowMs + AHEAD_MS) sometimes.note('point ahead of the clock')
    })
    return reasons
  }

  function onStored(batch: Stored<Inlet>): void {
    for (const entry of batch.entries) {
      const first = waiting.get(entry.device.id)?.shift()
      if (first !== entry) fail(`device ${entry.device.id}: frames are not stored in the order they came`)
      if (entry.owner !== null) byPeer.get(peerOf(entry.owner))!.doneCost += entry.cost
      latestMs = Math.max(latestMs, entry.receivedMs)
    }
    for (const [id, rows] of batch.refused) refusedRows.set(id, (refusedRows.get(id) ?? 0) + rows)
    const refused = [...batch.refused.values()].reduce((sum, rows) => sum + rows, 0)
    if (refused > 0) sometimes.note('points refused by the database', refused)
    if (refused > 0 && batch.rows > 1) sometimes.note('batch of several rows bisected')
    if (batch.inserted + refused < batch.rows) sometimes.note('rows tried again that were stored')
  }

  function onSend(number: number, frame: Frame): void {
    const line = lines.get(number)!
    if (frame[0] === t.WELCOME) {
      for (const what of rightsOf(line)) noteWelcome(what)
      heardMs.set(line.deviceId, hubNow())
      if (!line.link.isAdmitted) fail(`device ${line.deviceId}: welcome, and still waiting at the door`)
      line.granted = frame[2] as number
      line.windowBefore = line.granted
      holding.add(line)
      if (line.granted < limits.batchPointsMax) fail(`device ${line.deviceId}: a window below a frame`)
    }
    if (frame[0] === t.ACK) onAck(line, frame)
    if (frame[0] === t.RATE) line.isWatched = frame[2] as boolean
  }

  function onAck(line: Line, frame: Frame): void {
    const [seq, windowPoints] = [frame[1] as number, frame[2] as number]
    for (const [of, index, reason] of (frame[3] ?? []) as [number, number, number][]) {
      line.listed.set(`${of} ${index}`, reason)
      judgeRejection(line, of, index, reason)
    }
    if (seq < line.ackedSeq) fail(`device ${line.deviceId}: ACK ${seq} after ${line.ackedSeq}`)
    line.ackedSeq = seq
    while (line.taken.length > 0 && line.taken[0]!.seq <= seq) {
      const taken = line.taken.shift()!
      line.ackedCost += taken.items.length
      for (const [i, item] of taken.items.entries()) judgeAck(line, taken, item, i)
    }
    if (line.ackedCost > line.doneCost) fail(`device ${line.deviceId}: acknowledged what is not done`)
    const granted = line.ackedCost + windowPoints
    if (granted < line.granted) fail(`device ${line.deviceId}: the window takes back what was granted`)
    if (windowPoints < limits.batchPointsMax) fail(`device ${line.deviceId}: a window below a frame`)
    if (windowPoints > limits.windowPointsMax) fail(`device ${line.deviceId}: a window above the limit`)
    line.granted = Math.max(line.granted, granted)
  }

  function judgeRejection(line: Line, seq: number, index: number, reason: number): void {
    const taken = line.taken.find((one) => one.seq === seq)
    if (taken === undefined)
      return fail(`device ${line.deviceId}: rejects something of frame ${seq}, not in flight`)
    if (taken.reasons.get(index) === reason) return
    const items = index < 0 ? taken.items : taken.items.slice(index, index + 1)
    const mayRefuse = items.length > 0 && items.every((item) => isPoison(line.deviceId, item))
    if (reason !== DATABASE || !mayRefuse) {
      fail(`device ${line.deviceId}: frame ${seq} index ${index} rejected with ${reason} for nothing`)
    }
    if (items[0]!.values[2] !== POISON_ACCURACY) sometimes.note('session refused by the database')
  }

  function isPoison(deviceId: number, { values, sessionMs, op }: Item): boolean {
    if (op === null && values[2] === POISON_ACCURACY) return true
    if (sessionMs !== null) return isPoisonStart(sessionMs)
    // It may belong to a session that its device had named.
    return poisonStarts.get(deviceId) === true
  }

  function judgeAck(line: Line, taken: Taken, item: Item, index: number): void {
    const { deviceId } = line
    const isListed = line.listed.has(`${taken.seq} ${index}`) || line.listed.has(`${taken.seq} -1`)
    const mustBeListed = taken.reasons.has(index) || taken.reasons.has(-1)
    if (mustBeListed && !isListed) fail(`device ${deviceId}: frame ${taken.seq} index ${index} is not listed`)
    if (isListed) return
    acknowledged += 1
    if (item.op === null) {
      if (!tables.devices.get(deviceId)!.points.has(item.atMs)) {
        fail(`device ${deviceId}: acknowledged ${item.atMs}, which is not stored`)
      }
    } else if (!hasOp(deviceId, item))
      fail(`device ${deviceId}: acknowledged op ${item.op}, which is not stored`)
  }

  /** The op that decides is this one or a later one, and *ended* is final (D2). */
  function hasOp(deviceId: number, { op, atMs, sessionMs }: Item): boolean {
    const opUs = atMs * 1000 + op!
    for (const row of tables.sessions.values()) {
      // One that the hub had made up may have moved to an earlier start in the very moment that it was claimed.
      if (row.deviceId !== deviceId || !row.starts.has(sessionMs!)) continue
      if (row.status === 'ended') {
        if (op === END) sometimes.note('session ended by its device')
        return true
      }
      if (row.statusUs === opUs && row.status === STATUS[op!]) {
        if (row.status === 'paused') sometimes.note('session paused')
        return true
      }
      if (row.statusUs > opUs) return true
    }
    return false
  }

  function onEnd(number: number, code: number): void {
    const line = lines.get(number)!
    if (code === 4429 && !line.isBroken && !refusesMuch(line.deviceId)) {
      fail(`device ${line.deviceId}: closed 4429 for nothing`)
    }
    if (code === 4429 && !line.isBroken) sometimes.note('device closed for refused rows')
    if (code === 4429 && line.isBroken) sometimes.note('window exceeded')
    if (code === 4503 && line.granted > 0) sometimes.note('welcome device refused')
    if (code === 4400 && !line.isBroken) fail(`device ${line.deviceId}: closed 4400 for nothing`)
    if (code === 4400) sometimes.note('seq went backwards')
    if (code === 4409) {
      sometimes.note('takeover')
      if (line.takenCost > line.doneCost) sometimes.note('takeover with frames in flight')
    }
    if (code === 1013 && line.granted > 0) sometimes.note('device does not read')
    if (code === 4500 || code === 1011) fail(`device ${line.deviceId}: closed ${code}`)
  }

  function refusesMuch(deviceId: number): boolean {
    return (refusedRows.get(deviceId) ?? 0) > limits.refusedRowsPerHourMax
  }

  /** Whoever is welcome has what it needs, or had it until a moment ago (V6), and knows whether somebody watches. */
  function judgeWelcome(line: Line): void {
    if (line.isWatched === null) fail(`device ${line.deviceId}: welcome, and not told whether it is watched`)
    for (const what of rightsOf(line))
      if (isOverdue(what))
        fail(`device ${line.deviceId}: connected long after its right was withdrawn (${what})`)
  }

  function rightsOf({ deviceId, keyHash }: Line): string[] {
    return [`device ${deviceId}`, `key ${keyHash}`, `active ${tables.devices.get(deviceId)!.userId}`]
  }

  /** After each step: what devices may have in flight stays below the bound of the backlog (D6). */
  function check(): void {
    let held = 0
    for (const line of holding) {
      const { link, granted, takenCost, doneCost } = line
      if (link.isOpen && granted > 0) judgeWelcome(line)
      if (!link.isOpen && takenCost === doneCost) holding.delete(line)
      else held += Math.max(link.isOpen ? granted : takenCost, takenCost) - doneCost
    }
    if (held > limits.backlogPointsMax) fail(`${held} points are granted, of ${limits.backlogPointsMax}`)
  }
}
