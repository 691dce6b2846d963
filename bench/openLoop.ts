/**
 * Devices and one viewer in this process: frames leave at moments that were fixed beforehand, whatever the server
 * does, and every latency counts from the moment its frame was due.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { readToViewer } from '../src/client/frames.ts'
import { TYPE } from '../src/protocol/messages.ts'
import { monotonicMs } from './clock.ts'
import { type DeviceLink, openDeviceLink, openViewerLink } from './links.ts'
import { type Course, encodeAsLive, encodePoints, nextPoints, startCourse } from './points.ts'
import { framed } from './webSocket.ts'

export interface OpenLoopOptions {
  port: number
  user: { token: string; deviceKeys: readonly string[] }
  sends: 'points' | 'live'
  /** Frames per second of all devices together. */
  rate: number
  seconds: number
}

export interface Latencies {
  viewerMs: number[]
  ackMs: number[]
  /** How long after its moment each frame was sent. */
  sendLateMs: number[]
  /** Frames of which the ACK or the viewer's frame did not come. */
  missing: number
}

interface Sender {
  link: DeviceLink
  course: Course
  seq: number
  /** When the frame with each seq was due, until it is acknowledged, oldest first. */
  unacknowledged: { seq: number; dueMs: number }[]
  /** The same by the moment of its point, until the viewer has it. */
  unseen: Map<number, number>
}

/** A timer wakes up late by up to two milliseconds, so the rest is waited for in turns of the event loop. */
const TIMER_LATE_MS = 2
const DRAIN_MS = 3_000
const CHECK_MS = 20
/** By device key: a moment of a device names one point for ever. */
const courses = new Map<string, Course>()

/** Rejects when a connection is lost or the server complains. */
export async function measureLatency(options: OpenLoopOptions): Promise<Latencies> {
  const { port, user, sends, rate, seconds } = options
  const latencies: Latencies = { viewerMs: [], ackMs: [], sendLateMs: [], missing: 0 }
  let trouble: string | null = null
  const onTrouble = (reason: string) => {
    trouble ??= reason
  }
  const viewer = await openViewerLink({ port, token: user.token, onLive, onTrouble })
  const senders = await Promise.all(user.deviceKeys.map(connect))
  const byId = new Map(senders.map((sender) => [sender.link.deviceId, sender]))
  const frames = Math.floor(rate * seconds)
  await sendAll()
  const left = () =>
    senders.reduce((sum, { unacknowledged, unseen }) => sum + unacknowledged.length + unseen.size, 0)
  const drainedMs = monotonicMs() + DRAIN_MS
  while (left() > 0 && monotonicMs() < drainedMs) await sleep(CHECK_MS)
  if (trouble !== null) throw new Error(trouble)
  for (const link of [viewer, ...senders.map((sender) => sender.link)]) link.end()
  return { ...latencies, missing: left() }

  async function connect(deviceKey: string, place: number): Promise<Sender> {
    const course = courses.get(deviceKey) ?? startCourse(place, Date.now())
    courses.set(deviceKey, course)
    const link = await openDeviceLink({
      port,
      deviceKey,
      onAck: (seq) => acknowledged(sender, seq),
      onTrouble,
    })
    const sender: Sender = { link, course, seq: 0, unacknowledged: [], unseen: new Map() }
    return sender
  }

  /** Resolves when the last frame has left. */
  function sendAll(): Promise<void> {
    const startMs = monotonicMs() + 100
    let sent = 0
    return new Promise((resolve) => sendDue(resolve))

    function sendDue(resolve: () => void): void {
      for (; sent < frames && dueMs(sent) <= monotonicMs(); sent++) {
        send(senders[sent % senders.length]!, dueMs(sent))
      }
      if (sent === frames) return resolve()
      const waitMs = dueMs(sent) - monotonicMs() - TIMER_LATE_MS
      if (waitMs >= 1) setTimeout(sendDue, waitMs, resolve)
      else setImmediate(sendDue, resolve)
    }

    function dueMs(index: number): number {
      return startMs + (index / rate) * 1000
    }
  }

  function send(sender: Sender, dueMs: number): void {
    const { link, course, unacknowledged, unseen } = sender
    course.nextMs = Math.max(course.nextMs, Date.now())
    const values = nextPoints(course, 1)
    sender.seq += 1
    unacknowledged.push({ seq: sender.seq, dueMs })
    unseen.set(values[0]!, dueMs)
    const payload =
      sends === 'points'
        ? encodePoints(sender.seq, course.sessionMs, values)
        : encodeAsLive(link.deviceId, sender.seq, course.sessionMs, values)
    link.write(framed(payload))
    latencies.sendLateMs.push(monotonicMs() - dueMs)
  }

  function acknowledged({ unacknowledged }: Sender, seq: number): void {
    const nowMs = monotonicMs()
    while (unacknowledged[0] !== undefined && unacknowledged[0].seq <= seq) {
      latencies.ackMs.push(nowMs - unacknowledged.shift()!.dueMs)
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
    latencies.viewerMs.push(nowMs - dueMs)
  }
}
