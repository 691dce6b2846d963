/** Users: oneself, and for admins everyone, and their tokens. */
import { z } from 'zod'
import type { Tokens } from '../../access/tokens.ts'
import type { Clock } from '../../clock.ts'
import type { Directory } from '../../core/directory.ts'
import type { Changes } from '../../live/changes.ts'
import type { Act } from '../../ops/audit.ts'
import { NEW_USER, name, TOKEN, USER, USER_CHANGE, USERS, type UserChangeJson } from '../../protocol/http.ts'
import { BY_ID, nextOf, PAGE } from '../fields.ts'
import { Problem } from '../message.ts'
import { type AnyRoute, route } from '../route.ts'

export interface UsersOptions {
  directory: Pick<Directory, 'findUser' | 'listUsers' | 'insertUser' | 'updateUser'>
  tokens: Pick<Tokens, 'issue'>
  limits: { tokenTtlSMax: number }
  clock: Pick<Clock, 'now'>
  changes: Pick<Changes, 'onUser'>
}

const TOKEN_TTL_S = 3_600

export function userRoutes(options: UsersOptions): AnyRoute[] {
  return [showMe(), listUsers(options), addUser(options), changeUser(options), issueToken(options)]
}

function showMe(): AnyRoute {
  return route({
    method: 'GET',
    path: '/v1/me',
    summary: 'The user of the token',
    access: 'user',
    answers: { 200: USER },
    handle: async ({ caller }) => ({ status: 200, json: caller.user }),
  })
}

function listUsers({ directory }: UsersOptions): AnyRoute {
  return route({
    method: 'GET',
    path: '/v1/users',
    summary: 'Users by id; with `email` the one of that address',
    access: 'admin',
    query: z.strictObject({ email: name.optional(), ...PAGE }),
    answers: { 200: USERS },
    handle: async ({ query: { email, after, limit } }) => {
      const users = await directory.listUsers(email ?? null, after, limit)
      return { status: 200, json: { users, next: nextOf(users, limit) } }
    },
  })
}

function addUser({ directory }: UsersOptions): AnyRoute {
  return route({
    method: 'POST',
    path: '/v1/users',
    summary: 'A new user',
    access: 'admin',
    body: NEW_USER,
    answers: { 201: USER },
    problems: [409],
    handle: async ({ body: { email, name: given, role } }) => {
      const user = await directory.insertUser({ email, name: given ?? email.split('@')[0]!, role })
      if (user === null) throw new Problem(409, `there is a user with the address ${email}`)
      return { status: 201, json: user, acts: [['user.added', { userId: user.id, role }]] }
    },
  })
}

function changeUser({ directory, changes }: UsersOptions): AnyRoute {
  return route({
    method: 'PATCH',
    path: '/v1/users/{id}',
    summary: 'Renames a user, or says what they may do and who they are at OpenID issuers (all of them)',
    access: 'admin',
    parameters: BY_ID,
    body: USER_CHANGE,
    answers: { 200: USER },
    problems: [409],
    handle: async ({ caller, parameters, body }) => {
      // So there is always one left, and nobody locks themselves out by a slip of the hand.
      if (caller.user?.id === parameters.id && (body.role === 'user' || body.isActive === false))
        throw new Problem(409, 'admins cannot demote or deactivate themselves: ask another admin')
      const user = await directory.updateUser(parameters.id, body)
      if (user === null) throw new Problem(404, 'there is no such user')
      if (user === 'taken') throw new Problem(409, 'somebody else is known by one of these providers')
      changes.onUser(user)
      return { status: 200, json: user, acts: actsOf(user.id, body) }
    },
  })
}

function issueToken({ directory, tokens, limits, clock }: UsersOptions): AnyRoute {
  return route({
    method: 'POST',
    path: '/v1/users/{id}/tokens',
    summary: 'A token for that user',
    access: 'admin',
    parameters: BY_ID,
    body: z
      .strictObject({ ttlS: z.int().min(1).max(limits.tokenTtlSMax).default(TOKEN_TTL_S) })
      .default({ ttlS: TOKEN_TTL_S }),
    answers: { 201: TOKEN },
    handle: async ({ parameters, body }) => {
      const user = await directory.findUser(parameters.id)
      if (!user?.isActive) throw new Problem(404, 'there is no such user')
      const { token, expiresMs } = await tokens.issue(user.id, body.ttlS, clock.now())
      const json = { token, expiresAt: new Date(expiresMs).toISOString() }
      return { status: 201, json, acts: [['token.issued', { userId: user.id }]] }
    },
  })
}

function actsOf(userId: number, { role, isActive, providers }: UserChangeJson): Act[] {
  const acts: Act[] = []
  if (role !== undefined) acts.push([role === 'admin' ? 'user.promoted' : 'user.demoted', { userId }])
  if (isActive !== undefined) acts.push([isActive ? 'user.activated' : 'user.deactivated', { userId }])
  if (providers !== undefined) {
    acts.push(['user.providersWritten', { userId, issuers: Object.keys(providers).length }])
  }
  return acts
}
