/**
 * What people would use instead of a hub, started for one run and made contenders of a round: each with its own
 * protocol and its documented settings. A peer that cannot be started becomes a sentence, not a failure.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { type Child, openChild } from '../children.ts'
import type { Contender } from '../load/deliveries.ts'
import type { DialectName } from '../load/dialects.ts'
import { ROOT } from '../paths.ts'
import { type Broker, type BrokerName, startBroker } from './brokers.ts'
import type { LibraryName, PeerServerTasks } from './peerServer.ts'

export interface Peer extends Contender {
  /** What a sender may believe once a message has been taken. */
  durability: string
  /** As the program calls itself, or by the libraries' package.json. */
  version: string | null
}

export interface Peers {
  measured: Peer[]
  /** One sentence for each that is not here. */
  missing: string[]
  close: () => Promise<void>
}

interface PeerKind {
  name: string
  dialect: DialectName
  runs: BrokerName | LibraryName
  durability: string
}

const PEER_KINDS: readonly PeerKind[] = [
  { name: 'nats-server', dialect: 'nats', runs: 'nats-server', durability: 'none, at most once' },
  { name: 'ws', dialect: 'ws', runs: 'ws', durability: 'none, at most once' },
  { name: 'mosquitto QoS 0', dialect: 'mqtt0', runs: 'mosquitto', durability: 'none, at most once' },
  { name: 'mosquitto QoS 1', dialect: 'mqtt1', runs: 'mosquitto', durability: 'memory of the broker' },
  { name: 'Socket.IO', dialect: 'socketio', runs: 'socketio', durability: 'none, at most once' },
  // With both of what its documentation names for speed: another server below it, and a parser for binary data.
  {
    name: 'Socket.IO on uWebSockets.js',
    dialect: 'socketioPacked',
    runs: 'socketioOnUws',
    durability: 'none, at most once',
  },
]

/** What runs in them. */
const PACKAGES: Readonly<Record<LibraryName, readonly string[]>> = {
  ws: ['ws'],
  socketio: ['socket.io', 'ws'],
  socketioOnUws: ['socket.io', 'uWebSockets.js', 'socket.io-msgpack-parser'],
}

/** Of `wanted` (names, or `all`), every peer that can be had. */
export async function startPeers(wanted: string, devices: number): Promise<Peers> {
  const kinds = kindsOf(wanted)
  const brokers = new Map<BrokerName, Broker | { missing: string }>()
  const children: Child<PeerServerTasks>[] = []
  const peers: Peers = { measured: [], missing: [], close }
  for (const kind of kinds) {
    const server = await startServer(kind)
    if ('missing' in server) peers.missing.push(`${kind.name}: ${server.missing}`)
    else peers.measured.push(contenderOf(kind, server, devices))
  }
  return peers

  async function startServer({ runs }: PeerKind): Promise<Server | { missing: string }> {
    if (runs !== 'mosquitto' && runs !== 'nats-server') {
      const child = openChild<PeerServerTasks>('peers/peerServer')
      children.push(child)
      const { port } = await child.ask('listen', { library: runs })
      return {
        port,
        pid: child.pid,
        version: PACKAGES[runs].map(versionOf).join(', '),
        cpuMs: async () => (await child.ask('cpu', undefined)).usedMs,
      }
    }
    const broker = brokers.get(runs) ?? (await startBroker(runs))
    brokers.set(runs, broker)
    return broker
  }

  async function close(): Promise<void> {
    await Promise.all(children.map((child) => child.end()))
    for (const broker of brokers.values()) if ('stop' in broker) await broker.stop()
  }
}

interface Server {
  port: number
  pid: number
  cpuMs: () => Promise<number>
  version?: string
}

function versionOf(name: string): string {
  const file = path.join(ROOT, 'node_modules', name, 'package.json')
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string }
  return `${name} ${version}`
}

function kindsOf(wanted: string): readonly PeerKind[] {
  if (wanted === 'all') return PEER_KINDS
  if (wanted === 'none') return []
  return wanted.split(',').map((name) => {
    const kind = PEER_KINDS.find((one) => one.name === name)
    if (!kind) throw new Error(`no peer ${name}; there are ${PEER_KINDS.map((one) => one.name).join(', ')}`)
    return kind
  })
}

function contenderOf({ name, dialect, durability }: PeerKind, server: Server, devices: number): Peer {
  return {
    name,
    version: server.version ?? null,
    dialect,
    durability,
    port: server.port,
    pid: server.pid,
    cpuMs: server.cpuMs,
    sends: 'live',
    users: [{ token: 'anyone', deviceKeys: Array.from({ length: devices }, (_, i) => `sender ${i + 1}`) }],
    rates: new Map(),
  }
}
