/**
 * The environment → a frozen config. Every setting has its name, default and meaning here and nowhere else, except the
 * limits, which are in limits.ts.
 */
import { z } from 'zod'
import { type Network, readNetwork } from './access/addresses.ts'
import { readOrigin } from './access/origins.ts'
import { conflicts, LIMITS, type Limits, type Row, variableOf } from './limits.ts'

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

/** What each is, and where its default does not say it, what holds without it. */
const MEANINGS: Readonly<Record<keyof typeof SETTINGS, string>> = {
  ALZY_HOST: 'The address to listen on; 0.0.0.0 is all of the machine.',
  ALZY_PORT: 'The port to listen on; 0 picks a free one, which the line "listening" of the log tells.',
  DATABASE_URL: `The PostgreSQL server with PostGIS, ${DATABASE_URL_EXAMPLE}; without it the hub has an embedded database.`,
  ALZY_DATA_DIR: 'The folder of the embedded database and of the secret that the hub makes itself.',
  ALZY_SECRET:
    'What tokens are signed with, at least 32 bytes, required with DATABASE_URL; without it one is made at the first start and kept in ALZY_DATA_DIR.',
  ALZY_OIDC_ISSUER: 'The address of an OpenID issuer whose tokens are as good as those of the hub.',
  ALZY_OIDC_AUDIENCE: 'Whom the issuer has to make them for: the id of the client that the pages sign in as.',
  ALZY_ORIGINS:
    "Origins of browsers allowed besides the hub's own, separated by commas, each by itself; links to the hub begin with the first.",
  ALZY_MAP_STYLE:
    'The address of a MapLibre style for the live map; without it outlines of land, from the hub itself.',
  ALZY_TRUSTED_PROXIES:
    'Addresses and networks (10.0.0.0/8, 2001:db8::/32), separated by commas, whose X-Forwarded-For and X-Forwarded-Proto count.',
  ALZY_TLS_CERT:
    'A file in PEM, the certificate with its chain; with ALZY_TLS_KEY the hub itself speaks TLS.',
  ALZY_TLS_KEY: 'A file in PEM, the key of that certificate, without a passphrase.',
  ALZY_RETENTION_DAYS: `How many days points are kept, 1 to ${RETENTION_DAYS_MAX}; older ones are deleted, and refused; without it none is.`,
  ALZY_LOG_LEVEL: `How much the log tells, ${LOG_LEVELS.join(', ')}; the audit trail is of the level info.`,
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

/** Every setting but the limits. */
export function settingTable(): Row[] {
  return Object.entries(SETTINGS).map(([variable, schema]) => ({
    variable,
    value: String(schema.safeParse(undefined).data ?? ''),
    range: '',
    meaning: MEANINGS[variable as keyof typeof SETTINGS],
  }))
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
