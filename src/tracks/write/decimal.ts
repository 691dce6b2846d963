/** Numbers as text for formats that know no exponents. */

const DIGITS_MAX = 7

/** The shortest text that reads back as the same number; null stays null. Seven decimals is all that points have. */
export function decimal(value: number | null): string | null {
  if (value === null) return null
  const text = String(value)
  return text.includes('e') ? value.toFixed(DIGITS_MAX) : text
}
