/** Sessions with their figures, and the track of each. */
import { z } from 'zod'
import { EARLY_MS, type History } from '../../core/history.ts'
import { SESSION, SESSIONS, type SessionJson, TRACK } from '../../protocol/http.ts'
import { trackAsJson } from '../../tracks/write/json.ts'
import type { Caller } from '../caller.ts'
import { BY_ID, FORWARDS, isForwards, SPAN } from '../fields.ts'
import { Problem } from '../message.ts'
import { ALL, format, formatOf, inEachFormat, pastDevice, simplify, trackAnswer } from '../past.ts'
import { type AnyRoute, route } from '../route.ts'

export interface SessionsOptions {
  history: History
}

const PAGE = 50
const PAGE_MAX = 200

const SESSIONS_WANTED = z
  .strictObject({
    ...SPAN,
    after: z
      .string()
      .regex(/^\d{1,15}$/, 'must be what `next` said')
      .transform(Number)
      .optional(),
    limit: z
      .string()
      .regex(/^\d+$/, 'must be a number')
      .transform(Number)
      .pipe(z.int().min(1).max(PAGE_MAX))
      .default(PAGE),
  })
  .refine(isForwards, FORWARDS)

export function sessionRoutes(options: SessionsOptions): AnyRoute[] {
  return [listSessions(options), showSession(options), showTrack(options)]
}

function listSessions({ history }: SessionsOptions): AnyRoute {
  return route({
    method: 'GET',
    path: '/v1/devices/{id}/sessions',
    summary:
      'Sessions of a device that were under way between `from` and `to`, newest first; also of a deleted device',
    access: 'caller',
    parameters: BY_ID,
    query: SESSIONS_WANTED,
    answers: { 200: SESSIONS },
    handle: async ({ caller, parameters, query: { from, to, after, limit }, request }) => {
      const device = await pastDevice(history, caller, parameters.id)
      const wanted = {
        deviceId: device.id,
        fromMs: from ?? null,
        toMs: to ?? null,
        beforeMs: after ?? null,
        countMax: limit,
      }
      const sessions = await history.listSessions(wanted, request.hasLeft)
      return { status: 200, json: { sessions, next: placeOfNext(sessions, limit) } }
    },
  })
}

function showSession({ history }: SessionsOptions): AnyRoute {
  return route({
    method: 'GET',
    path: '/v1/sessions/{id}',
    summary: 'One session',
    access: 'caller',
    parameters: BY_ID,
    answers: { 200: SESSION },
    handle: async ({ caller, parameters }) => ({
      status: 200,
      json: await ownSession(history, caller, parameters.id),
    }),
  })
}

function showTrack({ history }: SessionsOptions): AnyRoute {
  return route({
    method: 'GET',
    path: '/v1/sessions/{id}/track',
    summary:
      'All points of a session in order of time, streamed; `simplify` leaves out those that are no farther from the line than so many metres',
    access: 'caller',
    parameters: BY_ID,
    query: z.strictObject({ format: format.optional(), simplify: simplify.optional() }),
    answers: { 200: inEachFormat(TRACK) },
    problems: [406],
    handle: async ({ caller, parameters, query, request }) => {
      const name = formatOf(query.format, request.accept)
      const session = await ownSession(history, caller, parameters.id)
      const device = await pastDevice(history, caller, session.deviceId)
      const wanted = {
        ...ALL,
        deviceId: session.deviceId,
        sessionId: session.id,
        fromMs: Date.parse(session.startedAt) - EARLY_MS,
        toMs: session.endedAt === null ? null : Date.parse(session.endedAt),
        simplifyM: query.simplify ?? null,
      }
      const pages = history.points(wanted, request.hasLeft)
      return trackAnswer(name, device, `session-${session.id}`, pages, (points) =>
        trackAsJson(session, points),
      )
    },
  })
}

async function ownSession(
  history: Pick<History, 'findSession'>,
  { user, isAdmin }: Caller,
  sessionId: number,
): Promise<SessionJson> {
  const session = await history.findSession(sessionId, isAdmin ? null : user.id)
  if (session === null) throw new Problem(404, 'there is no such session')
  return session
}

/** Sessions are listed by their start, which no two of a device share. */
function placeOfNext(sessions: readonly SessionJson[], limit: number): string | null {
  return sessions.length === limit ? String(Date.parse(sessions.at(-1)!.startedAt)) : null
}
