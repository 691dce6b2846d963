/** The formats that tracks come in, and which of them a request wants. What a track is made of it leaves to each. */
import Negotiator from 'negotiator'

export const FORMAT_NAMES = ['json', 'geojson', 'gpx', 'csv'] as const
export type FormatName = (typeof FORMAT_NAMES)[number]

/** As `Accept` names them. */
export const MEDIA_TYPES: Readonly<Record<FormatName, string>> = {
  json: 'application/json',
  geojson: 'application/geo+json',
  gpx: 'application/gpx+xml',
  csv: 'text/csv',
}

/** What `Content-Type` says. */
export const CONTENT_TYPES: Readonly<Record<FormatName, string>> = {
  ...MEDIA_TYPES,
  csv: 'text/csv; charset=utf-8; header=present',
}

/** The format that the header `Accept` likes best, the first of the list where it does not care; null: none will do. */
export function acceptedFormat(accept: string): FormatName | null {
  if (accept.trim() === '') return FORMAT_NAMES[0]
  const types = FORMAT_NAMES.map((name) => MEDIA_TYPES[name])
  const best = new Negotiator({ headers: { accept } }).mediaType(types)
  return FORMAT_NAMES.find((name) => MEDIA_TYPES[name] === best) ?? null
}
