/** Moments as rows hold them, as the ISO 8601 text that answers show. */

export function iso(moment: unknown): string {
  return (moment as Date).toISOString()
}

export function isoOrNull(moment: unknown): string | null {
  return moment instanceof Date ? iso(moment) : null
}
