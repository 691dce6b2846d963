/** The description of the API as OpenAPI 3.1, made from the same table that answers. It knows no route of its own but itself. */
import { z } from 'zod'
import { PROBLEM } from '../protocol/http.ts'
import { type AnyRoute, type Content, type RouteAccess, route } from './route.ts'

type Json = Record<string, unknown>

const MEANINGS: Readonly<Record<number, string>> = {
  200: 'What was asked for',
  201: 'Created',
  204: 'Done',
  400: 'A field is wrong; `errors` names it',
  401: 'The token is missing, expired or refused',
  403: 'The token is good, but not for this',
  404: 'Not there, or not yours to see',
  406: 'It does not come in any format that `Accept` names',
  409: 'Something is in the way; `detail` says what to do about it',
}

const SECURED: Readonly<Record<RouteAccess, readonly number[]>> = {
  public: [],
  caller: [401, 403],
  user: [401, 403],
  admin: [401, 403],
}

export function openApiRoute(routes: readonly AnyRoute[]): AnyRoute {
  const own = route({
    method: 'GET',
    path: '/openapi.json',
    summary: 'This description',
    access: 'public',
    answers: { 200: z.looseObject({}) },
    handle: async () => ({ status: 200, json: document }),
  })
  const document = describe([...routes, own])
  return own
}

/** An OpenAPI document; shapes with an id become its components. */
export function describe(routes: readonly AnyRoute[]): Json {
  const components: Json = {}
  const paths: Record<string, Json> = {}
  for (const one of routes) {
    paths[one.path] ??= {}
    paths[one.path]![one.method.toLowerCase()] = operation(one)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'alzy',
      version: '1',
      description:
        'Times are ISO 8601 in UTC; degrees, metres, metres per second and seconds. GPX files carry `speed`, `course`, `accuracy` and `source` of a point as extensions of the namespace `urn:x-alzy:gpx:1`.',
    },
    servers: [{ url: '/' }],
    paths,
    components: {
      schemas: components,
      securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
  }

  function operation(one: AnyRoute): Json {
    return {
      summary: one.summary,
      operationId: operationIdOf(one),
      security: one.access === 'public' ? [] : [{ token: [] }],
      parameters: [...parametersOf(one.parameters, 'path'), ...parametersOf(one.query, 'query')],
      ...(one.body && { requestBody: bodyOf(one.body) }),
      responses: {
        ...Object.fromEntries(
          Object.entries(one.answers).map(([status, content]) => [status, answerOf(Number(status), content)]),
        ),
        ...Object.fromEntries(problemsOf(one).map((status) => [status, problemAnswer(MEANINGS[status]!)])),
        default: problemAnswer('Anything else that went wrong'),
      },
    }
  }

  function parametersOf(schema: z.ZodType | undefined, place: 'path' | 'query'): Json[] {
    if (schema === undefined) return []
    const { properties = {}, required = [] } = shapeOf(schema, 'input') as {
      properties?: Record<string, Json>
      required?: string[]
    }
    return Object.entries(properties).map(([name, shape]) => ({
      name,
      in: place,
      required: place === 'path' || required.includes(name),
      schema: shape,
    }))
  }

  function bodyOf(schema: z.ZodType): Json {
    const isOptional = schema.safeParse(undefined).success
    return { required: !isOptional, content: { 'application/json': { schema: shapeOf(schema, 'input') } } }
  }

  function answerOf(status: number, content: Content): Json {
    const description = MEANINGS[status] ?? 'Done'
    if (content === null) return { description }
    const types = content instanceof z.ZodType ? { 'application/json': content } : content
    return {
      description,
      content: Object.fromEntries(
        Object.entries(types).map(([type, shape]) => [
          type,
          { schema: shape === null ? { type: 'string' } : shapeOf(shape, 'output') },
        ]),
      ),
    }
  }

  function problemAnswer(description: string): Json {
    return { description, content: { 'application/problem+json': { schema: shapeOf(PROBLEM, 'output') } } }
  }

  /** JSON Schema 2020-12, which is what OpenAPI 3.1 speaks. */
  function shapeOf(schema: z.ZodType, io: 'input' | 'output'): Json {
    const text = JSON.stringify(z.toJSONSchema(schema, { io, override: (made) => tidy(made, io) }))
    const shape = JSON.parse(text.replaceAll('"#/$defs/', '"#/components/schemas/')) as Json
    const { $schema: _, $defs, id, ...rest } = shape
    Object.assign(components, withoutIds($defs as Record<string, Json> | undefined))
    if (typeof id !== 'string') return rest
    components[id] = rest
    return { $ref: `#/components/schemas/${id}` }
  }
}

interface Made {
  zodSchema: z.core.$ZodTypes
  jsonSchema: Json
}

function tidy({ zodSchema, jsonSchema }: Made, io: 'input' | 'output'): void {
  // The format says it, in fewer words.
  if (jsonSchema.format === 'date-time') delete jsonSchema.pattern
  // What answers hold today is no promise that they never hold more.
  if (io === 'output') delete jsonSchema.additionalProperties
  const number = io === 'input' ? numberOf(zodSchema) : null
  if (number === null) return
  for (const key of Object.keys(jsonSchema)) delete jsonSchema[key]
  const { $schema: _, ...shape } = z.toJSONSchema(number)
  Object.assign(jsonSchema, shape)
}

/** What stands in a path or a query as text, and is a number. */
function numberOf(schema: z.core.$ZodTypes): z.core.$ZodNumber | null {
  if (schema._zod.def.type !== 'pipe') return null
  const { out } = schema._zod.def as z.core.$ZodPipeDef
  return out._zod.def.type === 'number' ? (out as z.core.$ZodNumber) : null
}

function withoutIds(shapes: Record<string, Json> = {}): Json {
  return Object.fromEntries(Object.entries(shapes).map(([name, { id: _, ...shape }]) => [name, shape]))
}

/** `GET /v1/devices/{id}/points` → `getDevicesByIdPoints`. */
function operationIdOf({ method, path }: AnyRoute): string {
  const words = path
    .replace(/^\/v1\//, '')
    .replace(/\{(\w+)\}/g, 'by-$1')
    .split(/[^A-Za-z]+/)
    .filter((word) => word !== '')
  return method.toLowerCase() + words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('')
}

function problemsOf({ access, parameters, query, body, problems = [] }: AnyRoute): number[] {
  const isChecked = parameters !== undefined || query !== undefined || body !== undefined
  return [
    ...(isChecked ? [400] : []),
    ...SECURED[access],
    ...(parameters === undefined ? [] : [404]),
    ...problems,
  ]
}
