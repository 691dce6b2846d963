/** What went wrong with devices lately, for admins. */
import { z } from 'zod'
import type { LastError } from '../../ops/lastErrors.ts'
import { id, moment } from '../fields.ts'
import { type AnyRoute, route } from '../route.ts'

export interface ErrorsOptions {
  lastErrors: () => LastError[]
}

const LAST_ERROR = z.object({ deviceId: id, at: moment, message: z.string() })

export function errorRoutes({ lastErrors }: ErrorsOptions): AnyRoute[] {
  return [
    route({
      method: 'GET',
      path: '/v1/errors',
      summary: 'The last error of each device since this hub started, newest first',
      access: 'admin',
      answers: { 200: z.object({ errors: z.array(LAST_ERROR) }) },
      handle: async () => ({ status: 200, json: { errors: lastErrors() } }),
    }),
  ]
}
