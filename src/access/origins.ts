/**
 * Origins of browsers: one spelling each, which of them may talk to the hub, and what the hub itself is called.
 * The list names origins one by one; there are no patterns, and `null` is nobody's origin.
 */
export interface OriginsOptions {
  /** As `readOrigin` spells them. */
  allowed: readonly string[]
  /** What the hub is called where a request does not say: `http://127.0.0.1:9001`. */
  fallback: () => string
}

/** What a request says of the hub that it was sent to. */
export interface Called {
  scheme: 'http' | 'https'
  /** The field `Host`, empty when there is none. */
  host: string
}

export type Origins = ReturnType<typeof createOrigins>

const SHAPE = /^https?:\/\/(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i

/** The spelling that browsers use: lower case, without the scheme's own port. null: it is no origin. */
export function readOrigin(text: string): string | null {
  if (!SHAPE.test(text) || !URL.canParse(text)) return null
  return new URL(text).origin
}

export function createOrigins({ allowed, fallback }: OriginsOptions) {
  return { isAllowed, baseUrl }

  /** Whether a browser whose page is of that origin may use the hub. */
  function isAllowed(origin: string, called: Called): boolean {
    const read = readOrigin(origin)
    return read !== null && (allowed.includes(read) || read === ownOf(called))
  }

  /** How links to the hub begin. */
  function baseUrl(called: Called): string {
    return allowed[0] ?? ownOf(called) ?? fallback()
  }

  function ownOf({ scheme, host }: Called): string | null {
    return readOrigin(`${scheme}://${host}`)
  }
}
