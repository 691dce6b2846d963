/** The points of a device: by time, by place, thinned out, as a list in pages or as a file. */
import { z } from 'zod'
import type { Box, History } from '../../core/history.ts'
import { POINTS } from '../../protocol/http.ts'
import { listAsJson } from '../../tracks/write/json.ts'
import { BY_ID, FORWARDS, isForwards, SPAN } from '../fields.ts'
import { ALL, format, formatOf, inEachFormat, pastDevice, simplify, trackAnswer } from '../past.ts'
import { type AnyRoute, route } from '../route.ts'

export interface PointsOptions {
  history: History
}

/** Of a list in JSON; files come whole unless a limit is asked for. */
const LIST_POINTS = 1_000
const POINTS_MAX = 10_000

const bbox = z.string().transform((text, context): Box => {
  const box = boxOf(text)
  if (box !== null) return box
  context.addIssue('must be west,south,east,north in degrees, such as 13.3,52.4,13.5,52.6')
  return z.NEVER
})

const WANTED = z
  .strictObject({
    ...SPAN,
    bbox: bbox.optional(),
    simplify: simplify.optional(),
    limit: z
      .string()
      .regex(/^\d+$/, 'must be a number')
      .transform(Number)
      .pipe(z.int().min(1).max(POINTS_MAX))
      .optional(),
    after: z
      .string()
      .regex(/^\d{1,16}$/, 'must be what `next` said')
      .transform(Number)
      .pipe(z.int())
      .optional(),
    format: format.optional(),
  })
  .refine(isForwards, FORWARDS)

export function pointRoutes({ history }: PointsOptions): AnyRoute[] {
  return [
    route({
      method: 'GET',
      path: '/v1/devices/{id}/points',
      summary:
        'Points of a device in order of time, also of a deleted one: a list in pages as JSON, all of them as a file; `bbox` is west,south,east,north, with west greater than east across the antimeridian',
      access: 'caller',
      parameters: BY_ID,
      query: WANTED,
      answers: { 200: inEachFormat(POINTS) },
      problems: [406],
      handle: async ({ caller, parameters, query, request }) => {
        const name = formatOf(query.format, request.accept)
        const device = await pastDevice(history, caller, parameters.id)
        const countMax = query.limit ?? (name === 'json' ? LIST_POINTS : null)
        const wanted = {
          ...ALL,
          deviceId: device.id,
          fromMs: query.from ?? null,
          toMs: query.to ?? null,
          box: query.bbox ?? null,
          simplifyM: query.simplify ?? null,
          after: query.after ?? null,
          countMax,
        }
        const pages = history.points(wanted, request.hasLeft)
        return trackAnswer(name, device, `device-${device.id}`, pages, (points) =>
          listAsJson(countMax!, points),
        )
      },
    }),
  ]
}

/** null: it is none. West may be east of east: then it crosses the antimeridian. */
function boxOf(text: string): Box | null {
  const parts = text.split(',')
  if (parts.length !== 4 || !parts.every((part) => /^-?\d{1,3}(\.\d{1,15})?$/.test(part))) return null
  const [west, south, east, north] = parts.map(Number) as [number, number, number, number]
  const isOnEarth = Math.max(-west, west, -east, east) <= 180 && south >= -90 && north <= 90
  return isOnEarth && south <= north ? [west, south, east, north] : null
}
