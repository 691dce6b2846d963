/** What a page has to know of this hub before anyone has signed in. */
import { z } from 'zod'
import { type AnyRoute, route } from '../route.ts'

export interface SetupOptions {
  setup: {
    mapStyle: string | null
    oidc: { issuer: string; clientId: string } | null
  }
}

const SETUP = z.object({
  mapStyle: z.url().nullable(),
  oidc: z.object({ issuer: z.url(), clientId: z.string() }).nullable(),
})

export function setupRoutes({ setup }: SetupOptions): AnyRoute[] {
  return [
    route({
      method: 'GET',
      path: '/v1/config',
      summary: 'The map style of this hub, and where its users sign in',
      access: 'public',
      answers: { 200: SETUP },
      handle: async () => ({ status: 200, json: setup }),
    }),
  ]
}
