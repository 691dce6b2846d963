/** Words on the map: names of devices and countries, and the figures of the graticule, on a canvas above it. */
import type { GridLine } from './graticule.ts'
import type { CountryName, Palette } from './outlines.ts'

export interface DeviceLabel {
  name: string
  /** Said below the name of a device that is not there now. */
  age: string | null
  x: number
  y: number
  isSelected: boolean
}

export interface LabelScene {
  width: number
  height: number
  palette: Palette
  devices: readonly DeviceLabel[]
  countries: readonly CountryName[]
  grid: readonly GridLine[]
  insets: { top: number; right: number; bottom: number; left: number }
  pixelsPerDegree: number
  toX: (mercatorX: number) => number
  toY: (mercatorY: number) => number
  placeOf: (lng: number, lat: number) => { x: number; y: number }
  font: string
}

interface Box {
  x0: number
  y0: number
  x1: number
  y1: number
}

const NAME_PIXELS = 12.5
const MARKER_PIXELS = 14
const SELECTED_PIXELS = 22

export function createLabels(canvas: HTMLCanvasElement) {
  const context = canvas.getContext('2d')!
  const widths = new Map<string, number>()
  const widthsMax = 20_000
  return { draw }

  function draw(scene: LabelScene): void {
    const { width, height } = scene
    const ratio = devicePixelRatio
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio)
      canvas.height = Math.round(height * ratio)
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0)
    context.clearRect(0, 0, width, height)
    context.lineJoin = 'round'
    context.textBaseline = 'middle'
    const taken: Box[] = []
    drawDevices(scene, taken)
    drawGrid(scene, taken)
    drawCountries(scene, taken)
  }

  function drawDevices({ devices, palette, font }: LabelScene, taken: Box[]): void {
    context.textAlign = 'left'
    for (const { x, y } of devices) taken.push({ x0: x - 7, y0: y - 7, x1: x + 7, y1: y + 7 })
    for (const device of devices) {
      const weight = device.isSelected ? 650 : 500
      context.font = `${weight} ${NAME_PIXELS}px ${font}`
      const words = device.age === null ? device.name : `${device.name} · ${device.age}`
      const width = widthOf(words)
      const x0 = device.x + (device.isSelected ? SELECTED_PIXELS : MARKER_PIXELS)
      const box = { x0, y0: device.y - 8, x1: x0 + width, y1: device.y + 8 }
      if (!device.isSelected && !isFree(box, taken)) continue
      taken.push(box)
      write(words, x0, device.y, device.age === null ? palette.name : palette.text, palette.halo, 3.5)
    }
  }

  function drawCountries(
    { countries, palette, pixelsPerDegree, placeOf, font, width, height }: LabelScene,
    taken: Box[],
  ) {
    context.textAlign = 'center'
    context.font = `550 11px ${font}`
    for (const { name, lng, lat, degrees } of countries) {
      const room = degrees * pixelsPerDegree
      if (room > width * 2.5) continue
      const words = name.toUpperCase()
      const wide = widthOf(words) * 1.12
      if (room < wide) continue
      const { x, y } = placeOf(lng, lat)
      const box = { x0: x - wide / 2, y0: y - 8, x1: x + wide / 2, y1: y + 8 }
      if (box.x1 < 0 || box.x0 > width || y < 0 || y > height || taken.some((other) => overlap(other, box)))
        continue
      taken.push(box)
      context.letterSpacing = '1.2px'
      context.globalAlpha = 0.75
      write(words, x, y, palette.text, palette.halo, 3)
      context.globalAlpha = 1
      context.letterSpacing = '0px'
    }
  }

  function drawGrid(
    { grid, palette, insets, width, height, toX, toY, font }: LabelScene,
    taken: Box[],
  ): void {
    context.font = `450 10.5px ${font}`
    context.globalAlpha = 0.85
    for (const { axis, label, x0, y0 } of grid) {
      if (axis === 'lng') {
        context.textAlign = 'center'
        const x = toX(x0)
        const y = height - insets.bottom - 12
        if (
          x > insets.left + 70 &&
          x < width - 150 &&
          isFree({ x0: x - 30, y0: y - 7, x1: x + 30, y1: y + 7 }, taken)
        ) {
          write(label, x, height - insets.bottom - 12, palette.text, palette.halo, 3)
        }
      } else {
        context.textAlign = 'left'
        const y = toY(y0)
        const x = insets.left + 6
        if (
          y > insets.top + 16 &&
          y < height - insets.bottom - 34 &&
          isFree({ x0: x, y0: y - 7, x1: x + 60, y1: y + 7 }, taken)
        ) {
          write(label, insets.left + 6, y, palette.text, palette.halo, 3)
        }
      }
    }
    context.globalAlpha = 1
  }

  function write(words: string, x: number, y: number, color: string, halo: string, haloWidth: number): void {
    context.strokeStyle = halo
    context.lineWidth = haloWidth
    context.strokeText(words, x, y)
    context.fillStyle = color
    context.fillText(words, x, y)
  }

  function widthOf(words: string): number {
    const key = context.font + words
    let width = widths.get(key)
    if (width === undefined) {
      if (widths.size >= widthsMax) widths.clear()
      width = context.measureText(words).width
      widths.set(key, width)
    }
    return width
  }
}

function isFree(box: Box, taken: readonly Box[]): boolean {
  return !taken.some((other) => overlap(other, box))
}

function overlap(a: Box, b: Box): boolean {
  return a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1
}
