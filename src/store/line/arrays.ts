/**
 * Array parameters as PostgreSQL's text form, built by hand: the driver passes a string for an array through
 * untouched, which costs a third of its own arrays. Numbers and known words only, so nothing needs quoting.
 */
import { beginArray, put, written } from './digits.ts'

/** `{1,2,NULL}`; NaN is NULL. Throws on an infinite number, which no column of ours may hold. */
export function numbers(values: Iterable<number>): string {
  beginArray()
  for (const value of values) put(value)
  return written()
}

/** `{gps,fused}`. Throws on anything but lower-case words. */
export function words(values: Iterable<string>): string {
  let text = ''
  for (const value of values) {
    if (!/^[a-z_]+$/.test(value)) throw new RangeError('only plain words may be written without quotes')
    text += `,${value}`
  }
  return `{${text.slice(1)}}`
}

/** `{0a1b,2c3d}`. Throws on anything but hexadecimal digits. */
export function hexes(values: Iterable<string>): string {
  const all = [...values]
  if (!all.every((value) => /^[0-9a-f]+$/.test(value))) {
    throw new RangeError('only hexadecimal digits may be written without quotes')
  }
  return `{${all.join(',')}}`
}

/** Several columns from the same rows: one array parameter for each column. */
export function column<Row>(rows: readonly Row[], of: (row: Row) => number | null): string {
  beginArray()
  for (let i = 0; i < rows.length; i++) put(of(rows[i]!))
  return written()
}
