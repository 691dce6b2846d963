/** A profile that V8 wrote, by what the hub is made of. It knows the hub's folders and the names of what it uses. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

export const PARTS = [
  'reading sockets (kernel, uWebSockets.js)',
  'collecting garbage',
  'reading frames (protocol)',
  'deciding (core)',
  'sockets and delivery, with what they send',
  'writing frames (protocol, msgpackr)',
  'writing the statement (store)',
  'rest of the store',
  'driver of the database, streams of Node',
  'all else',
] as const

/** The load of about half of what the hub takes, as a column is called. */
export const STEADY = 'half load'

export type Part = (typeof PARTS)[number]

/** Milliseconds of the machine's monotonic clock. */
export interface Span {
  fromMs: number
  toMs: number
}

/** As far as it is used here; times are microseconds of the monotonic clock. */
interface Profile {
  nodes: { id: number; callFrame: { functionName: string; url: string } }[]
  startTime: number
  samples: number[]
  timeDeltas: number[]
}

const IDLE = '(idle)'
/** By the name that V8 gives to what is no function. */
const STATES: Readonly<Record<string, Part>> = {
  '(program)': 'reading sockets (kernel, uWebSockets.js)',
  '(garbage collector)': 'collecting garbage',
}
/** By where a function is written; the first that fits. */
const PLACES: readonly [RegExp, Part][] = [
  [/\/protocol\/decode\./, 'reading frames (protocol)'],
  [/\/protocol\/|\/msgpackr\//, 'writing frames (protocol, msgpackr)'],
  [/\/dist\/core\//, 'deciding (core)'],
  [/\/store\/(points\/points|line\/(arrays|digits))\./, 'writing the statement (store)'],
  [/\/dist\/store\//, 'rest of the store'],
  [/\/node_modules\/postgres\/|^node:/, 'driver of the database, streams of Node'],
  [/\/dist\/(sockets\/|ingest\/|live\/|hub\.)/, 'sockets and delivery, with what they send'],
]
/** Functions of uWebSockets.js have no place; where the optimiser calls them straight, they count to their callers. */
const NATIVE_NAMES = new Set(['send', 'publish', 'cork', 'subscribe', 'unsubscribe', 'getUserData', 'end'])

/**
 * The share of each part in the time within the spans in which the main thread was not idle. Rejects unless the folder
 * holds one profile with samples in them.
 */
export function readProfile(directory: string, spans: readonly Span[]): Record<Part, number> {
  const files = readdirSync(directory).filter((name) => name.endsWith('.cpuprofile'))
  if (files.length !== 1) throw new Error(`${files.length} profiles instead of one in ${directory}`)
  const { nodes, startTime, samples, timeDeltas } = JSON.parse(
    readFileSync(path.join(directory, files[0]!), 'utf8'),
  ) as Profile
  const partOf = new Map(nodes.map(({ id, callFrame }) => [id, partOfFrame(callFrame)]))
  const micros = Object.fromEntries(PARTS.map((part) => [part, 0])) as Record<Part, number>
  let atMicros = startTime
  let busyMicros = 0
  for (const [i, node] of samples.entries()) {
    atMicros += timeDeltas[i]!
    const part = partOf.get(node)
    if (part === undefined || part === null || !isWithin(atMicros / 1_000, spans)) continue
    // Until the next sample; the last one has none.
    const lasted = timeDeltas[i + 1] ?? 0
    micros[part] += lasted
    busyMicros += lasted
  }
  if (busyMicros === 0) throw new Error('the profile has nothing of the time that was measured')
  for (const part of PARTS) micros[part] /= busyMicros
  return micros
}

/** Null for idleness. */
function partOfFrame({ functionName, url }: Profile['nodes'][number]['callFrame']): Part | null {
  if (functionName === IDLE) return null
  const state = STATES[functionName]
  if (state !== undefined) return state
  if (url === '') return partOfNative(functionName)
  return PLACES.find(([place]) => place.test(url))?.[1] ?? 'all else'
}

/** What has no place is of uWebSockets.js or of Node, whose buffers and streams nobody but the driver uses here. */
function partOfNative(name: string): Part {
  return NATIVE_NAMES.has(name)
    ? 'sockets and delivery, with what they send'
    : 'driver of the database, streams of Node'
}

function isWithin(ms: number, spans: readonly Span[]): boolean {
  return spans.some(({ fromMs, toMs }) => ms >= fromMs && ms < toMs)
}
