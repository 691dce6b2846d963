/** The HTTP API: every route there is. */
import type { Directory } from '../core/directory.ts'
import type { Tokens } from '../tokens.ts'
import { createIdentify } from './caller.ts'
import { type DevicesOptions, deviceRoutes } from './devices.ts'
import { type HealthOptions, healthRoutes } from './health.ts'
import type { Handlers } from './message.ts'
import { type PairingOptions, pairingRoutes } from './pairing.ts'
import { handlersOf } from './route.ts'
import { userRoutes } from './users.ts'

export interface ApiOptions
  extends HealthOptions,
    Omit<DevicesOptions, 'directory' | 'limits'>,
    Omit<PairingOptions, 'directory' | 'limits'> {
  directory: Directory
  limits: DevicesOptions['limits'] & PairingOptions['limits']
  tokens: Tokens
  tokenTtlSMax: number
}

export function createApi(options: ApiOptions): Handlers {
  const { tokens, directory, now } = options
  const routes = [
    ...healthRoutes(options),
    ...userRoutes(options),
    ...deviceRoutes(options),
    ...pairingRoutes(options),
  ]
  return handlersOf(routes, createIdentify(tokens, directory, now))
}
