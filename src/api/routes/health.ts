/** What machines ask of the hub: alive, ready, and its figures. */
import { z } from 'zod'
import type { Metrics } from '../../ops/metrics.ts'
import { Problem } from '../message.ts'
import { type AnyRoute, route } from '../route.ts'

export interface HealthOptions {
  /** The database answers and is up to date. */
  isReady: () => Promise<boolean>
  metrics: Pick<Metrics, 'text' | 'contentType'>
}

/** Probes and scrapers put what they like behind the question mark. */
const ANYTHING = z.looseObject({})

export function healthRoutes(options: HealthOptions): AnyRoute[] {
  return [alive(), ready(options), figures(options)]
}

function alive(): AnyRoute {
  return route({
    method: 'GET',
    path: '/healthz',
    summary: 'The process is alive',
    access: 'public',
    query: ANYTHING,
    answers: { 200: z.object({ status: z.literal('ok') }) },
    handle: async () => ({ status: 200, json: { status: 'ok' } }),
  })
}

function ready({ isReady }: HealthOptions): AnyRoute {
  return route({
    method: 'GET',
    path: '/readyz',
    summary: 'The database is reachable and migrated',
    access: 'public',
    query: ANYTHING,
    answers: { 200: z.object({ status: z.literal('ready') }) },
    handle: async () => {
      if (!(await isReady())) throw new Problem(503, 'the database is away or not up to date')
      return { status: 200, json: { status: 'ready' } }
    },
  })
}

function figures({ metrics }: HealthOptions): AnyRoute {
  return route({
    method: 'GET',
    path: '/metrics',
    summary: 'Figures for Prometheus',
    access: 'public',
    query: ANYTHING,
    answers: { 200: { 'text/plain': null } },
    handle: async () => ({
      status: 200,
      text: await metrics.text(),
      contentType: metrics.contentType,
    }),
  })
}
