/** The description of the API: valid to a public validator, and true to what the hub answers. */
import { Validator } from '@seriousme/openapi-schema-validator'
import { expect, test } from 'vitest'
import { describeOnEachDatabase } from '../rig/eachDatabase.ts'

describeOnEachDatabase('the description of the API', {}, (on) => {
  const load = async () => (await on.hub.request('GET', '/openapi.json', undefined, null)).json

  test('is valid OpenAPI 3.1', async () => {
    const validator = new Validator()
    const { valid, errors } = await validator.validate(await load())
    expect({ valid, errors }).toEqual({ valid: true, errors: undefined })
    expect(validator.version).toBe('3.1')
  })

  test('refers to nothing that is not there', async () => {
    const document = await load()
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(
      ([, reference]) => reference!,
    )
    expect(references.length).toBeGreaterThan(10)
    for (const reference of new Set(references)) {
      expect(reference).toMatch(/^#\/components\/schemas\/\w+$/)
      expect(Object.keys(document.components.schemas)).toContain(reference.split('/').at(-1))
    }
    expect(JSON.stringify(document)).not.toContain('$defs')
  })

  test('has every route that answers, with who may use it', async () => {
    const { paths } = await load()
    for (const path of [
      '/healthz',
      '/metrics',
      '/openapi.json',
      '/v1/me',
      '/v1/devices',
      '/v1/sessions/{id}/track',
    ]) {
      expect(Object.keys(paths)).toContain(path)
    }
    for (const [path, operations] of Object.entries<
      Record<string, { security: unknown[]; operationId: string }>
    >(paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        const { status } = await fetch(on.hub.http + path.replace('{id}', '1'), {
          method: method.toUpperCase(),
        })
        // Without a token: those that need one say so before anything else.
        if (operation.security.length > 0) expect([path, method, status]).toEqual([path, method, 401])
        else expect([401, 404, 405], path).not.toContain(status)
      }
    }
    const ids = Object.values(paths).flatMap((operations) =>
      Object.values(operations as Record<string, { operationId: string }>).map(
        ({ operationId }) => operationId,
      ),
    )
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('says of a streamed answer which formats it comes in, and of a query what it takes', async () => {
    const { paths, components } = await load()
    const points = paths['/v1/devices/{id}/points'].get
    expect(Object.keys(points.responses['200'].content)).toEqual([
      'application/json',
      'application/geo+json',
      'application/gpx+xml',
      'text/csv',
    ])
    expect(Object.keys(points.responses)).toEqual(['200', '400', '401', '403', '404', '406', 'default'])
    const parameter = (name: string) => points.parameters.find((one: { name: string }) => one.name === name)
    expect(parameter('id')).toEqual({
      name: 'id',
      in: 'path',
      required: true,
      schema: { type: 'integer', minimum: 1, maximum: 2 ** 31 - 1 },
    })
    expect(parameter('limit')).toEqual({
      name: 'limit',
      in: 'query',
      required: false,
      schema: { type: 'integer', minimum: 1, maximum: 10_000 },
    })
    expect(parameter('from').schema).toEqual({ type: 'string', format: 'date-time' })
    expect(parameter('format').schema).toEqual({ type: 'string', enum: ['json', 'geojson', 'gpx', 'csv'] })
    expect(Object.keys(components.schemas)).toEqual(expect.arrayContaining(['Problem', 'Session', 'Point']))
    expect(components.schemas.Session.required).toContain('distanceM')
  })
})
