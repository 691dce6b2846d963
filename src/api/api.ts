/** The HTTP API: every route there is. */

import type { Identify } from '../access/identity.ts'
import type { Rights } from '../access/rights.ts'
import type { Tokens } from '../access/tokens.ts'
import type { Directory } from '../core/directory.ts'
import type { Audit } from '../ops/audit.ts'
import { auditing, createFindCaller } from './caller.ts'
import type { Handlers } from './message.ts'
import { openApiRoute } from './openapi.ts'
import { handlersOf } from './route.ts'
import { type DevicesOptions, deviceRoutes } from './routes/devices.ts'
import { type ErrorsOptions, errorRoutes } from './routes/errors.ts'
import { type HealthOptions, healthRoutes } from './routes/health.ts'
import { type PairingOptions, pairingRoutes } from './routes/pairing.ts'
import { type PointsOptions, pointRoutes } from './routes/points.ts'
import { sessionRoutes } from './routes/sessions.ts'
import { type SetupOptions, setupRoutes } from './routes/setup.ts'
import { type SharesOptions, shareRoutes } from './routes/shares.ts'
import { type UsersOptions, userRoutes } from './routes/users.ts'

export interface ApiOptions
  extends HealthOptions,
    SetupOptions,
    ErrorsOptions,
    Omit<DevicesOptions, 'directory' | 'limits'>,
    Omit<PairingOptions, 'directory' | 'limits' | 'onRefused'>,
    Omit<UsersOptions, 'directory' | 'tokens'>,
    Omit<SharesOptions, 'directory' | 'tokens'>,
    PointsOptions {
  directory: Directory
  limits: DevicesOptions['limits'] & PairingOptions['limits']
  tokens: Tokens
  identify: Identify
  /** A user shows a token for the first time. */
  onLogin: (userId: number) => void
  audit: Audit
  hold: Rights['hold']
}

export function createApi(options: ApiOptions): Handlers {
  const { audit } = options
  const onRefused = (address: string) => audit.refused('pairingToken', address)
  const routes = [
    ...healthRoutes(options),
    ...setupRoutes(options),
    ...userRoutes(options),
    ...deviceRoutes(options),
    ...pairingRoutes({ ...options, onRefused }),
    ...sessionRoutes(options),
    ...pointRoutes(options),
    ...shareRoutes(options),
    ...errorRoutes(options),
  ]
  const described = [...routes, openApiRoute(routes)]
  const findCaller = auditing(createFindCaller(options.identify, options.onLogin), audit)
  return handlersOf(described, findCaller, options.hold, audit.act)
}
