/**
 * Who sees which device: topics of the server for viewers in the live stream, and a mark on the viewers that are
 * served snapshots instead. A frame is encoded once and handed to the server once for each topic.
 */
import type { Counts } from '../ops/metrics.ts'
import type { Close } from '../protocol/closes.ts'

/** A number, since looking one up is all that most frames cost here. */
export type Topic = number

export interface Listener {
  peer: {
    readonly isOpen: boolean
    /** False when the frame did not fit into the buffer and is lost. */
    send: (frame: Uint8Array) => boolean
    end: (close: Close) => void
    join: (topic: string) => void
    leave: (topic: string) => void
  }
  topics: readonly Topic[]
  /** Devices that changed since they were last in a snapshot of this viewer. */
  changed: Set<number>
}

/** Whoever watches everyone's devices. */
export const EVERYONE: Topic = 0

export function userTopic(userId: number): Topic {
  return userId * 2
}

export function deviceTopic(deviceId: number): Topic {
  return deviceId * 2 + 1
}

/** The viewers of a topic. */
interface Circle {
  /** The topic as the server calls it. */
  name: string
  live: Set<Listener>
  lagging: Set<Listener>
}

/** The part of the server that is needed here. */
export interface Publisher {
  publish: (topic: string, frame: Uint8Array) => void
  /** Hands over what is published so far, before the subscribers change. */
  flush: () => void
}

export function createAudience(publisher: Publisher, counts: Counts) {
  // Empty circles are removed, so there are no more than topics of the viewers that are there.
  const circles = new Map<Topic, Circle>()
  return { enter, goLive, leaveLive, leave, publish, tellLagging, isWatched }

  /** The viewer has a subscription and waits for its snapshot. */
  function enter(listener: Listener): void {
    for (const topic of listener.topics) circleOf(topic).lagging.add(listener)
  }

  function goLive(listener: Listener): void {
    publisher.flush()
    for (const topic of listener.topics) {
      const circle = circleOf(topic)
      circle.lagging.delete(listener)
      circle.live.add(listener)
      listener.peer.join(circle.name)
    }
  }

  function leaveLive(listener: Listener): void {
    publisher.flush()
    for (const topic of listener.topics) {
      const circle = circleOf(topic)
      circle.live.delete(listener)
      circle.lagging.add(listener)
      listener.peer.leave(circle.name)
    }
  }

  function leave(listener: Listener): void {
    publisher.flush()
    for (const topic of listener.topics) {
      const circle = circles.get(topic)
      if (circle === undefined) continue
      if (circle.live.delete(listener)) listener.peer.leave(circle.name)
      circle.lagging.delete(listener)
      if (circle.live.size + circle.lagging.size === 0) circles.delete(topic)
    }
  }

  /** A frame about a device: live viewers get it, the others get the device with a later snapshot. */
  function publish(userId: number, deviceId: number, frame: Uint8Array): void {
    counts.liveFrames += 1
    publishTo(circles.get(userTopic(userId)), deviceId, frame)
    publishTo(circles.get(deviceTopic(deviceId)), deviceId, frame)
    publishTo(circles.get(EVERYONE), deviceId, frame)
  }

  function publishTo(circle: Circle | undefined, deviceId: number, frame: Uint8Array): void {
    if (circle === undefined) return
    if (circle.live.size > 0) {
      counts.deliveries += circle.live.size
      publisher.publish(circle.name, frame)
    }
    for (const listener of circle.lagging) listener.changed.add(deviceId)
  }

  /** What no snapshot can say, for viewers that are not in the live stream. */
  function tellLagging(userId: number, deviceId: number, frame: Uint8Array): void {
    for (const topic of [userTopic(userId), deviceTopic(deviceId), EVERYONE]) {
      for (const listener of circles.get(topic)?.lagging ?? []) {
        listener.changed.delete(deviceId)
        listener.peer.send(frame)
      }
    }
  }

  function isWatched(userId: number, deviceId: number): boolean {
    return circles.has(userTopic(userId)) || circles.has(deviceTopic(deviceId)) || circles.has(EVERYONE)
  }

  function circleOf(topic: Topic): Circle {
    let circle = circles.get(topic)
    if (circle === undefined) {
      circle = { name: String(topic), live: new Set(), lagging: new Set() }
      circles.set(topic, circle)
    }
    return circle
  }
}

export type Audience = ReturnType<typeof createAudience>
