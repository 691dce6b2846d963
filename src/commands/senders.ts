/**
 * The devices of a replay: a client for each, one place where they fail, and their counts added up. When
 * something is sent is decided elsewhere.
 */
import type { createDeviceClient, DeviceClient, ReasonName } from '../client/node.ts'
import type { TimedFix } from '../tracks/read/survey.ts'
import { faultOf } from './fault.ts'

export interface SenderReport {
  name: string
  deviceId: number | null
  acknowledged: number
  rejected: number
}

export interface SenderTotals {
  /** Without what was sent again. */
  sent: number
  acknowledged: number
  /** Rejected by the hub, or set aside because the hub refuses every frame with them. */
  rejected: number
  rejectedByReason: Partial<Record<ReasonName | 'setAside', number>>
}

interface Sender {
  name: string
  client: DeviceClient
  deviceId: number | null
  wasOpen: boolean
}

/**
 * `keys` are the device keys by the name of the lane. `failed` is called at most once, when one of the
 * devices cannot go on; the others are then closed by the caller.
 */
export function openSenders(options: {
  url: string
  keys: ReadonlyMap<string, string>
  connect: typeof createDeviceClient
  failed: (error: Error) => void
}) {
  const senders = new Map<string, Sender>()
  let hasFailed = false
  for (const [name, deviceKey] of options.keys) senders.set(name, opened(name, deviceKey))
  return { send, drained, close, totals, reports, troubles }

  function opened(name: string, deviceKey: string): Sender {
    const client = options.connect({
      url: options.url,
      deviceKey,
      name: 'alzy replay',
      // Recorded times are what they are; two fixes of the same moment are one point, and the first stays.
      ordered: false,
      onEvent: (event) => {
        if (event.type === 'welcome') sender.deviceId = event.deviceId
        if (event.type !== 'state') return
        if (event.state.name === 'open') sender.wasOpen = true
        const { url } = options
        const fault = faultOf(event.state, { url, wasOpen: sender.wasOpen, credential: 'device key' })
        if (fault !== null) fail(name === '' ? fault : `device ${name}: ${fault}`)
      },
    })
    const sender: Sender = { name, client, deviceId: null, wasOpen: false }
    return sender
  }

  function fail(message: string): void {
    if (hasFailed) return
    hasFailed = true
    options.failed(new Error(message))
  }

  /** Resolves as soon as the client has room for it. Rejects when that client has stopped. */
  function send(name: string, { recordedMs, lat, lng, accuracy, speed, heading, altitude }: TimedFix) {
    return senders.get(name)!.client.record({ recordedMs, lat, lng, accuracy, speed, heading, altitude })
  }

  async function drained(): Promise<void> {
    await Promise.all(all().map(({ client }) => client.drained()))
  }

  /** Stops sending at once; resolves when the last acknowledgements are in, or after 5 s. */
  async function close(): Promise<void> {
    await Promise.all(all().map(({ client }) => client.close()))
  }

  function totals(): SenderTotals {
    const sum: SenderTotals = { sent: 0, acknowledged: 0, rejected: 0, rejectedByReason: {} }
    for (const { client } of all()) {
      const counts = client.counts
      sum.sent += counts.sent - counts.resent
      sum.acknowledged += counts.acknowledged
      sum.rejected += counts.rejected + counts.setAside
      const reasons = Object.entries({ ...counts.rejectedByReason, setAside: counts.setAside })
      for (const [reason, count] of reasons as [ReasonName | 'setAside', number][]) {
        if (count > 0) sum.rejectedByReason[reason] = (sum.rejectedByReason[reason] ?? 0) + count
      }
    }
    return sum
  }

  function reports(): SenderReport[] {
    return all().map(({ name, deviceId, client: { counts } }) => ({
      name,
      deviceId,
      acknowledged: counts.acknowledged,
      rejected: counts.rejected + counts.setAside,
    }))
  }

  /** Why devices are not connected at the moment, null when all are. */
  function troubles(): string | null {
    for (const { client } of all()) {
      if (client.state.name === 'waiting') return `waiting for the hub (${client.state.reason})`
    }
    return null
  }

  function all(): Sender[] {
    return [...senders.values()]
  }
}
