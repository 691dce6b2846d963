/**
 * The door: how many connections, sockets and requests an address may have, and how many sockets may stand in it
 * without having said who they are. It counts and judges; it knows no socket and reads no clock.
 */
import { LRUCache } from 'lru-cache'
import { type Bucket, createBucket, take } from '../core/bucket.ts'

export interface DoorLimits {
  /** Sockets without a WELCOME, in all and of one address. */
  waitingSocketsMax: number
  waitingPerAddressMax: number
  socketsPerAddressMax: number
  socketsPerAddressPerS: number
  socketsPerAddressBurst: number
  connectionsPerAddressPerS: number
  connectionsPerAddressBurst: number
  requestsPerAddressPerS: number
  requestsPerAddressBurst: number
  /** Addresses without a socket that are remembered. */
  addressesMax: number
}

/** Why a socket may not open. `crowded` is everybody's doing, the others that of the address. */
export type Refusal = 'crowded' | 'addressFull' | 'addressWaiting' | 'addressRate'

/** A socket from its opening to its close. */
export interface Pass {
  /** null: not counted by address. */
  readonly block: string | null
  readonly neighbour: Neighbour | null
  /** It has not had its WELCOME. */
  isWaiting: boolean
  isOpen: boolean
}

interface Neighbour {
  open: number
  waiting: number
  sockets: Bucket
  connections: Bucket
  requests: Bucket
}

export type Door = ReturnType<typeof createDoor>

/** Everywhere `block` is what an address is counted by; null is not counted by address. */
export function createDoor(limits: DoorLimits) {
  // Whoever has a socket stays; the sockets themselves are bounded.
  const present = new Map<string, Neighbour>()
  const remembered = new LRUCache<string, Neighbour>({ max: limits.addressesMax })
  let waiting = 0
  return {
    refusal,
    open,
    admit,
    close,
    mayConnect,
    mayRequest,
    /** Sockets without a WELCOME. */
    get waiting() {
      return waiting
    },
    get addresses() {
      return present.size + remembered.size
    },
  }

  /** Why a socket may not open now; null: it may, and is counted against the rate of its address. */
  function refusal(block: string | null, nowMs: number): Refusal | null {
    if (waiting >= limits.waitingSocketsMax) return 'crowded'
    if (block === null) return null
    const neighbour = find(block)
    if (neighbour.open >= limits.socketsPerAddressMax) return 'addressFull'
    if (neighbour.waiting >= limits.waitingPerAddressMax) return 'addressWaiting'
    return take(neighbour.sockets, 1, nowMs) ? null : 'addressRate'
  }

  function open(block: string | null): Pass {
    const neighbour = block === null ? null : find(block)
    waiting += 1
    if (neighbour !== null) {
      neighbour.open += 1
      neighbour.waiting += 1
      remembered.delete(block!)
      present.set(block!, neighbour)
    }
    return { block, neighbour, isWaiting: true, isOpen: true }
  }

  /** It has had its WELCOME. */
  function admit(pass: Pass): void {
    if (!pass.isWaiting) return
    pass.isWaiting = false
    waiting -= 1
    if (pass.neighbour !== null) pass.neighbour.waiting -= 1
  }

  function close(pass: Pass): void {
    if (!pass.isOpen) return
    pass.isOpen = false
    admit(pass)
    const { block, neighbour } = pass
    if (neighbour === null) return
    neighbour.open -= 1
    if (neighbour.open > 0) return
    present.delete(block!)
    remembered.set(block!, neighbour)
  }

  /** A connection has come that may become anything; false: there were too many from this address. */
  function mayConnect(block: string | null, nowMs: number): boolean {
    return block === null || take(find(block).connections, 1, nowMs)
  }

  function mayRequest(block: string | null, nowMs: number): boolean {
    return block === null || take(find(block).requests, 1, nowMs)
  }

  function find(block: string): Neighbour {
    const known = present.get(block) ?? remembered.get(block)
    if (known !== undefined) return known
    const neighbour = {
      open: 0,
      waiting: 0,
      sockets: createBucket(limits.socketsPerAddressPerS, limits.socketsPerAddressBurst),
      connections: createBucket(limits.connectionsPerAddressPerS, limits.connectionsPerAddressBurst),
      requests: createBucket(limits.requestsPerAddressPerS, limits.requestsPerAddressBurst),
    }
    remembered.set(block, neighbour)
    return neighbour
  }
}
