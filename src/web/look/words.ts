/** Figures as people read them. Units come in as on the wire of the clients: metres, m/s, degrees, ms. */

const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

export function speedWords(metresPerSecond: number | null): string {
  if (metresPerSecond === null) return '–'
  const kmh = metresPerSecond * 3.6
  return `${kmh < 10 ? kmh.toFixed(1) : Math.round(kmh)} km/h`
}

export function distanceWords(metres: number): string {
  if (metres < 1_000) return `${Math.round(metres)} m`
  const km = metres / 1_000
  return `${km < 100 ? km.toFixed(1) : Math.round(km).toLocaleString('en')} km`
}

/** How long ago, in the largest unit that fits: `4 s`, `12 min`, `3 h`, `5 d`. */
export function ageWords(ms: number): string {
  const age = Math.max(0, ms)
  if (age < MINUTE_MS) return `${Math.floor(age / SECOND_MS)} s`
  if (age < HOUR_MS) return `${Math.floor(age / MINUTE_MS)} min`
  if (age < DAY_MS) return `${Math.floor(age / HOUR_MS)} h`
  return `${Math.floor(age / DAY_MS)} d`
}

export function durationWords(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const hours = Math.floor(whole / 3_600)
  const minutes = Math.floor((whole % 3_600) / 60)
  if (hours > 0) return `${hours} h ${String(minutes).padStart(2, '0')} min`
  return minutes > 0 ? `${minutes} min` : `${whole} s`
}

export function clockWords(ms: number): string {
  return new Date(ms).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })
}

export function timeWords(ms: number): string {
  return new Date(ms).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })
}

export function dayWords(ms: number): string {
  return new Date(ms).toLocaleDateString('en-GB', { weekday: 'short', day: 'numeric', month: 'short' })
}

export function momentWords(ms: number): string {
  return `${dayWords(ms)}, ${timeWords(ms)}`
}

const COMPASS = ['N', 'NE', 'E', 'SE', 'S', 'SW', 'W', 'NW'] as const

export function compassWords(degrees: number): string {
  return COMPASS[Math.round(degrees / 45) % COMPASS.length]!
}

/** `12 400` with a thin gap, `1.2 M`. */
export function countWords(value: number): string {
  if (Math.abs(value) >= 10_000_000) return `${(value / 1_000_000).toFixed(1)} M`
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en').replaceAll(',', ' ')
  return String(Math.round(value * 10) / 10)
}

export function bytesWords(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MB`
}
