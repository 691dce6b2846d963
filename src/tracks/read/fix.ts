/**
 * What one recorded fix is, and how the texts of a track file become its numbers. It knows neither
 * file formats nor the wire: a range here is what the words mean, not what the hub accepts.
 */

/** One position as a receiver recorded it: degrees, metres, metres per second, degrees from true north. */
export interface Fix {
  /** Milliseconds since 1970-01-01 UTC; null where the file gives no time. */
  recordedMs: number | null
  lat: number
  lng: number
  accuracy?: number
  speed?: number
  heading?: number
  altitude?: number
  /** The line of the file (1 is the first): where a GPX point opens, where a CSV record ends. */
  line: number
  /** A CSV record's fields by the header's own names; empty for GPX. */
  columns: Readonly<Record<string, string>>
}

/** The file cannot be read as a track. The message is one line: file, line where there is one, reason. */
export class TrackError extends Error {
  readonly file: string
  readonly line: number | null

  constructor(file: string, line: number | null, reason: string) {
    super(line === null ? `${file}: ${reason}` : `${file}, line ${line}: ${reason}`)
    this.name = 'TrackError'
    this.file = file
    this.line = line
  }
}

/** Texts of one fix, as a format found them; undefined where it has no such field at all. */
export interface FixTexts {
  lat: string | undefined
  lng: string | undefined
  time: string | undefined
  accuracy?: string | undefined
  speed?: string | undefined
  heading?: string | undefined
  altitude?: string | undefined
}

/**
 * The numbers of one fix. A latitude, longitude or time that cannot be read is an error, and so is an
 * optional field that is no number at all; an optional number out of its range is left out, because
 * receivers write −1 for what they do not know. `fail` gets the reason and must throw.
 */
export function fixOf(
  texts: FixTexts,
  line: number,
  columns: Fix['columns'],
  fail: (reason: string) => never,
): Fix {
  const fix: Fix = {
    recordedMs: recordedMsOf(texts.time, fail),
    lat: degreesOf('latitude', texts.lat, 90, fail),
    lng: degreesOf('longitude', texts.lng, 180, fail),
    line,
    columns,
  }
  const accuracy = numberOf('accuracy', texts.accuracy, fail)
  const speed = numberOf('speed', texts.speed, fail)
  const heading = numberOf('heading', texts.heading, fail)
  const altitude = numberOf('altitude', texts.altitude, fail)
  if (accuracy !== null && accuracy >= 0) fix.accuracy = accuracy
  if (speed !== null && speed >= 0) fix.speed = speed
  if (heading !== null && heading >= 0 && heading <= 360) fix.heading = heading === 360 ? 0 : heading
  if (altitude !== null) fix.altitude = altitude
  return fix
}

/** How files say "not known" without leaving the field empty. */
const ABSENT = new Set(['', 'nan', 'nat', 'null', 'none', 'na', 'n/a', '-'])
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i

/**
 * ISO 8601 and its usual relatives: `T` or a space between date and time, `/` for `-`, a fraction of any
 * length, a zone or none (then UTC), and Unix time in seconds or milliseconds. Null for an absent time.
 */
export function recordedMsOf(text: string | undefined, fail: (reason: string) => never): number | null {
  const trimmed = text?.trim() ?? ''
  if (ABSENT.has(trimmed.toLowerCase())) return null
  return calendarMs(trimmed) ?? unixMs(trimmed) ?? fail(`bad time ${quoted(trimmed)}`)
}

const CALENDAR =
  /^(\d{4})([-/])(\d\d)\2(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)? ?(?:(Z|UTC)|([+-])(\d\d)(?::?(\d\d))?)?$/i

function calendarMs(text: string): number | null {
  const match = CALENDAR.exec(text)
  if (match === null) return null
  const part = (group: number) => Number(match[group] ?? 0)
  const [year, month, day, hour, minute, second] = [1, 3, 4, 5, 6, 7].map(part) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  // 60 is a leap second; Date.UTC makes it the first second of the next minute.
  if (hour > 23 || minute > 59 || second > 60 || part(11) > 23 || part(12) > 59) return null
  const midnight = new Date(Date.UTC(year, month - 1, day))
  if (midnight.getUTCFullYear() !== year || midnight.getUTCMonth() !== month - 1) return null
  if (midnight.getUTCDate() !== day) return null
  const fractionMs = Number((match[8] ?? '').slice(0, 3).padEnd(3, '0'))
  const offsetMin = (part(11) * 60 + part(12)) * (match[10] === '-' ? -1 : 1)
  return midnight.getTime() + (hour * 3_600 + minute * 60 + second) * 1_000 + fractionMs - offsetMin * 60_000
}

/** Seconds have nine or ten digits from 1973 to 2286, milliseconds twelve or thirteen. */
function unixMs(text: string): number | null {
  if (/^\d{9,10}(\.\d+)?$/.test(text)) return Math.floor(Number(text) * 1_000)
  return /^\d{12,13}$/.test(text) ? Number(text) : null
}

function degreesOf(
  name: string,
  text: string | undefined,
  limit: number,
  fail: (reason: string) => never,
): number {
  if (text === undefined) return fail(`no ${name}`)
  const trimmed = text.trim()
  if (!NUMBER.test(trimmed)) return fail(`bad ${name} ${quoted(trimmed)}`)
  const degrees = Number(trimmed)
  return Math.abs(degrees) <= limit ? degrees : fail(`bad ${name} ${quoted(trimmed)}, not within ±${limit}`)
}

function numberOf(name: string, text: string | undefined, fail: (reason: string) => never): number | null {
  const trimmed = text?.trim() ?? ''
  if (ABSENT.has(trimmed.toLowerCase())) return null
  if (!NUMBER.test(trimmed)) return fail(`bad ${name} ${quoted(trimmed)}`)
  const value = Number(trimmed)
  // The wire's integers of centimetres end at ±2³¹ − 1; a larger figure is no measurement.
  return Math.abs(value) < 2e7 ? value : null
}

const SHOWN_CHARS_MAX = 120

/** A piece of a file, safe to show in one line of a terminal: no control characters, not endless. */
export function shown(text: string): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\uFFFD')
  return clean.length <= SHOWN_CHARS_MAX ? clean : `${clean.slice(0, SHOWN_CHARS_MAX)}…`
}

function quoted(text: string): string {
  return `"${shown(text)}"`
}
