/** How many of something each owner has, up to a bound: the sockets of a user or of a share. Owners with none are forgotten. */
export function createTally(perOwnerMax: number) {
  const held = new Map<number, number>()
  return { take, release }

  /** False: the owner has as many as it may. */
  function take(owner: number): boolean {
    const count = held.get(owner) ?? 0
    if (count >= perOwnerMax) return false
    held.set(owner, count + 1)
    return true
  }

  function release(owner: number): void {
    const count = held.get(owner) ?? 0
    if (count <= 1) held.delete(owner)
    else held.set(owner, count - 1)
  }
}

export type Tally = ReturnType<typeof createTally>
