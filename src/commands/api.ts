/**
 * The hub's HTTP API as the commands use it: one request, one answer, and every failure as one clear line.
 * What the answers mean is known by each command alone.
 */
import type { ProblemJson } from '../protocol/http.ts'

export type ApiClient = ReturnType<typeof createApiClient>

/** The hub said no, or was not there (`status` null). The message is one line. */
export class ApiError extends Error {
  readonly status: number | null

  constructor(message: string, status: number | null) {
    super(message)
    this.name = 'ApiError'
    this.status = status
  }
}

/** How OpenSSL says that it does not know an issuer. */
const UNTRUSTED = /SELF_SIGNED_CERT|UNABLE_TO_(?:GET_ISSUER|VERIFY_LEAF)|CERT_UNTRUSTED/
const ANSWER_TIMEOUT_MS = 30_000

/** `baseUrl` is the hub's, like http://127.0.0.1:9001 (`ws:` will do); `token` goes into every request. */
export function createApiClient(baseUrl: string, token: string) {
  const base = baseUrl.replace(/\/+$/, '').replace(/^ws/, 'http')
  return { request, listed }

  /**
   * The answer's JSON (undefined for 204). `path` begins with `/v1`; `body` is sent as JSON when given. The
   * caller names the shape it was promised; nothing here checks it. Throws ApiError.
   */
  async function request<T = unknown>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await answer(method, path, body)
    const text = await response.text().catch((error) => unreachable(error))
    const json = parsed(text)
    if (!response.ok) throw new ApiError(refusal(response, json), response.status)
    if (text !== '' && json === undefined) {
      throw new ApiError(
        `${base}${path} answered with something else than JSON: is this a hub?`,
        response.status,
      )
    }
    return json as T
  }

  /** All entries of a list that comes in pages: `key` is the list's name in the answer. */
  async function listed<T>(path: string, key: string): Promise<T[]> {
    const entries: T[] = []
    for (let after: string | null = null; ; ) {
      const glue = path.includes('?') ? '&' : '?'
      const query: string = after === null ? '' : `${glue}after=${encodeURIComponent(after)}`
      const page: ({ next?: string | null } & Record<string, unknown>) | undefined = await request(
        'GET',
        path + query,
      )
      const found = page?.[key]
      if (!Array.isArray(found))
        throw new ApiError(`${base}${path} answered without ${key}: is this a hub?`, 200)
      entries.push(...found)
      if (page?.next == null || page.next === after) return entries
      after = page.next
    }
  }

  async function answer(method: string, path: string, body: unknown): Promise<Response> {
    const headers: Record<string, string> = { accept: 'application/json', authorization: `Bearer ${token}` }
    if (body !== undefined) headers['content-type'] = 'application/json'
    try {
      return await fetch(base + path, {
        method,
        headers,
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
    } catch (error) {
      return unreachable(error)
    }
  }

  function unreachable(error: unknown): never {
    const { name, cause, message } = error as Error & { cause?: { code?: string; message?: string } }
    if (name === 'TimeoutError') {
      throw new ApiError(`the hub at ${base} did not answer within ${ANSWER_TIMEOUT_MS / 1_000} s`, null)
    }
    const reason = cause?.code ?? cause?.message ?? message
    if (UNTRUSTED.test(reason)) {
      throw new ApiError(
        `the certificate of ${base} is not trusted here (${reason}): NODE_EXTRA_CA_CERTS names the file of its issuer`,
        null,
      )
    }
    throw new ApiError(`hub not reachable at ${base} (${reason}): is it running?`, null)
  }
}

/** Whoever answers may be no hub at all. */
type Unchecked<Shape> = Partial<Record<keyof Shape, unknown>>

/** A problem document's detail where there is one (RFC 9457), else the status. */
function refusal(response: Response, json: unknown): string {
  const problem = (typeof json === 'object' && json !== null ? json : {}) as Unchecked<ProblemJson>
  const said = [problem.detail, problem.title].find((part) => typeof part === 'string' && part !== '')
  const status = `${response.status} ${response.statusText}`.trim()
  return said === undefined ? `the hub answered ${status}` : `${said} (${status})`.replace(/\s+/g, ' ')
}

function parsed(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}
