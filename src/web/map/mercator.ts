/** Web Mercator in units of the whole world, 0…1 from west to east and from north to south, and back. */

const EARTH_METRES = 40_075_016.686
const RADIANS = Math.PI / 180

export function mercatorX(lng: number): number {
  return (lng + 180) / 360
}

export function mercatorY(lat: number): number {
  return (1 - Math.asinh(Math.tan(lat * RADIANS)) / Math.PI) / 2
}

export function lngOf(x: number): number {
  return x * 360 - 180
}

export function latOf(y: number): number {
  return Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) / RADIANS
}

/** How many Mercator units a metre is at `y`. */
export function unitsPerMetre(y: number): number {
  return 1 / (EARTH_METRES * Math.cos(latOf(y) * RADIANS))
}

const MEAN_RADIUS_METRES = 6_371_008.8

export interface Place {
  lat: number
  lng: number
}

/** Great-circle distance by the haversine formula. */
export function metresBetween(from: Place, to: Place): number {
  const halfLat = Math.sin(((to.lat - from.lat) * RADIANS) / 2)
  const halfLng = Math.sin(((to.lng - from.lng) * RADIANS) / 2)
  const chord = halfLat ** 2 + Math.cos(from.lat * RADIANS) * Math.cos(to.lat * RADIANS) * halfLng ** 2
  return 2 * MEAN_RADIUS_METRES * Math.asin(Math.min(1, Math.sqrt(chord)))
}
