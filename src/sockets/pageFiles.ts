/**
 * The built pages, read into memory once, and what to answer when a browser asks for one: which form of the file, and
 * the headers that go with it. It knows no server.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export interface PagesOptions {
  /** A map style from elsewhere: its origin may be asked for it, and for its tiles. */
  mapStyle: string | null
  /** Where people sign in, if not with a link: the page asks it for a token. */
  issuer: string | null
  folder?: string
}

export interface Ask {
  path: string
  acceptEncoding: string
  ifNoneMatch: string
}

export interface Reply {
  status: 200 | 304
  headers: Readonly<Record<string, string>>
  body: Uint8Array
}

interface File {
  headers: Readonly<Record<string, string>>
  etag: string
  /** By content coding; '' is the file as it is. */
  forms: ReadonlyMap<string, Uint8Array>
}

export type Pages = ReturnType<typeof readPages>

const BUILT = fileURLToPath(new URL('../web/', import.meta.url))
const PLACES: Readonly<Record<string, string>> = {
  '/': '/index.html',
  '/track': '/track.html',
  '/admin': '/admin.html',
}
/** Smallest first. The build writes them beside the file. */
const CODINGS = [
  { coding: 'br', suffix: '.br' },
  { coding: 'gzip', suffix: '.gz' },
] as const
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.webmanifest': 'application/manifest+json',
  '.woff2': 'font/woff2',
}
const NOTHING = new Uint8Array()

/** Throws when the folder is there and cannot be read. Without it there are no pages, only the API. */
export function readPages({ folder = BUILT, ...options }: PagesOptions) {
  const policy = securityHeaders(options)
  const files = new Map<string, File>()
  for (const name of namesIn(folder)) {
    const place = `/${name.split(path.sep).join('/')}`
    const file = readFile(path.join(folder, name), place, policy)
    if (file !== null) files.set(place, file)
  }
  return { count: files.size, find }

  /** null: no page of that name. */
  function find({ path: place, acceptEncoding, ifNoneMatch }: Ask): Reply | null {
    const file = files.get(PLACES[place] ?? place)
    if (file === undefined) return null
    if (ifNoneMatch.split(',').some((tag) => tag.trim().replace(/^W\//, '') === file.etag)) {
      return { status: 304, headers: file.headers, body: NOTHING }
    }
    const accepted = acceptedCodings(acceptEncoding)
    const best = CODINGS.find(({ coding }) => accepted.has(coding) && file.forms.has(coding))
    const body = file.forms.get(best?.coding ?? '')!
    return {
      status: 200,
      headers: best === undefined ? file.headers : { ...file.headers, 'Content-Encoding': best.coding },
      body,
    }
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** null for what the pages never ask for. */
function readFile(file: string, place: string, policy: Readonly<Record<string, string>>): File | null {
  const contentType = CONTENT_TYPES[path.extname(place)]
  if (contentType === undefined) return null
  const bytes = readFileSync(file)
  const forms = new Map<string, Uint8Array>([['', bytes]])
  for (const { coding, suffix } of CODINGS) {
    try {
      forms.set(coding, readFileSync(file + suffix))
    } catch {
      // Not worth compressing.
    }
  }
  const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`
  // The name of an asset changes with its content; of anything else only the content does.
  const isHashed = place.startsWith('/assets/')
  const headers = {
    ...policy,
    'Content-Type': contentType,
    'Cache-Control': isHashed ? 'public, max-age=31536000, immutable' : 'no-cache',
    ETag: etag,
    Vary: 'Accept-Encoding',
  }
  return { headers, etag, forms }
}

/** Codings with `q=0` are refused (RFC 9110, 12.5.3). */
function acceptedCodings(header: string): Set<string> {
  const accepted = new Set<string>()
  for (const item of header.split(',')) {
    const [coding, ...parameters] = item.split(';').map((part) => part.trim().toLowerCase())
    if (!parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))) accepted.add(coding!)
  }
  return accepted
}

function securityHeaders({ mapStyle, issuer }: Omit<PagesOptions, 'folder'>): Record<string, string> {
  const map = originOf(mapStyle)
  const sources = {
    'default-src': ["'none'"],
    'script-src': ["'self'"],
    'style-src': ["'self'"],
    'img-src': ["'self'", 'data:', 'blob:', ...map],
    'font-src': ["'self'"],
    'connect-src': ["'self'", ...map, ...originOf(issuer)],
    'worker-src': ["'self'"],
    'manifest-src': ["'self'"],
    'base-uri': ["'none'"],
    'form-action': ["'none'"],
    'frame-ancestors': ["'none'"],
  }
  return {
    'Content-Security-Policy': Object.entries(sources)
      .map(([directive, values]) => `${directive} ${values.join(' ')}`)
      .join('; '),
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'geolocation=(self), screen-wake-lock=(self), camera=(), microphone=()',
  }
}

function originOf(url: string | null): string[] {
  return url === null || !URL.canParse(url) ? [] : [new URL(url).origin]
}
