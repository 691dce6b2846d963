/**
 * What a viewer hears, as news: plain objects for programs, and words for people. It holds nothing but how
 * far each device was shown.
 */
import type { DeviceView, SeenPoint, ViewerEvent } from '../client/node.ts'
import { shown } from '../tracks/read/fix.ts'

/** What is about devices, not about the connection. */
export type Movement = Extract<
  ViewerEvent,
  { type: 'points' | 'updated' | 'snapshot' | 'presence' | 'session' | 'backfilled' | 'device' | 'gone' }
>

/** One line of `watch --json`: times are ISO 8601 in UTC; degrees, metres, metres per second. */
export type News =
  | ({ type: 'point'; status: string | null } & Named & Placed)
  | { type: 'snapshot'; devices: Described[] }
  | ({ type: 'device' } & Described)
  | ({ type: 'presence'; online: boolean; lastSeen: string | null } & Named)
  | ({ type: 'session'; sessionId: number; status: string; started: string; ended: string | null } & Named)
  | ({ type: 'backfilled'; from: string; to: string } & Named)
  | { type: 'gone'; deviceId: number }

type Named = ReturnType<typeof named>
type Placed = ReturnType<typeof placed>
type Described = ReturnType<typeof described>

export function createNews() {
  /** Recorded time of the newest point told of each device. */
  const toldMs = new Map<number, number>()
  /** Until the first snapshot of a connection is complete, its parts are old news. */
  let isCatchingUp = true
  return { connected, of }

  function connected(): void {
    isCatchingUp = true
  }

  function of(event: Movement): News[] {
    switch (event.type) {
      case 'points':
        return event.points.map((point) => pointNews(event.device, point))
      case 'updated':
        // Of what was skipped on a slow line, the newest point of each device is left.
        if (isCatchingUp) return []
        return event.devices.filter(isAhead).map((device) => pointNews(device, device.last!))
      case 'snapshot':
        isCatchingUp = false
        for (const device of event.devices) if (device.last) told(device, device.last)
        return [{ type: 'snapshot', devices: event.devices.map(described) }]
      case 'presence': {
        const { online, lastSeenMs } = event.device
        return [{ type: 'presence', ...named(event.device), online, lastSeen: isoOrNull(lastSeenMs) }]
      }
      case 'session': {
        const { sessionId, status } = event
        const times = { started: iso(event.session), ended: isoOrNull(event.endedMs) }
        return [{ type: 'session', ...named(event.device), sessionId, status, ...times }]
      }
      case 'backfilled':
        return [{ type: 'backfilled', ...named(event.device), from: iso(event.fromMs), to: iso(event.toMs) }]
      case 'device':
        return [{ type: 'device', ...described(event.device) }]
      case 'gone':
        toldMs.delete(event.deviceId)
        return [{ type: 'gone', deviceId: event.deviceId }]
    }
  }

  function isAhead({ deviceId, last }: DeviceView): boolean {
    return last !== null && last.recordedMs > (toldMs.get(deviceId) ?? Number.NEGATIVE_INFINITY)
  }

  function pointNews(device: DeviceView, point: SeenPoint): News {
    told(device, point)
    return { type: 'point', ...named(device), ...placed(point), status: device.session?.status ?? null }
  }

  function told({ deviceId }: DeviceView, { recordedMs }: SeenPoint): void {
    toldMs.set(deviceId, recordedMs)
  }
}

/** News for people; a snapshot takes several lines. */
export function inWords(news: News): string {
  switch (news.type) {
    case 'point':
      return pointWords(news, news.name, news.status)
    case 'snapshot': {
      const head = `showing ${news.devices.length} ${news.devices.length === 1 ? 'device' : 'devices'}`
      return [head, ...news.devices.map((device) => `  ${deviceWords(device)}`)].join('\n')
    }
    case 'device':
      return deviceWords(news)
    case 'presence':
      return joined(news.lastSeen, shown(news.name), news.online ? 'online' : 'offline')
    case 'session':
      return joined(news.ended ?? news.started, shown(news.name), `session ${news.sessionId} ${news.status}`)
    case 'backfilled':
      return joined(news.to, shown(news.name), `backfilled from ${news.from}`)
    case 'gone':
      return `device ${news.deviceId} is gone`
  }
}

function pointWords(point: Placed, name: string, status: string | null): string {
  const place = `${point.lat.toFixed(5)} ${point.lng.toFixed(5)}`
  const speed = point.speed === null ? null : `${point.speed.toFixed(1)} m/s`
  return joined(point.time, shown(name), place, speed, status)
}

function deviceWords(device: Described): string {
  const presence = device.online ? 'online' : 'offline'
  if (device.last === null) return joined(shown(device.name), presence, 'no point yet')
  return joined(pointWords(device.last, device.name, device.status), presence)
}

function joined(...parts: (string | null)[]): string {
  return parts.filter((part) => part !== null).join('  ')
}

function named({ deviceId, userId, name }: DeviceView) {
  return { deviceId, userId, name }
}

function placed({ recordedMs, session, ...rest }: SeenPoint) {
  return { time: iso(recordedMs), ...rest, session: iso(session) }
}

function described(device: DeviceView) {
  const { color, platform, online, lastSeenMs, session, last } = device
  return {
    ...named(device),
    color,
    platform,
    online,
    lastSeen: isoOrNull(lastSeenMs),
    status: session?.status ?? null,
    last: last === null ? null : placed(last),
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}

function isoOrNull(ms: number | null): string | null {
  return ms === null ? null : iso(ms)
}
