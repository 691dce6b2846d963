/** What went wrong with devices lately, for admins. */
import type { Ops } from '../../ops/ops.ts'
import { LAST_ERRORS } from '../../protocol/http.ts'
import { type AnyRoute, route } from '../route.ts'

export interface ErrorsOptions {
  ops: Pick<Ops, 'lastErrors'>
}

export function errorRoutes({ ops }: ErrorsOptions): AnyRoute[] {
  return [
    route({
      method: 'GET',
      path: '/v1/errors',
      summary: 'The last error of each device since this hub started, newest first',
      access: 'admin',
      answers: { 200: LAST_ERRORS },
      handle: async () => ({ status: 200, json: { errors: ops.lastErrors.list() } }),
    }),
  ]
}
