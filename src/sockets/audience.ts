/**
 * Who sees which device: topics of the server for viewers in the live stream, and a mark on the viewers that are
 * served snapshots instead. A frame is encoded once and handed to the server once for each topic.
 */
import type { Counts } from '../metrics.ts'
import type { Peer } from './peer.ts'

export interface Listener {
  peer: Peer
  topics: readonly string[]
  /** Devices that changed since they were last in a snapshot of this viewer. */
  changed: Set<number>
}

/** Whoever watches everyone's devices. */
export const EVERYONE = '*'

export function userTopic(userId: number): string {
  return `u${userId}`
}

export function deviceTopic(deviceId: number): string {
  return `d${deviceId}`
}

/** The part of the server that is needed here. */
export interface Publisher {
  publish: (topic: string, frame: Uint8Array) => void
  /** Hands over what is published so far, before the subscribers change. */
  flush: () => void
}

export function createAudience(publisher: Publisher, counts: Counts) {
  // Empty sets are removed, so both maps hold no more than the topics of the viewers that are there.
  const live = new Map<string, Set<Listener>>()
  const lagging = new Map<string, Set<Listener>>()
  return { enter, goLive, leaveLive, leave, publish, tellLagging, isWatched }

  /** The viewer has a subscription and waits for its snapshot. */
  function enter(listener: Listener): void {
    for (const topic of listener.topics) add(lagging, topic, listener)
  }

  function goLive(listener: Listener): void {
    publisher.flush()
    for (const topic of listener.topics) {
      remove(lagging, topic, listener)
      add(live, topic, listener)
      listener.peer.join(topic)
    }
  }

  function leaveLive(listener: Listener): void {
    publisher.flush()
    for (const topic of listener.topics) {
      remove(live, topic, listener)
      add(lagging, topic, listener)
      listener.peer.leave(topic)
    }
  }

  function leave(listener: Listener): void {
    publisher.flush()
    for (const topic of listener.topics) {
      if (remove(live, topic, listener)) listener.peer.leave(topic)
      remove(lagging, topic, listener)
    }
  }

  /** A frame about a device: live viewers get it, the others get the device with a later snapshot. */
  function publish(userId: number, deviceId: number, frame: Uint8Array): void {
    counts.liveFrames += 1
    for (const topic of [userTopic(userId), deviceTopic(deviceId), EVERYONE]) {
      const listeners = live.get(topic)
      if (listeners !== undefined) {
        counts.deliveries += listeners.size
        publisher.publish(topic, frame)
      }
      const waiting = lagging.get(topic)
      if (waiting !== undefined) for (const listener of waiting) listener.changed.add(deviceId)
    }
  }

  /** What no snapshot can say, for viewers that are not in the live stream. */
  function tellLagging(userId: number, deviceId: number, frame: Uint8Array): void {
    for (const topic of [userTopic(userId), deviceTopic(deviceId), EVERYONE]) {
      for (const listener of lagging.get(topic) ?? []) {
        listener.changed.delete(deviceId)
        listener.peer.send(frame)
      }
    }
  }

  function isWatched(userId: number, deviceId: number): boolean {
    return [userTopic(userId), deviceTopic(deviceId), EVERYONE].some(
      (topic) => live.has(topic) || lagging.has(topic),
    )
  }
}

export type Audience = ReturnType<typeof createAudience>

function add(map: Map<string, Set<Listener>>, topic: string, listener: Listener): void {
  const listeners = map.get(topic)
  if (listeners === undefined) map.set(topic, new Set([listener]))
  else listeners.add(listener)
}

function remove(map: Map<string, Set<Listener>>, topic: string, listener: Listener): boolean {
  const listeners = map.get(topic)
  if (listeners === undefined || !listeners.delete(listener)) return false
  if (listeners.size === 0) map.delete(topic)
  return true
}
