/**
 * A virtual device: what it records, and the rules of PROTOCOL.md section 2 by which it sends that until it is
 * acknowledged. It survives everything but keeps nothing of a connection. It knows nothing of the hub but its frames.
 */
import type { Chance } from '../rig/chance.ts'
import * as t from '../rig/points.ts'
import type { Clock, Job } from './clock.ts'
import type { Client, Link } from './network.ts'
import type { Sometimes } from './sometimes.ts'
import { type Frame, packFrame } from './wire.ts'

/** Something to be sent until an ACK covers it. */
export interface Item {
  /** null: a point. */
  op: number | null
  atMs: number
  sessionMs: number | null
  /** lat, lng, accuracy; of a point. */
  values: readonly number[]
  wasSent: boolean
}

/** A frame on its way, as the device and the witness know it. */
export interface Sent {
  seq: number
  items: Item[]
}

export interface DeviceOptions {
  deviceId: number
  deviceKey: () => string
  /** Whether its owner would get it in. */
  mayEnter: () => boolean
  clock: Clock
  chance: Chance
  sometimes: Sometimes
  client: number
  /** The device's own clock. */
  now: () => number
  connect: (client: Client) => Link
  onSent: (link: Link, sent: Sent) => void
  /** From here on it breaks the rules on this link. */
  onMisbehaviour: (link: Link) => void
}

const RETRY_MS_MAX = 60_000
const SILENT_MS = 30_000
const OWNER_LOOKS_MS = 3_000

export type VirtualDevice = ReturnType<typeof createDevice>

export function createDevice(options: DeviceOptions) {
  const { clock, chance, sometimes } = options
  let queue: Item[] = []
  let inFlight: Sent[] = []
  let link: Link | null = null
  let isWelcome = false
  let window = 0
  let batchMax = 1
  let seq = 0
  let lastRecordedMs = 0
  let sessionMs: number | null = null
  let pausedUntilMs = 0
  let heardMs = 0
  let attempts = 0
  let leaves = false
  let isOff = false
  let isRefused = false
  let goawayMs: number | null = null
  /** Its user is there, and need not wait after 4409. */
  let isAttended = false
  let retry: Job | undefined
  const rejected = new Map<Item, number>()
  const client: Client = { id: options.client, onFrame, onClose }
  return {
    deviceId: options.deviceId,
    start: connect,
    record,
    recordAt,
    op,
    tend,
    bye,
    misbehave,
    rewrite,
    switchOff,
    wake,
    cut: (isSilent: boolean) => link?.cut(isSilent),
    pace: (ms: number) => link?.pace(ms),
    stall: (yes: boolean) => link?.stall(yes),
    rejected,
    /** For a person to read. */
    get state() {
      return `${link === null ? 'no link' : isWelcome ? 'welcome' : 'waits for WELCOME'}, ${inFlight.length} frames in flight of window ${window}${leaves ? ', leaves' : ''}${goawayMs === null ? '' : ', GOAWAY'}${isRefused ? ', refused' : ''}`
    },
    get isSettled() {
      return queue.length === 0
    },
    get waiting() {
      return queue.length
    },
    get sessionMs() {
      return sessionMs
    },
    get lastRecordedMs() {
      return lastRecordedMs
    },
  }

  function connect(): void {
    if (isOff || link !== null) return
    // Two with one key would take it from each other for ever.
    if (isAttended && queue.length === 0) return
    isWelcome = false
    leaves = false
    goawayMs = null
    inFlight = []
    seq = 0
    heardMs = clock.nowMs
    pausedUntilMs = 0
    const opened = options.connect(client)
    link = opened
    if (chance.yes(0.03)) return sometimes.note('HELLO never sent')
    opened.sendToHub(packFrame([t.HELLO, options.deviceKey(), 'simulated', null]))
    if (chance.yes(0.03)) {
      sometimes.note('HELLO lost its socket')
      opened.cut(false)
    }
  }

  function onClose(code: number): void {
    link = null
    isWelcome = false
    inFlight = []
    if (code === 1000) sometimes.note('BYE answered')
    if (isOff) return
    if (code === 4503) {
      isRefused = true
      return askOwner()
    }
    attempts += 1
    const jitterMs = chance.next() * Math.min(RETRY_MS_MAX, 500 * 2 ** attempts)
    const delayMs =
      code === 4409
        ? (isAttended ? 3_000 : 60_000) + jitterMs
        : code === 1013
          ? 5_000 + jitterMs
          : goawayMs !== null
            ? chance.whole(0, goawayMs)
            : jitterMs
    clock.cancel(retry)
    retry = clock.at(delayMs, 'device reconnects', options.client, connect)
  }

  /** A device that is refused waits for somebody to do something about it. */
  function askOwner(): void {
    clock.cancel(retry)
    retry = clock.at(OWNER_LOOKS_MS, 'owner looks', options.client, () => {
      if (!options.mayEnter()) return askOwner()
      isRefused = false
      connect()
    })
  }

  function onFrame(frame: Frame): void {
    if (frame[0] === t.WELCOME) {
      isWelcome = true
      window = frame[2] as number
      batchMax = frame[3] as number
      heardMs = clock.nowMs
    } else if (frame[0] === t.ACK) {
      acknowledge(frame[1] as number, frame[2] as number, (frame[3] ?? []) as [number, number, number][])
    } else if (frame[0] === t.PAUSE) {
      sometimes.note('PAUSE heard')
      pausedUntilMs = clock.nowMs + (frame[1] as number)
      heardMs = clock.nowMs
    } else if (frame[0] === t.GOAWAY) {
      sometimes.note('GOAWAY heard')
      goawayMs = frame[2] as number
    }
    send()
  }

  function acknowledge(upTo: number, windowPoints: number, refused: [number, number, number][]): void {
    heardMs = clock.nowMs
    pausedUntilMs = 0
    attempts = 0
    if (windowPoints > window) sometimes.note('window raised')
    window = windowPoints
    for (const [of, index, reason] of refused) {
      const frame = inFlight.find((one) => one.seq === of)
      for (const item of frame?.items.slice(index < 0 ? 0 : index, index < 0 ? undefined : index + 1) ?? []) {
        rejected.set(item, reason)
      }
    }
    const done = new Set<Item>()
    for (const frame of inFlight) if (frame.seq <= upTo) for (const item of frame.items) done.add(item)
    inFlight = inFlight.filter((frame) => frame.seq > upTo)
    queue = queue.filter((item) => !done.has(item))
  }

  /** One more point; `sessionMs` null leaves it to the hub to find a session. */
  function record(values: readonly number[], offsetMs = 0): Item {
    const item = newPoint(values, offsetMs)
    queue.push(item)
    if (isAttended && link === null) clock.at(1_000, 'device reconnects', options.client, connect)
    send()
    return item
  }

  /** Whatever its clock says, and of no session in particular. */
  function recordAt(atMs: number, values: readonly number[]): void {
    queue.push({ op: null, atMs, sessionMs: null, values, wasSent: false })
    if (isAttended) connect()
    send()
  }

  function newPoint(values: readonly number[], offsetMs: number): Item {
    let atMs = Math.max(lastRecordedMs + 1, options.now() + offsetMs)
    if (atMs % 1000 === 999) atMs += 1
    if (offsetMs === 0) lastRecordedMs = atMs
    return { op: null, atMs, sessionMs, values, wasSent: false }
  }

  function op(number: number, startMs: number, atMs: number): Item {
    if (number === 0) sessionMs = startMs
    const item = { op: number, atMs, sessionMs: startMs, values: [], wasSent: false }
    if (number === 3 && sessionMs === startMs) sessionMs = null
    queue.push(item)
    send()
    return item
  }

  function send(): void {
    if (link === null || !isWelcome || leaves || goawayMs !== null || clock.nowMs < pausedUntilMs) return
    const flying = new Set(inFlight.flatMap(({ items }) => items))
    let room = window - flying.size
    const due = queue.filter((item) => !flying.has(item))
    // The newest first is good manners, where its session says where it belongs.
    if (
      inFlight.length === 0 &&
      due.length > batchMax &&
      due.at(-1)!.op === null &&
      due.at(-1)!.sessionMs !== null
    ) {
      due.unshift(due.pop()!)
      if (room > 0) room -= sendFrame([due.shift()!])
    }
    while (room > 0 && due.length > 0) {
      const items = [due.shift()!]
      while (items[0]!.op === null && items.length < Math.min(room, batchMax) && due.length > 0) {
        if (due[0]!.op !== null || due[0]!.sessionMs !== items[0]!.sessionMs) break
        items.push(due.shift()!)
      }
      room -= sendFrame(items)
    }
  }

  function sendFrame(items: Item[]): number {
    if (inFlight.length === 0) heardMs = clock.nowMs
    seq += chance.pick([1, 1, 1, 3])
    for (const item of items) {
      if (item.wasSent) sometimes.note('point resent')
      item.wasSent = true
    }
    const sent = { seq, items }
    inFlight.push(sent)
    options.onSent(link!, sent)
    link!.sendToHub(packFrame(wireOf(sent)))
    return items.length
  }

  /** Once a second: whoever hears no ACK for 30 s connects anew (D5). */
  function tend(): void {
    if (link === null) return
    if (clock.nowMs - heardMs > SILENT_MS && (inFlight.length > 0 || !isWelcome)) {
      sometimes.note('device closes for want of an ACK')
      hangUp()
    } else send()
  }

  function hangUp(): void {
    link!.leave()
    onClose(1006)
  }

  function bye(): void {
    if (!isWelcome || leaves) return
    leaves = true
    link!.sendToHub(packFrame([t.BYE]))
  }

  /** A device that is broken: more than its window, or a seq again. */
  function misbehave(how: 'window' | 'sequence', values: () => readonly number[]): void {
    if (link === null || !isWelcome || leaves || goawayMs !== null) return
    if (how === 'sequence' && inFlight.length === 0) return
    options.onMisbehaviour(link)
    if (how === 'sequence') return link.sendToHub(packFrame(wireOf(inFlight[0]!)))
    for (let i = 0; i < 30; i++) {
      const one = newPoint(values(), 0)
      queue.push(one)
      sendFrame([one])
    }
  }

  /** Sends other values for a point that it has recorded already: the first stay (D1). */
  function rewrite(values: readonly number[]): void {
    if (lastRecordedMs === 0) return
    queue.push({ op: null, atMs: lastRecordedMs, sessionMs, values, wasSent: false })
    send()
  }

  /** Its user connects it now. */
  function wake(): void {
    attempts = 0
    isAttended = true
    if (link !== null || isRefused) return
    clock.cancel(retry)
    connect()
  }

  function switchOff(): void {
    isOff = true
    clock.cancel(retry)
    link?.leave()
    link = null
    isWelcome = false
  }
}

export function wireOf({ seq, items }: Sent): unknown[] {
  const [first] = items
  if (first!.op !== null) return [t.SESSION, seq, first!.sessionMs, first!.op, first!.atMs]
  const points = items.map(({ atMs, values }) => [atMs - first!.atMs, ...values])
  return [t.POINTS, seq, first!.sessionMs, first!.atMs, points]
}
