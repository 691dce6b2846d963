/** The HTTP API: every route there is. */
import type { Audit } from '../audit.ts'
import type { Directory } from '../core/directory.ts'
import type { Tokens } from '../tokens.ts'
import { auditing, createIdentify } from './caller.ts'
import { type DevicesOptions, deviceRoutes } from './devices.ts'
import { type HealthOptions, healthRoutes } from './health.ts'
import type { Handlers } from './message.ts'
import { handlersOf } from './route.ts'
import { userRoutes } from './users.ts'

export interface ApiOptions extends HealthOptions, Omit<DevicesOptions, 'directory'> {
  directory: Directory
  tokens: Tokens
  tokenTtlSMax: number
  audit: Audit
  now: () => number
}

export function createApi(options: ApiOptions): Handlers {
  const { tokens, directory, audit, now } = options
  const routes = [...healthRoutes(options), ...userRoutes(options), ...deviceRoutes(options)]
  return handlersOf(routes, auditing(createIdentify(tokens, directory, now), audit), audit.act)
}
