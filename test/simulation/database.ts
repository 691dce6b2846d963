/** The database as the parts of a hub ask it, answered from the tables over a line on which everything can go wrong. */
import type { Identity } from '../../src/access/identity.ts'
import type { Clock } from '../../src/clock.ts'
import type { ShareRow } from '../../src/core/directory.ts'
import type { Grant, ViewerGrant, Withdrawal } from '../../src/core/grant.ts'
import type { Session } from '../../src/core/sessions.ts'
import type { PointsStore } from '../../src/ingest/ingest.ts'
import type { UserJson } from '../../src/protocol/http.ts'
import { createGather } from '../../src/store/line/gather.ts'
import { readLastPoints } from '../../src/store/points/lastPoints.ts'
import { createWriter } from '../../src/store/points/writer.ts'
import type { Watcher } from './hub.ts'
import type { Limits } from './limits.ts'
import type { Life, Store } from './store.ts'
import type { Tables } from './tables.ts'

export interface DatabaseOptions {
  store: Store
  life: Life
  limits: Limits
  clock: Clock
  watcher: Watcher
}

const LANES = 2
const BATCH_MAX = 100
/** Longer than any seed. */
const TOKEN_MS = 3_600_000_000

export function createDatabase({ store, life, limits, clock, watcher }: DatabaseOptions) {
  const { tables } = store
  const read = <T>(look: (tables: Tables) => T) => store.read(life, () => look(tables))
  const credentialsOf = (ids: readonly number[]) =>
    read(() => ids.filter((id) => tables.devices.has(id)).map((id) => tables.credentials(id)))
  const readDevice = createGather(credentialsOf, BATCH_MAX)
  return {
    identify,
    access: {
      findUser: (id: number) => read(() => userOf(tables, id)),
      findShare: (id: number) => read(() => shareOf(tables, id, clock.now() + TOKEN_MS)),
      readAccess: createGather(credentialsOf, BATCH_MAX),
      readDevice,
      readWithdrawn: (grants: readonly Grant[]) => read(() => withdrawnOf(tables, grants)),
    },
    roster: {
      readIds: (userIds: readonly number[] | null, after: number, countMax: number) =>
        read(() => idsOf(tables, userIds, after, countMax)),
      readRecords: async (ids: readonly number[]) =>
        (await credentialsOf(ids))
          // Those of a user who is deactivated are shown, to whoever may still look.
          .filter(({ isGone }) => !isGone)
          .map(({ id, newest, sessions: _, keyHash: __, isActive: ___, isGone: ____, ...known }) => ({
            ...known,
            deviceId: id,
            online: false,
            epoch: 0,
            n: 0,
            last: newest && { ...newest },
          })),
    },
    points: { lanes: LANES, openWriter },
    upkeep: {
      findIdle,
      findLastPoints: (sessions: readonly Session[]) => readLastPoints(store.line(life), sessions),
      readDevice,
      findOld: async () => [],
      deletePoints: async () => 0,
      deleteSessions: async () => 0,
      deleteRejected: async () => 0,
    },
    writeLastLogin: async () => {},
    writeLastSeen: (seen: ReadonlyMap<number, number>) =>
      read(() => {
        for (const [id, ms] of seen) {
          const device = tables.devices.get(id)!
          device.lastSeenMs = Math.max(device.lastSeenMs ?? 0, ms)
        }
      }),
  }

  function openWriter(...[backlog, told]: Parameters<PointsStore['openWriter']>) {
    return createWriter({
      backlog,
      runs: Array.from({ length: LANES + 1 }, () => store.line(life)),
      limits,
      listener: {
        ...told,
        stored: (batch) => {
          if (life.isOver) return
          watcher.onStored(batch)
          told.stored(batch)
        },
        broken: (error) => watcher.onFault('the writer gave up', error),
        retried: () => {},
      },
      clock,
    })
  }

  /** `user <id>` or `share <id>`. */
  async function identify(token: string): Promise<Identity> {
    const [kind, id] = token.split(' ')
    const expiresMs = clock.now() + TOKEN_MS
    if (kind === 'share') return { is: 'share', shareId: Number(id), expiresMs }
    const user = await read(() => userOf(tables, Number(id)))
    return user?.isActive ? { is: 'user', user, expiresMs } : { is: 'refused' }
  }

  async function findIdle(nowMs: number, countMax: number, after: number): Promise<number[]> {
    try {
      return await read(() =>
        tables.idleDevices(nowMs, limits.sessionGapMs, limits.sessionIdleMs, countMax, after),
      )
    } catch (error) {
      watcher.onRare('sweep')
      throw error
    }
  }
}

/** As what the tables say of the bearer of a token; null: nobody. */
export function grantOf(tables: Tables, token: string): ViewerGrant | null {
  const [kind, id] = token.split(' ')
  const share = kind === 'share' ? tables.shares.get(Number(id)) : undefined
  const user = tables.users.get(share?.userId ?? Number(id))
  if (user === undefined || !user.isActive || share?.isEnded) return null
  if (share === undefined) return { role: user.role, userId: user.id }
  return { role: 'share', userId: share.userId, shareId: share.id, deviceIds: share.deviceIds }
}

const SOMETIME = new Date(0).toISOString()

function userOf({ users }: Tables, id: number): UserJson | null {
  const user = users.get(id)
  const rest = { name: '', email: '', providers: {}, createdAt: SOMETIME, lastLoginAt: null }
  return user === undefined ? null : { ...user, ...rest }
}

function shareOf({ shares }: Tables, id: number, expiresMs: number): ShareRow | null {
  const share = shares.get(id)
  if (share === undefined) return null
  const expiresAt = new Date(expiresMs).toISOString()
  return { ...share, createdAt: SOMETIME, expiresAt, endedAt: share.isEnded ? SOMETIME : null }
}

function idsOf(tables: Tables, userIds: readonly number[] | null, after: number, countMax: number) {
  return [...tables.devices.values()]
    .filter(({ id, userId }) => id > after && (userIds?.includes(userId) ?? true))
    .map(({ id, isActive }) => ({ id, isActive }))
    .slice(0, countMax)
}

/** As readWithdrawn answers. */
function withdrawnOf(tables: Tables, grants: readonly Grant[]): Map<Grant, Withdrawal> {
  const withdrawn = new Map<Grant, Withdrawal>()
  for (const grant of grants) {
    const user = tables.users.get(grant.userId)!
    if (grant.role === 'device') {
      const device = tables.devices.get(grant.deviceId)!
      if (!device.isActive) withdrawn.set(grant, 'gone')
      else if (!user.isActive || device.keyHash !== grant.keyHash) withdrawn.set(grant, 'refused')
    } else if (grant.role === 'share') {
      if (!user.isActive || tables.shares.get(grant.shareId)!.isEnded) withdrawn.set(grant, 'refused')
    } else if (!user.isActive || (grant.role === 'admin' && user.role !== 'admin')) {
      withdrawn.set(grant, 'refused')
    }
  }
  return withdrawn
}
