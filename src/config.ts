/**
 * The environment → a frozen config. Every setting has its name, unit and default here and nowhere else; the limits are
 * in limits.ts.
 */
import { z } from 'zod'
import { type Network, readNetwork } from './access/addresses.ts'
import { readOrigin } from './access/origins.ts'
import { conflicts, LIMITS, type Limits, variableOf } from './limits.ts'

export interface Config {
  readonly host: string
  readonly port: number
  /** null: the embedded database in `dataDir`. */
  readonly databaseUrl: string | null
  readonly dataDir: string
  /** null: generated and kept in `dataDir`. */
  readonly secret: string | null
  /** The OpenID issuer whose tokens are accepted, when they are made for this audience. */
  readonly oidc: { readonly issuer: string; readonly audience: string } | null
  /** Origins of browsers allowed besides the hub's own. */
  readonly origins: readonly string[]
  /** A MapLibre style for the live map; null: outlines of land, without any request elsewhere. */
  readonly mapStyle: string | null
  readonly trustedProxies: readonly Network[]
  /** Files in PEM; null: no TLS. */
  readonly tls: { readonly certPath: string; readonly keyPath: string } | null
  /** Points older than this are deleted and refused; null: none is. */
  readonly retentionMs: number | null
  readonly logLevel: string
  readonly limits: Limits
}

/** One line per problem; the command line prints them and exits with 1. */
export class ConfigError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const

/** Read by the client commands and ignored by the hub. */
const CLIENT_SETTINGS = ['ALZY_URL', 'ALZY_TOKEN']

const DAY_MS = 24 * 3_600_000
/** To the beginning of all times that a point may have. */
const RETENTION_DAYS_MAX = 36_500

const DATABASE_URL_EXAMPLE = 'postgres://user:password@host:5432/database'

const SETTINGS = {
  ALZY_HOST: z.string().min(1).default('127.0.0.1'),
  ALZY_PORT: whole(0, 65_535).default(9001),
  DATABASE_URL: z
    .string()
    .refine(
      isDatabaseUrl,
      `must look like ${DATABASE_URL_EXAMPLE}, with # ? / and @ in a password written as %23 %3F %2F %40`,
    )
    .optional(),
  ALZY_DATA_DIR: z.string().min(1).default('./.alzy'),
  ALZY_SECRET: z
    .string()
    .refine((text) => Buffer.byteLength(text) >= 32, 'must be at least 32 bytes; try: openssl rand -hex 32')
    .optional(),
  ALZY_OIDC_ISSUER: z
    .string()
    .max(255)
    .refine(isIssuer, 'must be the address of an OpenID issuer, with https: and without ? and #')
    .optional(),
  ALZY_OIDC_AUDIENCE: z.string().max(255).optional(),
  ALZY_ORIGINS: z
    .string()
    .transform(listOf(readOrigin, 'is not an origin such as https://maps.example.org (no path, no pattern)'))
    .optional(),
  ALZY_MAP_STYLE: z
    .url({ protocol: /^https?$/, error: 'must be the http(s) address of a MapLibre style' })
    .optional(),
  ALZY_TRUSTED_PROXIES: z
    .string()
    .transform(listOf(readNetwork, 'is not an address, nor a network such as 10.0.0.0/8 or 2001:db8::/32'))
    .optional(),
  ALZY_TLS_CERT: z.string().optional(),
  ALZY_TLS_KEY: z.string().optional(),
  ALZY_RETENTION_DAYS: whole(1, RETENTION_DAYS_MAX).optional(),
  ALZY_LOG_LEVEL: z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`).default('info'),
}

const SCHEMA = z.object({ ...SETTINGS, ...limitSettings() })

/** Throws ConfigError with every problem of `env`: unknown `ALZY_…` names, bad values, settings at odds. */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const problems: string[] = []
  for (const name of Object.keys(env)) {
    if (name.startsWith('ALZY_') && !(name in SCHEMA.shape) && !CLIENT_SETTINGS.includes(name)) {
      problems.push(`${name}: no such setting`)
    }
  }
  // An empty variable is how shells and compose files say "not set".
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  const parsed = SCHEMA.safeParse(given)
  if (!parsed.success) {
    for (const issue of parsed.error.issues) problems.push(`${issue.path[0]?.toString()}: ${issue.message}`)
    throw new ConfigError(problems)
  }
  const settings = parsed.data
  const limits = limitsOf(settings)
  if (settings.DATABASE_URL !== undefined && settings.ALZY_SECRET === undefined) {
    problems.push('ALZY_SECRET: required with DATABASE_URL, the same on every hub; try: openssl rand -hex 32')
  }
  const { ALZY_OIDC_ISSUER: issuer, ALZY_OIDC_AUDIENCE: audience } = settings
  if (issuer === undefined && audience !== undefined) {
    problems.push('ALZY_OIDC_ISSUER: required with ALZY_OIDC_AUDIENCE')
  }
  if (issuer !== undefined && audience === undefined) {
    problems.push('ALZY_OIDC_AUDIENCE: required with ALZY_OIDC_ISSUER, what `aud` of its tokens says')
  }
  const { ALZY_TLS_CERT: certPath, ALZY_TLS_KEY: keyPath } = settings
  if (certPath !== undefined && keyPath === undefined)
    problems.push('ALZY_TLS_KEY: required with ALZY_TLS_CERT')
  if (keyPath !== undefined && certPath === undefined)
    problems.push('ALZY_TLS_CERT: required with ALZY_TLS_KEY')
  problems.push(...conflicts(limits))
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.freeze({
    host: settings.ALZY_HOST,
    port: settings.ALZY_PORT,
    databaseUrl: settings.DATABASE_URL ?? null,
    dataDir: settings.ALZY_DATA_DIR,
    secret: settings.ALZY_SECRET ?? null,
    oidc: issuer !== undefined && audience !== undefined ? Object.freeze({ issuer, audience }) : null,
    origins: settings.ALZY_ORIGINS ?? [],
    mapStyle: settings.ALZY_MAP_STYLE ?? null,
    trustedProxies: settings.ALZY_TRUSTED_PROXIES ?? [],
    tls: certPath !== undefined && keyPath !== undefined ? { certPath, keyPath } : null,
    retentionMs: settings.ALZY_RETENTION_DAYS === undefined ? null : settings.ALZY_RETENTION_DAYS * DAY_MS,
    logLevel: settings.ALZY_LOG_LEVEL,
    limits,
  })
}

function limitsOf(settings: Record<string, unknown>): Limits {
  const entries = Object.keys(LIMITS).map((name) => [name, settings[variableOf(name)]])
  return Object.freeze(Object.fromEntries(entries)) as Limits
}

function limitSettings(): Record<string, z.ZodDefault<ReturnType<typeof whole>>> {
  return Object.fromEntries(
    Object.entries(LIMITS).map(([name, { value, min, max }]) => [
      variableOf(name),
      whole(min, max).default(value),
    ]),
  )
}

function whole(min: number, max: number) {
  const range = `must be a whole number from ${min} to ${max}`
  return z
    .string()
    .regex(/^\d+$/, range)
    .transform(Number)
    .pipe(z.number(range).min(min, range).max(max, range))
}

/** Keys that came over plain HTTP could be anybody's, except from this very machine. */
function isIssuer(text: string): boolean {
  if (!URL.canParse(text) || /[?#]/.test(text)) return false
  const { protocol, hostname, username } = new URL(text)
  const isHere = ['localhost', '127.0.0.1', '[::1]'].includes(hostname)
  return username === '' && (protocol === 'https:' || (protocol === 'http:' && isHere))
}

/** A list separated by commas; a problem for each entry that `read` does not know. */
function listOf<Item>(read: (text: string) => Item | null, problem: string) {
  return (text: string, context: z.RefinementCtx<string>): Item[] =>
    text.split(',').flatMap((entry) => {
      const item = read(entry.trim())
      if (item !== null) return [item]
      context.addIssue({ code: 'custom', message: `"${entry.trim()}" ${problem}` })
      return []
    })
}

/** Several hosts, separated by commas, are checked by the first, as the driver does. */
function isDatabaseUrl(text: string): boolean {
  return /^postgres(ql)?:\/\//.test(text) && URL.canParse(text.replace(/,[^/@?]*/, ''))
}
