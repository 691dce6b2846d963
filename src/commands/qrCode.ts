/** A QR code for a terminal. What it says is the caller's business. */
import { renderUnicodeCompact } from 'uqr'

/** Light modules around it, so that a camera tells it from the text beside it. */
const BORDER = 2
/** Light on dark whatever the colours of the terminal are: half the readers give up on the inverse. */
const LIGHT_ON_DARK = '\x1b[97;40m'
const RESET = '\x1b[0m'

/** Lines of half blocks, two rows of the code in each. `isColored` is for a terminal, not for a file. */
export function qrCode(text: string, isColored: boolean): string[] {
  const lines = renderUnicodeCompact(text, { border: BORDER }).split('\n')
  return isColored ? lines.map((line) => `${LIGHT_ON_DARK}${line}${RESET}`) : lines
}
