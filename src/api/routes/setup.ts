/** What a page has to know of this hub before anyone has signed in. */
import { CONFIG, type ConfigJson } from '../../protocol/http.ts'
import { type AnyRoute, route } from '../route.ts'

export interface SetupOptions {
  setup: ConfigJson
}

export function setupRoutes({ setup }: SetupOptions): AnyRoute[] {
  return [
    route({
      method: 'GET',
      path: '/v1/config',
      summary: 'The map style of this hub, and where its users sign in',
      access: 'public',
      answers: { 200: CONFIG },
      handle: async () => ({ status: 200, json: setup }),
    }),
  ]
}
