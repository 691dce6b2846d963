/** What every answer over HTTP tells a browser, whatever was asked for. It knows no route. */
import type { Visitor } from './visitor.ts'

/** Half a year. A certificate that has ended keeps browsers out meanwhile, so it is no more than that. */
const HTTPS_S = 180 * 24 * 3_600

/** Names and values, to begin the headers of an answer with. */
export function browserHeaders({ isHttpsOfHost }: Pick<Visitor, 'isHttpsOfHost'>): Record<string, string> {
  return {
    'X-Content-Type-Options': 'nosniff',
    ...(isHttpsOfHost && { 'Strict-Transport-Security': `max-age=${HTTPS_S}` }),
  }
}
