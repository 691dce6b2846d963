/**
 * How many of something each owner has, up to a bound: the sockets of a user or of a share, the exports of an address.
 * Owners with none are forgotten.
 */
export function createTally<Owner extends number | string>(perOwnerMax: number) {
  const held = new Map<Owner, number>()
  return { take, release }

  /** False: the owner has as many as it may. */
  function take(owner: Owner): boolean {
    const count = held.get(owner) ?? 0
    if (count >= perOwnerMax) return false
    held.set(owner, count + 1)
    return true
  }

  function release(owner: Owner): void {
    const count = held.get(owner) ?? 0
    if (count <= 1) held.delete(owner)
    else held.set(owner, count - 1)
  }
}

export type Tally<Owner extends number | string = number> = ReturnType<typeof createTally<Owner>>
