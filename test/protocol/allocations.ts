/**
 * Watches how large the arrays are that a synchronous piece of code asks for, so that a test can tell a count
 * that was believed from one that was checked. A refused allocation counts as well: it was asked for.
 */

export interface Allocations {
  /** Elements of the largest `new Array(n)` and `new Float64Array(n)`. */
  arrayMax: number
  doublesMax: number
}

export function watchAllocations(run: () => void): Allocations {
  const seen: Allocations = { arrayMax: 0, doublesMax: 0 }
  const { Array: PlainArray, Float64Array: PlainFloat64Array } = globalThis
  globalThis.Array = watched(PlainArray, (count) => {
    seen.arrayMax = Math.max(seen.arrayMax, count)
  })
  globalThis.Float64Array = watched(PlainFloat64Array, (count) => {
    seen.doublesMax = Math.max(seen.doublesMax, count)
  })
  try {
    run()
  } finally {
    globalThis.Array = PlainArray
    globalThis.Float64Array = PlainFloat64Array
  }
  return seen
}

function watched<Constructor extends ArrayConstructor | Float64ArrayConstructor>(
  plain: Constructor,
  asked: (count: number) => void,
): Constructor {
  return new Proxy(plain, {
    construct(target, parameters, newTarget) {
      if (typeof parameters[0] === 'number') asked(parameters[0])
      return Reflect.construct(target, parameters, newTarget)
    },
  })
}
