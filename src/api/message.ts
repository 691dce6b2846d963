/** A request and its answer, as the API sees them: without a server, and read to their end. */
import type { Act } from '../audit.ts'

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
  /** The body as JSON; undefined when there is none. */
  body: unknown
  /** The `{…}` of the route's path. */
  parameters: Readonly<Record<string, string>>
}

export type Answer = (
  | { status: number; json: unknown }
  | { status: number; text: string; contentType: string }
  | { status: 204 }
) & {
  /** What was done, where the audit trail has to hold it. */
  act?: Act | null
}

export type Handler = (request: Request) => Promise<Answer>
/** `GET /v1/devices/{id}` → what answers it. */
export type Handlers = Readonly<Record<string, Handler>>

/** An error as RFC 9457 has it. `errors` names the fields. */
export class Problem extends Error {
  readonly status: number
  readonly errors: readonly FieldError[] | undefined

  constructor(status: number, detail: string, errors?: readonly FieldError[]) {
    super(detail)
    this.status = status
    this.errors = errors
  }
}

export interface FieldError {
  field: string
  message: string
}
