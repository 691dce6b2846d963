/**
 * Every field of every route, as the hub's own description names them, wrong in every way: a problem that names the
 * field, never a fault. What is wrong with two fields at once is for the tests of their routes.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startHub, type TestHub, type TestUser } from '../rig/hub.ts'
import { quickestKind, type TestDatabase } from '../rig/kinds.ts'

interface Field {
  name: string
  in: 'path' | 'query' | 'body'
}

interface Asked {
  method: string
  path: string
  fields: Field[]
}

const WRONG_JSON = [
  null,
  true,
  7,
  -1,
  1.5,
  1e300,
  '',
  ' ',
  '\0',
  '\ud800',
  'x'.repeat(5_000),
  '2026-13-99T99:99:99Z',
  [],
  [null],
  ['x', {}],
  {},
  { x: 1 },
]
const WRONG_TEXT = [
  '',
  ' ',
  '\0',
  '-1',
  '0',
  '1.5',
  '1e9',
  '99999999999999999999',
  'x',
  '1 or 1=1',
  "'",
  '%',
  'x'.repeat(2_000),
]
/** Probes and scrapers put what they like behind the question mark. */
const LOOSE = ['/healthz', '/readyz', '/metrics']
const STRANGE_NAMES = ['__proto__', 'constructor', 'toString', '', '\0']

let database: TestDatabase
let hub: TestHub
let admin: TestUser
let asked: Asked[]

beforeAll(async () => {
  database = await quickestKind.create()
  const env = { ALZY_PAIRING_TRIES_BURST: '1000000', ALZY_PAIRING_TRIES_BURST_IN_ALL: '1000000' }
  hub = await startHub({ database, env })
  // So that id 1 is somebody, and somebody's.
  await hub.addDevice(await hub.addUser())
  admin = await hub.addUser({ role: 'admin' })
  asked = routesOf((await hub.request('GET', '/openapi.json', undefined, null)).json)
})
afterAll(async () => {
  await hub?.end()
  await database?.drop()
})

// biome-ignore lint/suspicious/noExplicitAny: a document of any shape
function routesOf(document: any): Asked[] {
  // biome-ignore lint/suspicious/noExplicitAny: the same
  return Object.entries<Record<string, any>>(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { parameters = [], requestBody }]) => {
      const body = requestBody?.content['application/json'].schema.properties ?? {}
      const fields: Field[] = [
        ...parameters.map((one: Field) => ({ name: one.name, in: one.in })),
        ...Object.keys(body).map((name) => ({ name, in: 'body' as const })),
      ]
      return { method: method.toUpperCase(), path, fields }
    }),
  )
}

/** The status, and the fields that a problem names. Anything else than an answer or a problem is added to `faults`. */
async function ask(method: string, path: string, body: unknown, faults: string[]) {
  const response = await fetch(hub.http + path, {
    method,
    headers: {
      authorization: `Bearer ${admin.token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const said = `${method} ${path.slice(0, 80)} ${JSON.stringify(body)?.slice(0, 80)}: ${response.status} ${text.slice(0, 200)}`
  if (response.status < 400) return { status: response.status, fields: [], said }
  const isProblem = response.headers.get('content-type') === 'application/problem+json'
  if (!isProblem || response.status >= 500 || /\bat \S+:\d+/.test(text)) faults.push(said)
  const { errors = [] } = isProblem ? JSON.parse(text) : {}
  return { status: response.status, fields: errors.map((one: { field: string }) => one.field), said }
}

function withField({ path, fields }: Asked, field: Field, wrong: unknown): [path: string, body: unknown] {
  const query = new URLSearchParams()
  if (field.in === 'query') query.set(field.name, String(wrong))
  const place = path.replace(/\{\w+\}/g, field.in === 'path' ? encodeURIComponent(String(wrong)) : '1')
  const hasBody = fields.some((one) => one.in === 'body')
  const body = field.in === 'body' ? { [field.name]: wrong } : {}
  return [field.in === 'query' ? `${place}?${query}` : place, hasBody ? body : undefined]
}

test('a field that is wrong is named, whatever it is and however it is wrong', async () => {
  const faults: string[] = []
  let count = 0
  for (const route of asked) {
    for (const field of route.fields) {
      let isNamedOnce = false
      for (const wrong of field.in === 'body' ? WRONG_JSON : WRONG_TEXT) {
        const [path, body] = withField(route, field, wrong)
        const { status, fields, said } = await ask(route.method, path, body, faults)
        const isNamed = fields.some((one: string) => one === field.name || one.startsWith(`${field.name}.`))
        // Some of what is wrong for one field is right for another, and then others may be missing.
        if (status === 400 && !isNamed && fields.length === 0) faults.push(`names nothing: ${said}`)
        isNamedOnce ||= status === 400 && isNamed
        count += 1
      }
      if (!isNamedOnce) faults.push(`${route.method} ${route.path} never names ${field.in} ${field.name}`)
    }
  }
  expect(faults).toEqual([])
  expect(count).toBeGreaterThan(500)
})

test('a field too many is named, in a query and in a body, and so is one that is given twice', async () => {
  const faults: string[] = []
  for (const { method, path, fields } of asked) {
    if (LOOSE.includes(path)) continue
    const place = path.replace(/\{\w+\}/g, '1')
    for (const name of STRANGE_NAMES) {
      const query = await ask(method, `${place}?${new URLSearchParams({ [name]: '1' })}`, undefined, faults)
      if (!query.fields.includes(name)) faults.push(`query ${JSON.stringify(name)}: ${query.said}`)
      if (method === 'GET') continue
      const body = await ask(method, place, JSON.parse(`{${JSON.stringify(name)}:1}`), faults)
      if (!body.fields.includes(name)) faults.push(`body ${JSON.stringify(name)}: ${body.said}`)
    }
    for (const { name } of fields.filter((field) => field.in === 'query')) {
      const twice = await ask(method, `${place}?${name}=1&${name}=1`, undefined, faults)
      if (!twice.fields.includes(name)) faults.push(`twice: ${twice.said}`)
    }
  }
  expect(faults).toEqual([])
})

test('a body that is no object is refused, whoever takes one', async () => {
  const faults: string[] = []
  for (const { method, path } of asked.filter(({ method }) => method !== 'GET')) {
    for (const body of [null, 7, 'text', [], [{}]]) {
      const { status, said } = await ask(method, path.replace(/\{\w+\}/g, '1'), body, faults)
      if (status !== 400) faults.push(said)
    }
  }
  expect(faults).toEqual([])
})
