/** What the routes of the past have in common: whose it is, and tracks in each format. */
import { z } from 'zod'
import type { History, PastDevice, PointsWanted, TrackPoint } from '../core/history.ts'
import { pointsAsCsv } from '../tracks/write/csv.ts'
import {
  acceptedFormat,
  CONTENT_TYPES,
  FORMAT_NAMES,
  type FormatName,
  MEDIA_TYPES,
} from '../tracks/write/format.ts'
import { pointsAsGeoJson } from '../tracks/write/geojson.ts'
import { pointsAsGpx } from '../tracks/write/gpx.ts'
import type { Caller } from './caller.ts'
import { Problem, type StreamedAnswer } from './message.ts'
import type { Content } from './route.ts'

const SIMPLIFY_M_MAX = 100_000

const FEATURES = z
  .object({ type: z.literal('FeatureCollection'), features: z.array(z.looseObject({})) })
  .meta({ id: 'Features' })

export const format = z.enum(FORMAT_NAMES, `must be one of ${FORMAT_NAMES.join(', ')}`)

export const simplify = z
  .string()
  .regex(/^\d{1,6}(\.\d{1,6})?$/, 'must be metres, such as 10')
  .transform(Number)
  .pipe(z.number().positive().max(SIMPLIFY_M_MAX))

/** Every format that a track comes in, with the shape of its JSON. */
export function inEachFormat(json: z.ZodType): Content {
  return {
    [MEDIA_TYPES.json]: json,
    [MEDIA_TYPES.geojson]: FEATURES,
    [MEDIA_TYPES.gpx]: null,
    [MEDIA_TYPES.csv]: null,
  }
}

/** Throws Problem when none of them will do. */
export function formatOf(asked: FormatName | undefined, accept: string): FormatName {
  const found = asked ?? acceptedFormat(accept)
  if (found !== null) return found
  const types = FORMAT_NAMES.map((name) => MEDIA_TYPES[name])
  throw new Problem(406, `this comes as ${types.join(', ')}; choose with Accept or with ?format=`)
}

/** A device by its id, though it may be deleted: what it recorded stays its user's. */
export async function pastDevice(
  history: Pick<History, 'findDevice'>,
  { user, isAdmin }: Caller,
  deviceId: number,
): Promise<PastDevice> {
  const device = await history.findDevice(deviceId)
  if (device === null || !(isAdmin || device.userId === user.id)) {
    throw new Problem(404, 'there is no such device')
  }
  return device
}

/** A file of points, or with `asJson` the JSON that the route has promised. */
export function trackAnswer(
  name: FormatName,
  device: PastDevice,
  title: string,
  pages: AsyncGenerator<TrackPoint[]>,
  asJson: (pages: AsyncGenerator<TrackPoint[]>) => AsyncGenerator<string>,
): StreamedAnswer {
  const write = {
    json: () => asJson(pages),
    geojson: () => pointsAsGeoJson(device.id, pages),
    gpx: () => pointsAsGpx(device.name, pages),
    csv: () => pointsAsCsv(pages),
  }
  return {
    status: 200,
    contentType: CONTENT_TYPES[name],
    fileName: name === 'json' ? null : `alzy-${title}.${name}`,
    pieces: write[name](),
  }
}

/** All points of a device. */
export const ALL: Omit<PointsWanted, 'deviceId'> = {
  sessionId: null,
  fromMs: null,
  toMs: null,
  box: null,
  simplifyM: null,
  after: null,
  countMax: null,
}
