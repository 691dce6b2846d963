/** What counts as one place on the network: an IPv4 address, or the /64 of an IPv6 address, which is one customer's. */

const GROUPS = 8
const PREFIX_GROUPS = 4

/** The same text for every address of a place. An IPv4 address inside an IPv6 one is the IPv4 address. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address
  const groups = groupsOf(address)
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  if (isMapped) {
    return groups
      .slice(6)
      .flatMap((group) => [group >> 8, group & 0xff])
      .join('.')
  }
  return groups
    .slice(0, PREFIX_GROUPS)
    .map((group) => group.toString(16))
    .join(':')
}

/** The eight numbers, whichever of its forms the address is written in. */
function groupsOf(address: string): number[] {
  const text = address
    .replace(/%.*$/, '')
    .replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) => `${hex(+a * 256 + +b)}:${hex(+c * 256 + +d)}`)
  const [head, tail] = text.split('::').map((half) => (half === '' ? [] : half.split(':').map(unhex)))
  if (tail === undefined) return head!
  return [...head!, ...Array<number>(Math.max(0, GROUPS - head!.length - tail.length)).fill(0), ...tail]
}

function hex(group: number): string {
  return group.toString(16)
}

function unhex(group: string): number {
  return Number.parseInt(group, 16)
}
