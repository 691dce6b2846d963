/** A request, read to its end, and its answer, as the API sees them: without a server. */
import type { Act } from '../ops/audit.ts'
import type { ProblemJson } from '../protocol/http.ts'

export interface Request {
  method: string
  path: string
  query: URLSearchParams
  /** Where it came from: an IP address as text. */
  address: string
  /** The hub as whoever asks calls it, such as `https://hub.example.org`: links in answers begin with it. */
  baseUrl: string
  /** Of `Authorization: Bearer …`, or null. */
  token: string | null
  /** The header `Accept`, or nothing. */
  accept: string
  /** The body as JSON; undefined when there is none. */
  body: unknown
  /** Nobody is there any more to read the answer. */
  hasLeft: () => boolean
  /** The `{…}` of the route's path. */
  parameters: Readonly<Record<string, string>>
}

export type Answer = (
  | { status: number; json: unknown }
  | { status: number; text: string; contentType: string }
  | { status: 204 }
  | StreamedAnswer
) & {
  /** What was done, where the audit trail has to hold it. */
  acts?: readonly Act[]
}

/**
 * An answer of any length. Its text is asked for piece by piece, as fast as whoever asked takes it, and no more of it
 * when they are gone. A piece that fails leaves the answer visibly broken, or makes it a problem if it was the first.
 */
export interface StreamedAnswer {
  status: 200
  contentType: string
  /** What a browser may call it when it saves it; null: it is no file. */
  fileName: string | null
  pieces: AsyncGenerator<string>
  /** Whoever asked may lose the right to it while it goes on: `withdraw` is called then. Returns what ends that. */
  hold?: ((withdraw: () => void) => () => void) | undefined
}

export type Handler = (request: Request) => Promise<Answer>
/** `GET /v1/devices/{id}` → what answers it. */
export type Handlers = Readonly<Record<string, Handler>>

/** An error as RFC 9457 has it. `errors` names the fields. */
export class Problem extends Error {
  readonly status: number
  readonly errors: readonly FieldError[] | undefined
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    detail: string,
    errors?: readonly FieldError[],
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(detail)
    this.status = status
    this.errors = errors
    this.headers = headers
  }
}

export type FieldError = NonNullable<ProblemJson['errors']>[number]
