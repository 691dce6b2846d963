/** The log: structured lines on stdout, and what must never appear in them. */
import { type Logger, pino } from 'pino'

export type Log = Logger

/** Keys, tokens and positions are nobody's business, even if someone logs a whole object by mistake. */
const REDACTED = [
  'deviceKey',
  'pairingToken',
  'pairingUrl',
  'token',
  'secret',
  'authorization',
  'password',
  'databaseUrl',
  'lat',
  'lng',
  'values',
  'parameters',
  'detail',
]

export function createLog(level: string): Log {
  return pino({
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: REDACTED.flatMap((name) => [name, `*.${name}`]), remove: true },
  })
}
