/**
 * Writes one array of numbers after the other as PostgreSQL's text, digit by digit into memory that is used again: a
 * string for each number would cost more than all the rest of a row, and its garbage as much again. It knows no rows.
 */

const [COMMA, MINUS, ZERO, OPEN, CLOSE] = [0x2c, 0x2d, 0x30, 0x7b, 0x7d]
const NULL = Uint8Array.of(0x4e, 0x55, 0x4c, 0x4c)
/** 00, 01 … 99 */
const PAIRS = Uint8Array.from(
  { length: 200 },
  (_, i) => ZERO + (i % 2 === 0 ? Math.floor(i / 20) : (i >> 1) % 10),
)
/** A comma and the longest number, such as -1.7976931348623157e+308. */
const NUMBER_BYTES_MAX = 32
/** Larger integers are written in two parts of so many digits, each of which fits into 32 bits. */
const PART_DIGITS = 9
const PART = 10 ** PART_DIGITS

// One text for the module: writing is synchronous and never re-entered. It grows to the longest there was.
let text = Buffer.allocUnsafe(16 * 1024)
let at = 0

/** An array begins. */
export function beginArray(): void {
  at = 0
}

/** Its next element; null and NaN are NULL. Throws on an infinite number, which no column of ours may hold. */
export function put(value: number | null): void {
  if (at + NUMBER_BYTES_MAX >= text.length) grow()
  text[at++] = COMMA
  if (value === null || Number.isNaN(value)) putNull()
  else if (value === (value | 0) && value >= 0) putDigits(value, digitsOf(value))
  else if (Number.isSafeInteger(value)) putInteger(value)
  else putOther(value)
}

/** The array as far as it was written, such as `{1,2,NULL}`. */
export function written(): string {
  if (at === 0) return '{}'
  text[0] = OPEN // Where the first comma stands.
  text[at] = CLOSE
  return text.toString('latin1', 0, at + 1)
}

function grow(): void {
  const longer = Buffer.allocUnsafe(text.length * 2)
  text.copy(longer, 0, 0, at)
  text = longer
}

function putNull(): void {
  for (let i = 0; i < NULL.length; i++) text[at++] = NULL[i]!
}

function putInteger(value: number): void {
  if (value < 0) text[at++] = MINUS
  const size = Math.abs(value)
  const high = Math.floor(size / PART)
  if (high > 0) putDigits(high, digitsOf(high))
  const low = size - high * PART
  putDigits(low, high > 0 ? PART_DIGITS : digitsOf(low))
}

/** Of an integer of 32 bits. */
function digitsOf(size: number): number {
  if (size < 10_000) return size < 100 ? (size < 10 ? 1 : 2) : size < 1_000 ? 3 : 4
  if (size < 1_000_000) return size < 100_000 ? 5 : 6
  if (size < 100_000_000) return size < 10_000_000 ? 7 : 8
  return size < 1_000_000_000 ? 9 : 10
}

/** Writes an integer of 32 bits with so many digits. */
function putDigits(size: number, digits: number): void {
  const bytes = text
  let rest = size | 0
  let place = at + digits
  at = place
  for (let left = digits; left > 1; left -= 2) {
    const hundreds = (rest / 100) | 0
    const pair = (rest - hundreds * 100) << 1
    rest = hundreds
    bytes[--place] = PAIRS[pair + 1]!
    bytes[--place] = PAIRS[pair]!
  }
  if (digits % 2 === 1) bytes[--place] = ZERO + rest
}

function putOther(value: number): void {
  if (!Number.isFinite(value)) throw new RangeError('an infinite number has no place in the database')
  at += text.write(String(value), at, 'latin1')
}
