/** Chance from a recorded seed: the same seed and name give the same choices again. It knows no clock. */

export type Chance = ReturnType<typeof createChance>

/** `name` keeps the choices of one place apart from those of every other, however many those make. */
export function createChance(seed: number, name: string) {
  let state = mixed(`${seed} ${name}`)
  return { next, whole, yes, pick, bytes, fork: (inner: string) => createChance(seed, `${name} ${inner}`) }

  /** From 0 to below 1. Marsaglia's xorshift of 32 bits, behind a multiplication that hides its lines. */
  function next(): number {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (Math.imul(state, 0x9e3779b1) >>> 0) / 2 ** 32
  }

  /** A whole number from `min` to `max`, both included. */
  function whole(min: number, max: number): number {
    return min + Math.floor(next() * (max - min + 1))
  }

  function yes(probability: number): boolean {
    return next() < probability
  }

  function pick<Item>(items: readonly Item[]): Item {
    return items[whole(0, items.length - 1)]!
  }

  function bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => whole(0, 255))
  }
}

/** FNV-1a; never 0, from which xorshift could not move. */
function mixed(text: string): number {
  let hash = 0x811c9dc5
  for (const character of text) hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193)
  return hash === 0 ? 1 : hash
}
