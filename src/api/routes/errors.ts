/** What went wrong with devices lately, for admins. */
import { LAST_ERRORS, type LastErrorJson } from '../../protocol/http.ts'
import { type AnyRoute, route } from '../route.ts'

export interface ErrorsOptions {
  lastErrors: () => LastErrorJson[]
}

export function errorRoutes({ lastErrors }: ErrorsOptions): AnyRoute[] {
  return [
    route({
      method: 'GET',
      path: '/v1/errors',
      summary: 'The last error of each device since this hub started, newest first',
      access: 'admin',
      answers: { 200: LAST_ERRORS },
      handle: async () => ({ status: 200, json: { errors: lastErrors() } }),
    }),
  ]
}
