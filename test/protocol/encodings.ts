/**
 * Writes msgpack by hand, in every form the format allows and not only the one a library would choose.
 * It knows the format's specification and nothing of the protocol or of src/.
 */

/** Bytes that stand for one value, taken as they are. */
export interface Raw {
  raw: Uint8Array
}

export type Wire = number | string | null | Raw | readonly Wire[]

/** Picks one of `count` possible forms: an index from 0 to `count` − 1. */
export type Choose = (count: number) => number

/** The shortest form of everything. */
export const shortest: Choose = () => 0

/** Goes round and round through `picks`, so that a generated list decides every form. */
export function chooseFrom(picks: readonly number[]): Choose {
  let next = 0
  return (count) => {
    const pick = picks[next % picks.length] ?? 0
    next += 1
    return pick % count
  }
}

export function raw(...bytes: number[]): Raw {
  return { raw: Uint8Array.from(bytes) }
}

export function isArray(value: Wire): value is readonly Wire[] {
  return Array.isArray(value)
}

export function write(value: Wire, choose: Choose): Uint8Array {
  const parts: Uint8Array[] = []
  writeTo(parts, value, choose)
  return joined(parts)
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

function writeTo(parts: Uint8Array[], value: Wire, choose: Choose): void {
  if (value === null) {
    parts.push(Uint8Array.of(0xc0))
  } else if (typeof value === 'number') {
    const forms = formsOf(value)
    parts.push(forms[choose(forms.length)]!())
  } else if (typeof value === 'string') {
    const text = new TextEncoder().encode(value)
    parts.push(header(text.length, choose, 0xa0, 32, [0xd9, 0xda, 0xdb]), text)
  } else if (isArray(value)) {
    parts.push(header(value.length, choose, 0x90, 16, [null, 0xdc, 0xdd]))
    for (const element of value) writeTo(parts, element, choose)
  } else {
    parts.push(value.raw)
  }
}

/** Every form in which a receiver must understand an integer within ±(2⁵³ − 1), the shortest first. */
export function integerForms(value: number): Uint8Array[] {
  return formsOf(value).map((form) => form())
}

function formsOf(value: number): (() => Uint8Array)[] {
  const forms: (() => Uint8Array)[] = []
  if (value >= -32 && value <= 0x7f) forms.push(() => Uint8Array.of(value))
  for (const [index, bits] of [8, 16, 32, 64].entries()) {
    if (value >= 0 && value < 2 ** bits) forms.push(() => number(0xcc + index, bits, value))
    if (value >= -(2 ** (bits - 1)) && value < 2 ** (bits - 1)) {
      forms.push(() => number(0xd0 + index, bits, value))
    }
  }
  forms.push(() => float64(value))
  if (value === 0) forms.push(() => float64(-0))
  return forms
}

export function float64(value: number): Uint8Array {
  const bytes = new Uint8Array(9)
  bytes[0] = 0xcb
  new DataView(bytes.buffer).setFloat64(1, value)
  return bytes
}

/** The two's complement of `value` in `bits` bits, behind a header byte. */
export function number(head: number, bits: number, value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(9)
  bytes[0] = head
  new DataView(bytes.buffer).setBigUint64(1, BigInt.asUintN(64, BigInt(value) << BigInt(64 - bits)))
  return bytes.slice(0, 1 + bits / 8)
}

/** A header of text or an array, whose count has a form of a few bits, and of 8, 16 and 32 bits. */
function header(
  count: number,
  choose: Choose,
  fixed: number,
  fixedBelow: number,
  heads: readonly (number | null)[],
): Uint8Array {
  const forms: Uint8Array[] = []
  if (count < fixedBelow) forms.push(Uint8Array.of(fixed | count))
  for (const [index, bits] of [8, 16, 32].entries()) {
    const head = heads[index]
    if (head != null && count < 2 ** bits) forms.push(number(head, bits, count))
  }
  return forms[choose(forms.length)]!
}
