/**
 * Who knocks: the address that a request comes from and what it calls the hub, as far as its peer can be believed.
 * The PROXY protocol is not asked: a client can send its header as well.
 */
import type { HttpRequest, HttpResponse } from 'uWebSockets.js'
import { blockOf, clientOf, isOwnMachine, readAddress, type Trust } from '../access/addresses.ts'
import type { Called } from '../access/origins.ts'

export interface Visitor extends Called {
  address: string
  /** What limits by address count by; null: the hub's own machine, which they are not for. */
  block: string | null
  /**
   * The hub's own TLS, asked for by name at the port where browsers look for it, so that it may speak for every port of
   * that name (RFC 6797): beside it there may be others on the machine, at ports of their own.
   */
  isHttpsOfHost: boolean
}

export interface VisitorsOptions {
  trust: Trust
  isTls: boolean
  /** A peer that is not trusted speaks for others: maybe a proxy that nobody has declared. */
  onForwarded: (peer: string) => void
}

export type Visitors = ReturnType<typeof createVisitors>

/** A peer that is gone has no address any more. */
const NOBODY = '0.0.0.0'
/** Without a port, or with the one that goes without saying. */
const HTTPS_HOST = /^[^:]+(:443)?$/

export function createVisitors({ trust, isTls, onForwarded }: VisitorsOptions) {
  return { read, blockOfPeer }

  /** To be called before the request's handler waits for anything. */
  function read(res: HttpResponse, req: HttpRequest): Visitor {
    const peer = peerOf(res)
    const host = req.getHeader('host')
    const scheme = isTls ? 'https' : 'http'
    const isHttpsOfHost = isTls && HTTPS_HOST.test(host)
    if (!trust.isTrusted(peer)) {
      if (req.getHeader('x-forwarded-for') !== '') onForwarded(peer)
      return { address: peer, block: countedBy(peer), isHttpsOfHost, scheme, host }
    }
    const { hops, proto } = forwardedBy(req)
    const address = clientOf(peer, hops, trust)
    // A hop that claims to be the hub's own machine is not believed so much.
    const block = hops.length === 0 ? countedBy(peer) : blockOf(address)
    return { address, block, isHttpsOfHost, scheme: proto ?? scheme, host }
  }

  /** Of a connection that has not sent anything yet. Whoever is behind a proxy is counted later. */
  function blockOfPeer(res: HttpResponse): string | null {
    const peer = peerOf(res)
    return trust.isTrusted(peer) ? null : countedBy(peer)
  }
}

function countedBy(peer: string): string | null {
  return isOwnMachine(peer) ? null : blockOf(peer)
}

function peerOf(res: HttpResponse): string {
  return readAddress(Buffer.from(res.getRemoteAddressAsText()).toString()) ?? NOBODY
}

/** A field may come in several lines, of which `getHeader` shows the first alone: the one the client wrote. */
function forwardedBy(req: HttpRequest): { hops: string[]; proto: 'http' | 'https' | null } {
  const hops: string[] = []
  let proto = ''
  req.forEach((name, value) => {
    if (name === 'x-forwarded-for') hops.push(...value.split(','))
    if (name === 'x-forwarded-proto') proto = value.split(',').at(-1)!.trim().toLowerCase()
  })
  return { hops, proto: proto === 'http' || proto === 'https' ? proto : null }
}
