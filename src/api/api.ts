/** The HTTP API: every route there is. */
import type { Directory } from '../core/directory.ts'
import type { Tokens } from '../tokens.ts'
import { createIdentify } from './caller.ts'
import { type DevicesOptions, deviceRoutes } from './devices.ts'
import { type HealthOptions, healthRoutes } from './health.ts'
import type { Handlers } from './message.ts'
import { handlersOf } from './route.ts'
import { type SetupOptions, setupRoutes } from './setup.ts'
import { userRoutes } from './users.ts'

export interface ApiOptions extends HealthOptions, SetupOptions, Omit<DevicesOptions, 'directory'> {
  directory: Directory
  tokens: Tokens
  tokenTtlSMax: number
  now: () => number
}

export function createApi(options: ApiOptions): Handlers {
  const { tokens, directory, now } = options
  const routes = [
    ...healthRoutes(options),
    ...setupRoutes(options),
    ...userRoutes(options),
    ...deviceRoutes(options),
  ]
  return handlersOf(routes, createIdentify(tokens, directory, now))
}
