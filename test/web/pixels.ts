/** What is to be seen in a picture of a page: its pixels, a QR code, where a colour is. */
import jsQr from 'jsqr'
import type { Locator, Page } from 'playwright-core'

interface Pixels {
  width: number
  height: number
  /** Red, green, blue, alpha. */
  data: Uint8ClampedArray
}

/** The browser that took the picture can read it, too. */
async function pixelsOf(page: Page, picture: Buffer): Promise<Pixels> {
  const { width, height, text } = await page.evaluate(async (base64) => {
    const image = new Image()
    image.src = `data:image/png;base64,${base64}`
    await image.decode()
    const canvas = new OffscreenCanvas(image.width, image.height)
    const context = canvas.getContext('2d')!
    context.drawImage(image, 0, 0)
    const { data } = context.getImageData(0, 0, image.width, image.height)
    let text = ''
    for (let i = 0; i < data.length; i += 8_192) text += String.fromCharCode(...data.subarray(i, i + 8_192))
    return { width: image.width, height: image.height, text: btoa(text) }
  }, picture.toString('base64'))
  return { width, height, data: new Uint8ClampedArray(Buffer.from(text, 'base64')) }
}

export async function qrTextOf(of: Locator): Promise<string> {
  const { data, width, height } = await pixelsOf(of.page(), await of.screenshot())
  const code = jsQr.default(data, width, height)
  if (code === null) throw new Error('there is no QR code to be seen')
  return code.data
}

/** The middle of all pixels of about this colour in a part of the page, and how many there are. */
export async function centreOf(
  page: Page,
  clip: { x: number; y: number; width: number; height: number },
  [red, green, blue]: readonly [number, number, number],
): Promise<{ x: number; y: number; count: number }> {
  const { data, width } = await pixelsOf(page, await page.screenshot({ clip }))
  let [x, y, count] = [0, 0, 0]
  for (let i = 0; i < data.length; i += 4) {
    const distance = Math.abs(data[i]! - red) + Math.abs(data[i + 1]! - green) + Math.abs(data[i + 2]! - blue)
    if (distance > 12) continue
    x += (i / 4) % width
    y += Math.floor(i / 4 / width)
    count += 1
  }
  return { x: x / count, y: y / count, count }
}

/** How many pixels of a part of the page differ from `before`, and what it looks like now. */
export async function changedPixels(
  page: Page,
  clip: { x: number; y: number; width: number; height: number },
  before: Uint8ClampedArray | null,
): Promise<{ pixels: Uint8ClampedArray; changed: number }> {
  const { data } = await pixelsOf(page, await page.screenshot({ clip }))
  let changed = 0
  for (let i = 0; before !== null && i < data.length; i += 4) {
    if (data[i] !== before[i] || data[i + 1] !== before[i + 1] || data[i + 2] !== before[i + 2]) changed += 1
  }
  return { pixels: data, changed }
}
