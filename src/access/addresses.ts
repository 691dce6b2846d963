/**
 * Network addresses as text: one spelling each, which of them are trusted proxies, and whose a request through
 * them is. It knows no socket and no header.
 */
import { BlockList, isIP, SocketAddress } from 'node:net'

/** A network as `ALZY_TRUSTED_PROXIES` names it; a single address is one of the longest prefix. */
export interface Network {
  address: string
  prefix: number
}

/** Peers whose word on where a request came from counts. */
export type Trust = ReturnType<typeof createTrust>

const OWN_MACHINE = new Set(['127.0.0.1', '::1'])
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/
/** `192.0.2.1:443` and `[2001:db8::1]:443`, as some proxies write a hop. */
const WITH_PORT = /^(?:\[([^\]]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+)$/

/** The one spelling of an address: IPv4 where it is mapped into IPv6, else the shortest. null: it is none. */
export function readAddress(text: string): string | null {
  const bare = text.trim()
  const [, bracketed, numbered] = WITH_PORT.exec(bare) ?? []
  const address = bracketed ?? numbered ?? bare
  const family = isIP(address)
  // A zone belongs to a link, and means nothing to anybody else.
  if (family === 0 || address.includes('%')) return null
  if (family === 4) return address
  const canonical = new SocketAddress({ address, family: 'ipv6' }).address
  return MAPPED.exec(canonical)?.[1] ?? canonical
}

/** What limits count by: an IPv4 address, or the /64 of an IPv6 address, which one household has to itself. */
export function blockOf(address: string): string {
  if (!address.includes(':')) return address
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  const rest = tail === undefined || tail === '' ? [] : tail.split(':')
  if (tail !== undefined) while (groups.length + rest.length < 8) groups.push('0')
  return `${[...groups, ...rest].slice(0, 4).join(':')}::/64`
}

/** The hub's own machine, by the addresses that local clients have. */
export function isOwnMachine(address: string): boolean {
  return OWN_MACHINE.has(address)
}

/** Addresses that nobody has on the internet: the own machine's, and those of networks at home. */
export function isPrivate(address: string): boolean {
  return isOwnMachine(address) || privateNetworks.isTrusted(address)
}

/** `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7`; null: it is none, or everyone. */
export function readNetwork(text: string): Network | null {
  const [place = '', length, ...more] = text.trim().split('/')
  const address = isIP(place) === 0 ? null : readAddress(place)
  if (address === null || more.length > 0) return null
  const prefixMax = isIP(address) === 4 ? 32 : 128
  if (length === undefined) return { address, prefix: prefixMax }
  const prefix = /^\d{1,3}$/.test(length) ? Number(length) : 0
  return prefix >= 1 && prefix <= prefixMax ? { address, prefix } : null
}

export function createTrust(networks: readonly Network[]) {
  const list = new BlockList()
  for (const { address, prefix } of networks) list.addSubnet(address, prefix, familyOf(address))
  return {
    isTrusted: (address: string) => networks.length > 0 && list.check(address, familyOf(address)),
  }
}

/**
 * Whose request it is: the peer's, or behind trusted proxies that of the right-most hop which is not one of them.
 * What stands further left anybody may have written. A hop that is no address ends the search at the proxy that
 * wrote it.
 */
export function clientOf(peer: string, hops: readonly string[], { isTrusted }: Trust): string {
  let client = peer
  for (let i = hops.length - 1; i >= 0 && isTrusted(client); i--) {
    const hop = readAddress(hops[i]!)
    if (hop === null) break
    client = hop
  }
  return client
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return address.includes(':') ? 'ipv6' : 'ipv4'
}

const privateNetworks = createTrust(
  ['10.0.0.0/8', '127.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'].map(
    (text) => readNetwork(text)!,
  ),
)
