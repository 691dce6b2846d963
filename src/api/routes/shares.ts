/** Shares: a link that shows named devices live, without an account, until it expires or is ended. */
import { z } from 'zod'
import type { Tokens } from '../../access/tokens.ts'
import type { Clock } from '../../clock.ts'
import type { Directory, ShareRow } from '../../core/directory.ts'
import type { Changes } from '../../live/changes.ts'
import type { Ops } from '../../ops/ops.ts'
import { id, MADE_SHARE, SHARES, type ShareJson } from '../../protocol/http.ts'
import { type Caller, ownerOf } from '../caller.ts'
import { BY_ID, momentText, nextOf, PAGE } from '../fields.ts'
import { Problem } from '../message.ts'
import { type AnyRoute, route } from '../route.ts'

export interface SharesOptions {
  directory: Pick<Directory, 'findOwners' | 'insertShare' | 'findShare' | 'listShares' | 'endShare'>
  tokens: Pick<Tokens, 'issueShare'>
  limits: { tokenTtlSMax: number; shareDevicesMax: number }
  ops: Pick<Ops, 'counts'>
  clock: Pick<Clock, 'now'>
  changes: Pick<Changes, 'onShareEnded'>
}

export function shareRoutes(options: SharesOptions): AnyRoute[] {
  return [listShares(options), addShare(options), endShare(options)]
}

function listShares({ directory }: SharesOptions): AnyRoute {
  return route({
    method: 'GET',
    path: '/v1/shares',
    summary: 'Own shares by id, ended ones too, without their tokens',
    access: 'caller',
    query: z.strictObject(PAGE),
    answers: { 200: SHARES },
    handle: async ({ caller, query: { after, limit } }) => {
      const shares = await directory.listShares(ownerOf(caller, undefined), after, limit)
      return { status: 200, json: { shares: shares.map(shown), next: nextOf(shares, limit) } }
    },
  })
}

function addShare(options: SharesOptions): AnyRoute {
  const { directory, tokens, limits, ops, clock } = options
  const deviceIds = z
    .array(id)
    .min(1)
    .max(limits.shareDevicesMax)
    .transform((ids) => [...new Set(ids)].sort((a, b) => a - b))
  return route({
    method: 'POST',
    path: '/v1/shares',
    summary: 'Shares devices of one user until then; the token and its link are shown only now',
    access: 'caller',
    body: z.strictObject({ deviceIds, expiresAt: momentText }),
    answers: { 201: MADE_SHARE },
    problems: [404, 409],
    handle: async ({ caller, body, request }) => {
      const nowMs = clock.now()
      checkExpiry(body.expiresAt, nowMs, limits.tokenTtlSMax)
      const userId = await commonOwner(directory, caller, body.deviceIds)
      const share = await directory.insertShare(
        { userId, deviceIds: body.deviceIds, expiresMs: body.expiresAt },
        nowMs,
      )
      if (share === 'full') {
        ops.counts.userSharesRefused += 1
        throw new Problem(409, 'there are too many shares: end some first')
      }
      const { token } = await tokens.issueShare(share.id, body.expiresAt, nowMs)
      return {
        status: 201,
        json: { share: shown(share), token, url: `${request.baseUrl}/#token=${token}` },
        acts: [['share.made', { shareId: share.id, deviceIds: body.deviceIds }]],
      }
    },
  })
}

function endShare({ directory, changes, clock }: SharesOptions): AnyRoute {
  return route({
    method: 'DELETE',
    path: '/v1/shares/{id}',
    summary: 'Ends a share: whoever watches by it is disconnected',
    access: 'caller',
    parameters: BY_ID,
    answers: { 204: null },
    handle: async ({ caller, parameters }) => {
      const share = await directory.findShare(parameters.id)
      if (share === null || !(caller.isAdmin || share.userId === caller.user.id)) {
        throw new Problem(404, 'there is no such share')
      }
      await directory.endShare(share.id, clock.now())
      changes.onShareEnded(share)
      return { status: 204, acts: [['share.ended', { shareId: share.id }]] }
    },
  })
}

function checkExpiry(expiresMs: number, nowMs: number, tokenTtlSMax: number): void {
  const isSoon = expiresMs / 1000 + 1 <= nowMs / 1000 + tokenTtlSMax
  if (expiresMs > nowMs && isSoon) return
  const latest = new Date(nowMs + (tokenTtlSMax - 1) * 1000).toISOString()
  const message = `must be in the future, and ${latest} at the latest`
  throw new Problem(400, `expiresAt: ${message}`, [{ field: 'expiresAt', message }])
}

/** Whose devices these are, if the caller may share them. */
async function commonOwner(
  directory: Pick<Directory, 'findOwners'>,
  { user, isAdmin }: Caller,
  deviceIds: readonly number[],
): Promise<number> {
  const owners = await directory.findOwners(deviceIds)
  const visible = new Set(owners.filter(({ userId }) => isAdmin || userId === user.id).map(({ id }) => id))
  const missing = deviceIds.find((deviceId) => !visible.has(deviceId))
  if (missing !== undefined) throw new Problem(404, `there is no device ${missing}`)
  const userId = owners[0]!.userId
  if (owners.some((owner) => owner.userId !== userId)) {
    const message = 'must be devices of one user'
    throw new Problem(400, `deviceIds: ${message}`, [{ field: 'deviceIds', message }])
  }
  return userId
}

function shown({ id, deviceIds, expiresAt, createdAt, endedAt }: ShareRow): ShareJson {
  return { id, deviceIds, expiresAt, createdAt, endedAt }
}
