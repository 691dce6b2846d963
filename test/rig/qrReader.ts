/** Reads a QR code off a terminal as a camera would: from light and dark, by a decoder that shares nothing with src/. */
import jsqr from 'jsqr'

const PIXELS_PER_MODULE = 4
/** Which halves of a character are painted with the foreground. */
const HALVES: Readonly<Record<string, readonly [upper: boolean, lower: boolean]>> = {
  ' ': [false, false],
  '▀': [true, false],
  '▄': [false, true],
  '█': [true, true],
}
const ROW = /^[ ▀▄█]{20,}$/

/** What the code in this output says, or null. `foreground`: how the terminal paints what is not blank. */
export function readQrCode(output: string, foreground: 'light' | 'dark' = 'light'): string | null {
  const lines = plainLines(output)
  const halves = lines.filter((line) => ROW.test(line)).map((line) => [...line].map((char) => HALVES[char]!))
  const modules = halves.flatMap((row) => [row.map(([upper]) => upper), row.map(([, lower]) => lower)])
  if (modules.length === 0) return null
  const [width, height] = [modules[0]!.length * PIXELS_PER_MODULE, modules.length * PIXELS_PER_MODULE]
  const pixels = new Uint8ClampedArray(width * height * 4).fill(255)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const isPainted = modules[Math.floor(y / PIXELS_PER_MODULE)]![Math.floor(x / PIXELS_PER_MODULE)]!
      const isLight = isPainted === (foreground === 'light')
      pixels.fill(isLight ? 255 : 0, (y * width + x) * 4, (y * width + x) * 4 + 3)
    }
  }
  return jsqr.default(pixels, width, height, { inversionAttempts: 'dontInvert' })?.data ?? null
}

/** Without what a terminal does not show. */
export function plainLines(output: string): string[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what colours are made of
  return output.replace(/\x1b\[[\d;]*m/g, '').split(/\r?\n/)
}
