/** The HTTP API, asked with whatever token is held. What is wrong comes back as one error with words for people. */
import { systemClock } from '../../clock.ts'
import type { ProblemJson } from '../../protocol/http.ts'

export class ApiProblem extends Error {
  /** 0: the hub was not reached. */
  readonly status: number

  constructor(status: number, detail: string) {
    super(detail)
    this.name = 'ApiProblem'
    this.status = status
  }
}

export interface ApiOptions {
  token: () => string | null
  /** The token is not good any more. */
  onRefused: () => void
}

export type Api = ReturnType<typeof createApi>

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

export function createApi({ token, onRefused }: ApiOptions) {
  return { get, all, send, text, download }

  function get<T>(place: string): Promise<T> {
    return send<T>('GET', place)
  }

  /** Every page of a list. */
  async function all<T>(place: string, name: string): Promise<T[]> {
    const rows: T[] = []
    let after: string | null = null
    do {
      const query: string = after === null ? '' : `${place.includes('?') ? '&' : '?'}after=${after}`
      const page = await get<Record<string, unknown>>(place + query)
      rows.push(...(page[name] as T[]))
      after = page.next as string | null
    } while (after !== null)
    return rows
  }

  async function send<T>(method: Method, place: string, body?: unknown): Promise<T> {
    const response = await ask(method, place, body)
    const text = await response.text()
    return (text === '' ? null : JSON.parse(text)) as T
  }

  /** What is not JSON. */
  async function text(place: string): Promise<string> {
    return (await ask('GET', place)).text()
  }

  /** Hands a file to the browser's downloads. A link could not carry the token. */
  async function download(place: string, fileName: string): Promise<void> {
    const url = URL.createObjectURL(await (await ask('GET', place)).blob())
    const link = Object.assign(document.createElement('a'), { href: url, download: fileName })
    link.click()
    systemClock.after(60_000, () => URL.revokeObjectURL(url))
  }

  async function ask(method: Method, place: string, body?: unknown): Promise<Response> {
    const bearer = token()
    const response = await fetch(place, {
      method,
      headers: {
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }).catch(() => {
      throw new ApiProblem(0, 'The hub cannot be reached. Check the connection and try again.')
    })
    if (response.ok) return response
    if (response.status === 401) onRefused()
    throw new ApiProblem(response.status, await detailOf(response))
  }
}

async function detailOf(response: Response): Promise<string> {
  const problem: unknown = await response.json().catch(() => null)
  const detail = (problem as Partial<Record<keyof ProblemJson, unknown>> | null)?.detail
  return typeof detail === 'string' ? sentence(detail) : `The hub answered ${response.status}.`
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`
}

export function wordsOf(fault: unknown): string {
  return fault instanceof Error ? fault.message : String(fault)
}
