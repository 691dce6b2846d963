/**
 * A route as data: who may use it, what it takes, what it answers, and what it does. The server that runs it and the
 * document that describes it read the same table, so they cannot disagree.
 */
import { z } from 'zod'
import type { ViewerGrant } from '../core/grant.ts'
import type { Act, Actor } from '../ops/audit.ts'
import { actorOf, type Caller, type FindCaller } from './caller.ts'
import {
  type Answer,
  type FieldError,
  type Handler,
  type Handlers,
  Problem,
  type Request,
} from './message.ts'

export type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

/** Who may use a route: anyone, whoever has a token, a user (the operator is none), or an admin. */
export type RouteAccess = 'public' | 'caller' | 'user' | 'admin'

type CallerOf<A extends RouteAccess> = A extends 'public'
  ? null
  : A extends 'user'
    ? Extract<Caller, { user: object }>
    : Caller

export interface RouteSpec<A extends RouteAccess, P, Q, B> {
  method: Method
  /** `/v1/devices/{id}` */
  path: string
  /** One line for whoever reads the description of the API. */
  summary: string
  access: A
  parameters?: z.ZodType<P>
  query?: z.ZodType<Q>
  body?: z.ZodType<B>
  /** What comes back when all is well: the status, and its content. */
  answers: Readonly<Record<number, Content>>
  /** Statuses of problems besides those that follow from the rest. */
  problems?: readonly number[]
  handle: (input: Input<A, P, Q, B>) => Promise<Answer>
}

/** The shape of JSON, or shapes by media type, where null is text of a kind that the type names. null: nothing. */
export type Content = z.ZodType | Readonly<Record<string, z.ZodType | null>> | null

export interface Input<A extends RouteAccess, P, Q, B> {
  caller: CallerOf<A>
  parameters: P
  query: Q
  body: B
  request: Pick<Request, 'address' | 'baseUrl' | 'accept' | 'hasLeft'>
}

/** With its types forgotten. */
export type AnyRoute = RouteSpec<RouteAccess, unknown, unknown, unknown>

/** What is wrong with a request is told so far, or it could make the answer larger than itself. */
const FIELDS_NAMED_MAX = 20
/** An issuer's address is a name that is long, and right. */
const FIELD_CHARS_MAX = 300

const NOTHING = z.strictObject({})
const NO_BODY = NOTHING.optional()

/** Checks that a route's parts fit together, and forgets how. */
export function route<A extends RouteAccess, P = unknown, Q = unknown, B = unknown>(
  spec: RouteSpec<A, P, Q, B>,
): AnyRoute {
  return spec as unknown as AnyRoute
}

/** Throws Problem for whatever is wrong with a request, before the route hears of it. */
export function handlersOf(
  routes: readonly AnyRoute[],
  findCaller: FindCaller,
  hold: (grant: ViewerGrant, withdraw: () => void) => () => void,
  onAct: (act: Act, actor: Actor) => void,
): Handlers {
  return Object.fromEntries(
    routes.map((one): [string, Handler] => [
      `${one.method} ${one.path}`,
      async (request) => {
        const input = await read(one, request, findCaller)
        const answer = await one.handle(input)
        for (const act of answer.acts ?? []) onAct(act, actorOf(input.caller, request.address))
        return 'pieces' in answer ? { ...answer, hold: holdOf(input.caller) } : answer
      },
    ]),
  )

  /** Nobody takes anything from the operator. */
  function holdOf(caller: Caller | null) {
    if (caller === null || caller.user === null) return undefined
    const role = caller.isAdmin ? 'admin' : 'user'
    const grant: ViewerGrant = { role, userId: caller.user.id, via: caller.via }
    return (withdraw: () => void) => hold(grant, withdraw)
  }
}

async function read(one: AnyRoute, request: Request, findCaller: FindCaller) {
  return {
    caller: await admit(one.access, request, findCaller),
    parameters: parse(one.parameters ?? NOTHING, request.parameters),
    query: parse(one.query ?? NOTHING, fieldsOf(request.query)),
    body: parse(one.body ?? NO_BODY, request.body),
    request,
  }
}

/**
 * A field that is given more than once is a list, which no schema of ours takes for one of its values. One pass: who asks
 * for how the hub is may name a thousand of them.
 */
function fieldsOf(query: URLSearchParams): Record<string, string | string[]> {
  const fields = new Map<string, string | string[]>()
  for (const [name, value] of query) {
    const before = fields.get(name)
    if (before === undefined) fields.set(name, value)
    else if (typeof before === 'string') fields.set(name, [before, value])
    else before.push(value)
  }
  return Object.fromEntries(fields)
}

async function admit(
  access: RouteAccess,
  { token, address }: Request,
  findCaller: FindCaller,
): Promise<Caller | null> {
  if (access === 'public') return null
  const caller = await findCaller(token, address)
  if (access === 'user' && caller.user === null) throw new Problem(403, 'the operator is not a user')
  if (access === 'admin' && !caller.isAdmin) throw new Problem(403, 'only admins may do this')
  return caller
}

function parse<T>(schema: z.ZodType<T>, input: unknown): T {
  const parsed = schema.safeParse(input)
  if (parsed.success) return parsed.data
  const wrong = parsed.error.issues.flatMap(fieldErrors)
  const errors = wrong.slice(0, FIELDS_NAMED_MAX)
  const said = errors.map(({ field, message }) => `${field}: ${message}`)
  if (wrong.length > errors.length) said.push(`and ${wrong.length - errors.length} more`)
  throw new Problem(400, said.join('; '), errors)
}

/** One for each field that is unknown, else the one that is wrong. */
function fieldErrors(issue: z.core.$ZodIssue): FieldError[] {
  if (issue.code !== 'unrecognized_keys') return [{ field: fieldOf(issue.path), message: issue.message }]
  return issue.keys.map((key) => ({
    field: fieldOf([...issue.path, key]),
    message: 'there is no such field',
  }))
}

/** The names are those of whoever asks, and as long as they like. */
function fieldOf(path: readonly PropertyKey[]): string {
  const field = path.join('.')
  return field.length > FIELD_CHARS_MAX ? `${field.slice(0, FIELD_CHARS_MAX)}…` : field
}
