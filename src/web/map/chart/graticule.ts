/** Lines of latitude and longitude at a distance that suits the zoom, and what to write beside them. */
import { latOf, lngOf, mercatorX, mercatorY } from '../mercator.ts'

export interface GridLine {
  x0: number
  y0: number
  x1: number
  y1: number
  axis: 'lat' | 'lng'
  label: string
}

/** Of Mercator units; 0…1 is the world. */
export interface Extent {
  west: number
  east: number
  north: number
  south: number
}

const STEPS = [30, 15, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001]
const SPACING_PIXELS_MIN = 130
const LINES_MAX = 60
const LAT_MAX = 85

export function graticuleOf({ west, east, north, south }: Extent, pixelsPerUnit: number): GridLine[] {
  const pixelsPerDegree = pixelsPerUnit / 360
  const step = STEPS.findLast((degrees) => degrees * pixelsPerDegree >= SPACING_PIXELS_MIN) ?? STEPS[0]!
  const digits = Math.max(0, Math.ceil(-Math.log10(step)))
  const lines: GridLine[] = []
  for (const lng of multiples(step, lngOf(west), lngOf(east))) {
    const x = mercatorX(lng)
    const label = `${Math.abs(lng).toFixed(digits)}°${lng > 0 ? ' E' : lng < 0 ? ' W' : ''}`
    lines.push({ x0: x, y0: north, x1: x, y1: south, axis: 'lng', label })
  }
  for (const lat of multiples(step, Math.max(latOf(south), -LAT_MAX), Math.min(latOf(north), LAT_MAX))) {
    const y = mercatorY(lat)
    const label = `${Math.abs(lat).toFixed(digits)}°${lat > 0 ? ' N' : lat < 0 ? ' S' : ''}`
    lines.push({ x0: west, y0: y, x1: east, y1: y, axis: 'lat', label })
  }
  return lines
}

function multiples(step: number, from: number, to: number): number[] {
  const first = Math.ceil(from / step)
  const count = Math.min(LINES_MAX, Math.floor(to / step) - first + 1)
  return Array.from({ length: Math.max(0, count) }, (_, i) => round((first + i) * step))
}

function round(degrees: number): number {
  return Math.round(degrees * 1e6) / 1e6
}
