/** The HTTP API: every route there is. */

import type { Access } from '../access/access.ts'
import type { Tokens } from '../access/tokens.ts'
import type { Clock } from '../clock.ts'
import type { Directory } from '../core/directory.ts'
import type { History } from '../core/history.ts'
import type { Changes } from '../live/changes.ts'
import type { Ops } from '../ops/ops.ts'
import { auditing, createFindCaller } from './caller.ts'
import type { Handlers } from './message.ts'
import { openApiRoute } from './openapi.ts'
import { handlersOf } from './route.ts'
import { type DevicesOptions, deviceRoutes } from './routes/devices.ts'
import { errorRoutes } from './routes/errors.ts'
import { type HealthOptions, healthRoutes } from './routes/health.ts'
import { type PairingOptions, pairingRoutes } from './routes/pairing.ts'
import { pointRoutes } from './routes/points.ts'
import { sessionRoutes } from './routes/sessions.ts'
import { type SetupOptions, setupRoutes } from './routes/setup.ts'
import { type SharesOptions, shareRoutes } from './routes/shares.ts'
import { type UsersOptions, userRoutes } from './routes/users.ts'

export interface ApiOptions extends HealthOptions, SetupOptions {
  limits: DevicesOptions['limits'] &
    PairingOptions['limits'] &
    UsersOptions['limits'] &
    SharesOptions['limits']
  ops: Ops
  clock: Pick<Clock, 'now'>
  access: Pick<Access, 'identify' | 'noteLogin' | 'rights'>
  tokens: Tokens
  directory: Directory
  history: History
  /** What a change means to those who are connected. */
  changes: Changes
}

export function createApi(options: ApiOptions): Handlers {
  const { ops, access } = options
  const routes = [
    ...healthRoutes(options),
    ...setupRoutes(options),
    ...userRoutes(options),
    ...deviceRoutes(options),
    ...pairingRoutes(options),
    ...sessionRoutes(options),
    ...pointRoutes(options),
    ...shareRoutes(options),
    ...errorRoutes(options),
  ]
  const described = [...routes, openApiRoute(routes)]
  const findCaller = auditing(createFindCaller(access.identify, access.noteLogin), ops.audit)
  return handlersOf(described, findCaller, access.rights.hold, ops.audit.act)
}
