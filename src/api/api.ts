/** The HTTP API: every route there is. */
import type { Directory } from '../core/directory.ts'
import type { Tokens } from '../tokens.ts'
import { createIdentify } from './caller.ts'
import { type DevicesOptions, deviceRoutes } from './devices.ts'
import { type HealthOptions, healthRoutes } from './health.ts'
import type { Handlers } from './message.ts'
import { openApiRoute } from './openapi.ts'
import { type PointsOptions, pointRoutes } from './points.ts'
import { handlersOf } from './route.ts'
import { sessionRoutes } from './sessions.ts'
import { userRoutes } from './users.ts'

export interface ApiOptions extends HealthOptions, Omit<DevicesOptions, 'directory'>, PointsOptions {
  directory: Directory
  tokens: Tokens
  tokenTtlSMax: number
  now: () => number
}

export function createApi(options: ApiOptions): Handlers {
  const { tokens, directory, now } = options
  const routes = [
    ...healthRoutes(options),
    ...userRoutes(options),
    ...deviceRoutes(options),
    ...sessionRoutes(options),
    ...pointRoutes(options),
  ]
  const described = [...routes, openApiRoute(routes)]
  return handlersOf(described, createIdentify(tokens, directory, now))
}
