/**
 * The load of a benchmark, in a process of its own: devices that send frames, encoded beforehand, as fast as their
 * window allows, and where viewers are asked for, as fast as those see them. Once everything is acknowledged it
 * says when the first frame left and when the last answer came.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { serveTasks } from '../children.ts'
import { cpuMs, monotonicMs } from '../clock.ts'
import { DIALECTS, type DialectName } from './dialects.ts'
import { type DeviceLink, type DeviceLinkOptions, openDeviceLink, openViewerLink } from './links.ts'
import { paced } from './paced.ts'
import { openPeerLink } from './peerLink.ts'
import { type Course, catchUp, encodeAsLive, encodePoints, nextPoints, startCourse } from './points.ts'
import { type BenchSocket, framed } from './webSocket.ts'

export type GeneratorTasks = typeof tasks

interface Sender {
  link: DeviceLink
  course: Course
  /** Seq of the last frame that was encoded, sent, acknowledged. */
  encoded: number
  sent: number
  acknowledged: number
  /** What `prepare` encoded: the messages in a row, and where each begins; the first has the seq `firstSeq`. */
  messages: Buffer
  starts: number[]
  firstSeq: number
}

interface Sent {
  firstSendMs: number
  lastAckMs: number
  /** LIVE frames that the viewers in here got, and when the last one came. */
  seen: number
  lastSeenMs: number
  /** Processor time of this process in between. */
  cpuMs: number
}

const CONNECTING_MAX = 200
const PATIENCE_MS = 60_000
/** When the viewers in here have seen nothing for so long, they will see nothing more. */
const QUIET_MS = 1_000
const CHECK_MS = 5

/** A device goes on from where it stopped on an earlier connection: a moment of it names one point for ever. */
const courses = new Map<string, Course>()
const senders: Sender[] = []
let viewers: BenchSocket[] = []
/** How a peer is spoken to; null is alzy's own protocol. */
let dialect: DialectName | null = null
let windowFrames = 0
/** How many frames of each device may have left and not been seen, and what was seen in this round. */
let unseenFramesMax = 0
let seen = 0
let lastSeenMs = 0
let isSending = false
let isPaced = false
let finish: (lastAckMs: number) => void = () => {}
let giveUp: (fault: Error) => void = () => {}

const tasks = { connect, prepare, send, disconnect }
serveTasks(tasks)

/** `firstPlace` tells the devices of several generators apart; `tokens` are those of viewers, each of its own devices. */
async function connect(input: {
  port: number
  deviceKeys: string[]
  firstPlace: number
  tokens?: readonly string[]
  dialect?: DialectName | null
  /** So old are the points, as after an outage. */
  ageMs?: number
}): Promise<void> {
  const { port, deviceKeys, firstPlace, tokens = [], ageMs = 0 } = input
  dialect = input.dialect ?? null
  const onTrouble = (reason: string) => giveUp(new Error(reason))
  for (const token of tokens) {
    viewers.push(
      dialect === null
        ? await openViewerLink({ port, token, onLive: see, onTrouble })
        : await openPeerLink({ port, dialect, role: 'viewer', onDelivered: see, onTrouble }),
    )
  }
  // A whole crowd at once would not find a place in the queue of the listening socket.
  for (let first = 0; first < deviceKeys.length; first += CONNECTING_MAX) {
    const some = deviceKeys.slice(first, first + CONNECTING_MAX)
    await Promise.all(some.map((deviceKey, i) => join(deviceKey, firstPlace + first + i)))
  }

  async function join(deviceKey: string, place: number): Promise<void> {
    const course = courses.get(deviceKey) ?? startCourse(place, Date.now() - ageMs)
    catchUp(course, Date.now() - ageMs)
    courses.set(deviceKey, course)
    const onAck = (seq: number) => acknowledge(sender, seq)
    const link = await openLink({ port, deviceKey, onAck, onTrouble }, place)
    const sender: Sender = {
      link,
      course,
      encoded: 0,
      sent: 0,
      acknowledged: 0,
      messages: Buffer.alloc(0),
      starts: [],
      firstSeq: 1,
    }
    senders.push(sender)
  }
}

async function openLink(options: DeviceLinkOptions, place: number): Promise<DeviceLink> {
  if (dialect === null) return openDeviceLink(options)
  const socket = await openPeerLink({ ...options, dialect, role: 'device', place })
  return { ...socket, deviceId: senders.length + 1, windowPoints: Number.POSITIVE_INFINITY }
}

/** Encodes what `send` will send. */
async function prepare(input: {
  framesPerDevice: number
  pointsPerFrame: number
  as: 'points' | 'live'
}): Promise<void> {
  const { framesPerDevice, pointsPerFrame, as } = input
  for (const sender of senders) {
    const { link, course } = sender
    const messages: Buffer[] = []
    sender.starts = [0]
    sender.firstSeq = sender.encoded + 1
    for (let i = 0; i < framesPerDevice; i++) {
      sender.encoded += 1
      const values = nextPoints(course, pointsPerFrame)
      const payload =
        as === 'points'
          ? encodePoints(sender.encoded, course.sessionMs, values)
          : encodeAsLive(link.deviceId, sender.encoded, course.sessionMs, values)
      const message =
        dialect === null ? framed(payload) : DIALECTS[dialect].publish(payload, sender.encoded, course.place)
      messages.push(message)
      sender.starts.push(sender.starts.at(-1)! + message.length)
    }
    sender.messages = Buffer.concat(messages)
  }
}

/**
 * Sends everything that is prepared. `windowPoints` narrows the window that the server grants; `unseenFramesMax`
 * holds a device back while the viewers in here are so many frames of it behind. With `framesPerSecond` one device
 * after the other sends a frame when it is due, whatever was answered.
 */
async function send(input: {
  pointsPerFrame: number
  windowPoints: number
  unseenFramesMax?: number
  framesPerSecond?: number
}): Promise<Sent> {
  const granted = Math.min(...senders.map(({ link }) => link.windowPoints))
  windowFrames = Math.floor(Math.min(granted, input.windowPoints) / input.pointsPerFrame)
  if (windowFrames === 0) throw new Error(`a frame of ${input.pointsPerFrame} points exceeds the window`)
  unseenFramesMax = input.unseenFramesMax ?? Number.POSITIVE_INFINITY
  seen = 0
  const done = new Promise<number>((resolve, reject) => {
    finish = resolve
    giveUp = reject
  })
  const late = sleep(PATIENCE_MS, undefined, { ref: false }).then(() => {
    throw new Error(`not everything was acknowledged within ${PATIENCE_MS} ms; ${seen} frames were seen live`)
  })
  const startedCpuMs = cpuMs()
  const firstSendMs = monotonicMs()
  isPaced = input.framesPerSecond !== undefined
  if (input.framesPerSecond === undefined) sendAll()
  else await Promise.race([sendPaced(input.framesPerSecond), done, late])
  const lastAckMs = await Promise.race([done, late])
  if (viewers.length > 0) await Promise.race([untilSeen(), late])
  return { firstSendMs, lastAckMs, seen, lastSeenMs, cpuMs: cpuMs() - startedCpuMs }
}

/** An answer may overtake what a viewer in here is still to see. */
async function untilSeen(): Promise<void> {
  const expected = senders.reduce((sum, { encoded, firstSeq }) => sum + encoded - firstSeq + 1, 0)
  const startedMs = monotonicMs()
  while (seen < expected && monotonicMs() - Math.max(startedMs, lastSeenMs) < QUIET_MS) await sleep(CHECK_MS)
}

async function disconnect(): Promise<void> {
  giveUp = () => {}
  for (const { link } of senders.splice(0)) link.end()
  for (const viewer of viewers) viewer.end()
  viewers = []
}

function acknowledge(sender: Sender, seq: number): void {
  sender.acknowledged = seq
  sendSoon()
  if (seq < sender.encoded) return
  if (senders.every(({ acknowledged, encoded }) => acknowledged === encoded)) finish(monotonicMs())
}

function see(): void {
  seen += 1
  lastSeenMs = monotonicMs()
  sendSoon()
}

/** Many answers come together, and only where they leave things matters. */
function sendSoon(): void {
  if (isPaced || isSending) return
  isSending = true
  queueMicrotask(sendAll)
}

function sendAll(): void {
  isSending = false
  for (const sender of senders) fill(sender)
}

/** Of each device the next frame in turn, each in a write of its own, so many a second. */
function sendPaced(framesPerSecond: number): Promise<void> {
  const count = senders.reduce((sum, { encoded, sent }) => sum + encoded - sent, 0)
  // Of each the same number was prepared.
  return paced({ count, perSecond: framesPerSecond }, (index) => {
    const sender = senders[index % senders.length]!
    write(sender, sender.sent + 1)
  })
}

/** As much as may be in flight, in one write. */
function fill(sender: Sender): void {
  const { firstSeq } = sender
  // Each device is seen once in here, and in turn, so what was seen is of each the same share.
  const seenUntil = firstSeq - 1 + Math.ceil(seen / senders.length)
  const until = Math.min(sender.encoded, sender.acknowledged + windowFrames, seenUntil + unseenFramesMax)
  if (until > sender.sent) write(sender, until)
}

/** Every frame up to the one with that seq, in one write. */
function write(sender: Sender, until: number): void {
  const { link, messages, starts, firstSeq } = sender
  link.write(messages.subarray(starts[sender.sent + 1 - firstSeq], starts[until + 1 - firstSeq]))
  sender.sent = until
  if (dialect !== null && !DIALECTS[dialect].acknowledges) acknowledge(sender, until)
}
