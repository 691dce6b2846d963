/**
 * Devices and one viewer in this process: frames leave at moments that were fixed beforehand, whatever the server
 * does, and every latency counts from the moment its frame was due.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { build, type Histogram } from 'hdr-histogram-js'
import { readToViewer } from '../../src/client/frames.ts'
import { TYPE } from '../../src/protocol/messages.ts'
import { monotonicMs } from '../clock.ts'
import { DIALECTS, type DialectName } from './dialects.ts'
import { type DeviceLink, openDeviceLink, openViewerLink } from './links.ts'
import { paced } from './paced.ts'
import { openPeerLink } from './peerLink.ts'
import { type Course, catchUp, encodeAsLive, encodePoints, nextPoints, startCourse } from './points.ts'
import { framed } from './webSocket.ts'

export interface OpenLoopOptions {
  port: number
  user: { token: string; deviceKeys: readonly string[] }
  sends: 'points' | 'live'
  /** How a peer is spoken to; a peer that does not acknowledge has no times for it. */
  dialect?: DialectName
  /** Frames per second of all devices together. */
  rate: number
  seconds: number
  /** Called once everybody is connected and everything encoded: what is to go on beside it may begin. */
  begin?: () => Promise<unknown>
}

/** Microseconds; `Look`: whatever is looked at as the first frame becomes due and when the last one has left. */
export interface Latencies<Look = void> {
  viewer: Histogram
  ack: Histogram
  /** How long after its moment each frame was sent. */
  sendLate: Histogram
  /** Frames of which the ACK or the viewer's frame did not come. */
  missing: number
  before: Look
  after: Look
  /** Between the two looks. */
  tookMs: number
}

interface Sender {
  link: DeviceLink
  course: Course
  seq: number
  /** Encoded beforehand, with the moment of the point in each. */
  frames: { message: Buffer; recordedMs: number }[]
  /** When the frame with each seq was due, until it is acknowledged, oldest first. */
  unacknowledged: { seq: number; dueMs: number }[]
  /** The same by the moment of its point, until the viewer has it. */
  unseen: Map<number, number>
}

/** From the last connection to the moment at which the first frame is due. */
const LEAD_MS = 100
const DRAIN_MS = 3_000
const CHECK_MS = 20
/** By device key: a moment of a device names one point for ever. */
const courses = new Map<string, Course>()

/** Rejects when a connection is lost or the server complains. */
export async function measureLatency<Look>(
  options: OpenLoopOptions,
  look: () => Promise<Look>,
): Promise<Latencies<Look>> {
  const { port, user, sends, dialect, rate, seconds } = options
  const latencies = { viewer: histogram(), ack: histogram(), sendLate: histogram() }
  const acknowledges = dialect === undefined || DIALECTS[dialect].acknowledges
  let trouble: string | null = null
  const onTrouble = (reason: string) => {
    trouble ??= reason
  }
  const viewer =
    dialect === undefined
      ? await openViewerLink({ port, token: user.token, onLive, onTrouble })
      : await openPeerLink({ port, dialect, role: 'viewer', onDelivered: onLive, onTrouble })
  const frames = Math.floor(rate * seconds)
  const senders = await Promise.all(user.deviceKeys.map(connect))
  const byId = new Map(senders.map((sender) => [sender.link.deviceId, sender]))
  const before = await look()
  await options.begin?.()
  const startMs = monotonicMs()
  await paced({ count: frames, perSecond: rate, startMs: startMs + LEAD_MS }, (index, dueMs) =>
    send(senders[index % senders.length]!, dueMs),
  )
  const after = await look()
  const tookMs = monotonicMs() - startMs
  const left = () =>
    senders.reduce((sum, { unacknowledged, unseen }) => sum + unacknowledged.length + unseen.size, 0)
  const drainedMs = monotonicMs() + DRAIN_MS
  while (left() > 0 && monotonicMs() < drainedMs) await sleep(CHECK_MS)
  if (trouble !== null) throw new Error(trouble)
  for (const link of [viewer, ...senders.map((sender) => sender.link)]) link.end()
  return { ...latencies, missing: left(), before, after, tookMs }

  async function connect(deviceKey: string, place: number): Promise<Sender> {
    const course = courses.get(deviceKey) ?? startCourse(place, Date.now())
    catchUp(course, Date.now())
    courses.set(deviceKey, course)
    const onAck = (seq: number) => acknowledged(sender, seq)
    const link =
      dialect === undefined
        ? await openDeviceLink({ port, deviceKey, onAck, onTrouble })
        : {
            ...(await openPeerLink({ port, dialect, role: 'device', place, onAck, onTrouble })),
            deviceId: place + 1,
            windowPoints: Number.POSITIVE_INFINITY,
          }
    const sender: Sender = { link, course, seq: 0, frames: [], unacknowledged: [], unseen: new Map() }
    encode(sender, Math.ceil(frames / user.deviceKeys.length))
    return sender
  }

  function encode({ link, course, frames: into }: Sender, count: number): void {
    for (let seq = 1; seq <= count; seq++) {
      const values = nextPoints(course, 1)
      const payload =
        sends === 'points'
          ? encodePoints(seq, course.sessionMs, values)
          : encodeAsLive(link.deviceId, seq, course.sessionMs, values)
      const message =
        dialect === undefined ? framed(payload) : DIALECTS[dialect].publish(payload, seq, course.place)
      into.push({ message, recordedMs: values[0]! })
    }
  }

  function send(sender: Sender, dueMs: number): void {
    const { link, frames, unacknowledged, unseen } = sender
    const { message, recordedMs } = frames[sender.seq]!
    sender.seq += 1
    if (acknowledges) unacknowledged.push({ seq: sender.seq, dueMs })
    unseen.set(recordedMs, dueMs)
    link.write(message)
    record(latencies.sendLate, dueMs, monotonicMs())
  }

  function acknowledged({ unacknowledged }: Sender, seq: number): void {
    const nowMs = monotonicMs()
    while (unacknowledged[0] !== undefined && unacknowledged[0].seq <= seq) {
      record(latencies.ack, unacknowledged.shift()!.dueMs, nowMs)
    }
  }

  function onLive(bytes: Buffer, from: number, to: number): void {
    const nowMs = monotonicMs()
    const frame = readToViewer(bytes.subarray(from, to))
    if (frame.type !== TYPE.live) return onTrouble('a LIVE frame that is none')
    const unseen = byId.get(frame.deviceId)?.unseen
    const recordedMs = frame.values[0]!
    const dueMs = unseen?.get(recordedMs)
    if (dueMs === undefined) return onTrouble('a LIVE frame that nobody sent')
    unseen!.delete(recordedMs)
    record(latencies.viewer, dueMs, nowMs)
  }
}

/** Three digits of whatever comes, up to a minute. */
function histogram(): Histogram {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
  })
}

function record(into: Histogram, dueMs: number, nowMs: number): void {
  into.recordValue(Math.max(1, Math.round((nowMs - dueMs) * 1_000)))
}

/** Milliseconds below which the share `q` lies. */
export function quantileMs(of: Histogram, q: number): number {
  return of.getValueAtPercentile(q * 100) / 1_000
}
